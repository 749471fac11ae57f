"""All weights of a network as one vector, and all its moving statistics as another.

A network's parameters become views of one vector, so that an update, a gradient check, an L2 penalty or a cast is one
operation for the whole network. Kernels of convolutions come first (published L2 concerns them alone), then dense
kernels, then the biases, then BN's scale and offset, which are never computed with in low precision. A kernel
[out, in, k, k] is laid out as [out, k, k, in]: channels-last, as the convolutions want it.

The optimizer updates the master weights. The network sees them as they lie where it can, and a copy where it cannot:
kernels and biases with a low-precision compute type, and what does not begin where libraries want it to begin.
`publish` refreshes the copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fewepochs.nets.layers import BatchNorm, Conv, Dense
from fewepochs.optim.layout import Layout

ALIGNMENT = 16
"""What the network sees begins at a multiple of so many values: cuDNN reads 16 bytes at a time, 8 values of bfloat16;
16 of float32 are a cache line."""


class Weights:
    """The weights of `network`, whose parameters become views.

    `master` float32 (float64 when that is the compute type) [P]: all weights. `layout`: where in it the kernels are.
    `parameters`: what gradients are taken of, in the vector's order.
    """

    def __init__(self, network: nn.Module, *, dtype: torch.dtype) -> None:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        convolutions = [module.weight for module in network.modules() if isinstance(module, Conv)]
        kernels = [*convolutions, *(module.weight for module in network.modules() if isinstance(module, Dense))]
        norms = [p for module in network.modules() if isinstance(module, BatchNorm) for p in module.parameters()]
        others = _without(list(network.parameters()), [*kernels, *norms])
        low, high = [*kernels, *others], norms
        self.parameters: Sequence[nn.Parameter] = (*low, *high)
        self.names = _names(network, self.parameters)
        self.master = torch.cat([_flat(p.detach()).to(wide) for p in self.parameters])
        self._low_count = len(low)
        self.layout = Layout(
            vector=self.master,
            sizes={name: p.numel() for name, p in zip(self.names, self.parameters, strict=True)},
            rows={name: len(p) for name, p in zip(self.names, kernels, strict=False)},
            conv_kernels=sum(p.numel() for p in convolutions),
            kernels=sum(p.numel() for p in kernels),
        )
        self._copies: list[tuple[Tensor, Tensor]] = []
        position = 0
        for kind, group in ((dtype, low), (wide, high)):
            for run in _runs(group):
                here = self.master[position : position + sum(p.numel() for p in run)]
                seen = here
                if kind != wide or position % ALIGNMENT:
                    seen = here.to(kind, copy=True)
                    self._copies.append((seen, here))
                _bind(run, seen)
                position += len(here)

    @torch.no_grad()
    def gather(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return the gradients of `parameters` as one vector [P] of the master's type."""
        low = torch.cat([_flat(g) for g in gradients[: self._low_count]])
        if self._low_count == len(gradients):
            return low.to(self.master.dtype)
        high = torch.cat([_flat(g) for g in gradients[self._low_count :]])
        return torch.cat([low, high])  # of two types: the result has the wider one, the master's

    @torch.no_grad()
    def publish(self) -> None:
        """Let the network see the master weights as they are now."""
        for seen, here in self._copies:
            seen.copy_(here)

    def named(self) -> dict[str, Tensor]:
        """Return the master weights by parameter name, in the parameters' own shapes; views."""
        return dict(zip(self.names, self.shaped(self.master), strict=True))

    def shaped(self, vector: Tensor) -> list[Tensor]:
        """Return a `vector` [P] as the parameters: in their order and their own shapes; views."""
        parts = torch.split(vector, [parameter.numel() for parameter in self.parameters])
        return [_shaped(part, parameter.shape) for part, parameter in zip(parts, self.parameters, strict=True)]


class MovingStatistics:
    """Mean and variance of every BN channel of `network`, [2, C], moving and of the last batch.

    The layers' buffers become views; `update` moves all of them at once, so that a frozen step can leave them alone.
    """

    def __init__(self, network: nn.Module, *, dtype: torch.dtype, momentum: float) -> None:
        self._momentum = momentum
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        layers = [module for module in network.modules() if isinstance(module, BatchNorm)]
        device = next(network.parameters()).device
        sizes = [layer.weight.numel() for layer in layers]
        self.moving = torch.zeros(2, sum(sizes), dtype=wide, device=device)
        self.moving[1] = 1.0
        self._batch = self.moving.clone()
        self._pixels = torch.cat(
            [torch.full((size,), float(layer.pixels), dtype=wide) for size, layer in zip(sizes, layers, strict=True)]
        ).to(device)
        position = 0
        for size, layer in zip(sizes, layers, strict=True):
            here = slice(position, position + size)
            layer.moving_mean, layer.moving_variance = self.moving[0, here], self.moving[1, here]
            layer.batch_mean, layer.batch_variance = self._batch[0, here], self._batch[1, here]
            position += size

    @torch.no_grad()
    def update(self, *, batch_size: int, live: Tensor) -> None:
        """Move towards the last batch's statistics, as Keras does; not at all, bit for bit, where `live` is 0."""
        self._unbias(batch_size)
        batch = torch.where(live > 0, self._batch, self.moving)
        self.moving.lerp_(batch, 1.0 - self._momentum)

    @torch.no_grad()
    def pool(self, *, batch_size: int, before: int) -> None:
        """Make the moving statistics those of the last batch and of the `before` images pooled so far, together."""
        self._unbias(batch_size)
        share = batch_size / (before + batch_size)
        apart = self._batch[0] - self.moving[0]
        self.moving.lerp_(self._batch, share)
        self.moving[1].addcmul_(apart, apart, value=share * (1.0 - share))

    def _unbias(self, batch_size: int) -> None:
        """Make the last batch's variance the biased one: torch leaves the unbiased, Keras moves the biased."""
        values = self._pixels * batch_size
        self._batch[1].mul_((values - 1.0) / values)


def _flat(tensor: Tensor) -> Tensor:
    """Return the values as a vector, a kernel's in the order [out, k, k, in]."""
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).reshape(-1)


def _shaped(vector: Tensor, shape: torch.Size) -> Tensor:
    """Undo `_flat`, as a view."""
    if len(shape) != 4:
        return vector.view(shape)
    outputs, inputs, height, width = shape
    return vector.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def _runs(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return the parameters in their order, in as few runs as let each begin at a multiple of ALIGNMENT in its run."""
    runs: list[list[nn.Parameter]] = []
    position = 0
    for parameter in parameters:
        if not runs or position % ALIGNMENT:
            runs.append([])
            position = 0
        runs[-1].append(parameter)
        position += parameter.numel()
    return runs


def _bind(parameters: Sequence[nn.Parameter], vector: Tensor) -> None:
    position = 0
    for parameter in parameters:
        size = parameter.numel()
        parameter.data = _shaped(vector[position : position + size], parameter.shape)
        position += size


def _without(parameters: Sequence[nn.Parameter], taken: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    identities = {id(p) for p in taken}
    return [p for p in parameters if id(p) not in identities]


def _names(network: nn.Module, parameters: Sequence[nn.Parameter]) -> tuple[str, ...]:
    names = {id(p): name for name, p in network.named_parameters()}
    return tuple(names[id(p)] for p in parameters)
