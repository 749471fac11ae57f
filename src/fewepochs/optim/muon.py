"""Muon (Jordan 2024, kellerjordan.github.io/posts/muon): momentum, made semi-orthogonal, for convolution kernels.

A kernel is a matrix [out, in*k*k]. For each:

    b = momentum * b + g                    u = g + momentum * b (Nesterov) or b
    u = newton_schulz(u / |u|)              every singular value of u near 1
    w -= lr * scale * u

One Newton-Schulz iteration is u = 3.4445 u - 4.7750 (u u^T) u + 2.0315 (u u^T)^2 u, on the smaller side. With
`unit_filters`, w is first rescaled to the norm sqrt(out), as in Jordan's airbench.

Differences from torch.optim.Muon (2.13):
1. The iteration runs in the weights' type; torch's runs in bfloat16.
2. The buffer is b = momentum * b + g, not a running mean; the direction, all that is left after u / |u|, is the same.
3. Kernels with more than two dimensions are taken, as matrices; their columns are in the order [k, k, in], which
   changes nothing: the iteration commutes with permutations of columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls, Layout
from fewepochs.optim.rule import Optimizer, if_live
from fewepochs.specs import updates

_A, _B, _C = 3.4445, -4.7750, 2.0315
_TINY = 1e-7
"""The least norm that is divided by, as in torch."""


@dataclass(frozen=True)
class _Group:
    """Kernels of one shape: where each begins in the vector, and its shape as a matrix."""

    begins: tuple[int, ...]
    rows: int
    columns: int

    def take(self, vector: Tensor) -> Tensor:
        """Return the group's matrices [n, rows, columns], copied out of `vector`."""
        size = self.rows * self.columns
        return torch.stack([vector[b : b + size].view(self.rows, self.columns) for b in self.begins])

    def put(self, matrices: Tensor, vector: Tensor) -> None:
        """Copy the matrices [n, rows, columns] into their places in `vector`."""
        for begin, matrix in zip(self.begins, matrices, strict=True):
            vector[begin : begin + matrix.numel()].copy_(matrix.view(-1))


class MuonKernels:
    """Muon's rule for convolution kernels alone. Owns the momentum buffer."""

    def __init__(self, spec: updates.Muon, *, layout: Layout) -> None:
        self._spec = spec
        self._weights = layout.vector
        self._buffer = torch.zeros_like(self._weights)
        begins: dict[tuple[int, int], list[int]] = {}
        begin = 0
        for name, size in layout.sizes.items():
            begins.setdefault((layout.rows[name], size // layout.rows[name]), []).append(begin)
            begin += size
        self._groups = tuple(_Group(tuple(starts), *shape) for shape, starts in begins.items())

    @torch.no_grad()
    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the kernels [K] from a finite `gradient` [K]."""
        dtype = gradient.dtype
        momentum = if_live(controls.momentum, 1.0, controls, dtype)
        self._buffer.mul_(momentum).add_(gradient)
        ahead = torch.addcmul(gradient, self._buffer, momentum) if self._spec.nesterov else self._buffer
        direction = torch.empty_like(gradient)
        for group in self._groups:
            scale = _scale(self._spec, rows=group.rows, columns=group.columns)
            group.put(newton_schulz(group.take(ahead), iterations=self._spec.iterations).mul_(scale), direction)
            if self._spec.unit_filters:
                weights = group.take(self._weights)
                norms = torch.linalg.vector_norm(weights, dim=(1, 2), keepdim=True)
                unit = weights * (math.sqrt(group.rows) / norms.clamp_min(_TINY))
                group.put(torch.where(controls.live > 0, unit, weights), self._weights)
        self._weights.addcmul_(direction, (-controls.lr * controls.live).to(dtype))

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs, by name; the tensors are the live ones."""
        return {"buffer": self._buffer}


class Muon:
    """Muon for convolution kernels and another rule for the rest, whose lr keeps its ratio to Muon's."""

    def __init__(
        self, kernels: Optimizer, rest: Optimizer, *, conv_kernels: int, lr_ratio: float, rest_momentum: float
    ) -> None:
        self._kernels, self._rest = kernels, rest
        self._split = conv_kernels
        self._lr_ratio = lr_ratio
        self._rest_momentum = rest_momentum

    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update all weights [P] from a finite `gradient` [P]; momentum schedules move Muon's momentum alone."""
        self._kernels.update(gradient[: self._split], controls)
        lr, _, decay = controls.on_host
        own = replace(
            controls,
            lr=controls.lr * self._lr_ratio,
            momentum=torch.full_like(controls.momentum, self._rest_momentum),
            on_host=(lr * self._lr_ratio, self._rest_momentum, decay),
        )
        self._rest.update(gradient[self._split :], own)

    def averaged(self) -> Tensor | None:
        """Return None: evaluation sees the weights as they are."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return both rules' state."""
        kernels, rest = self._kernels.state(), self._rest.state()
        return {**{f"kernels.{name}": t for name, t in kernels.items()}, **{f"rest.{n}": t for n, t in rest.items()}}


def newton_schulz(matrices_NMK: Tensor, *, iterations: int) -> Tensor:
    """Return each matrix with its singular values pushed towards 1 and its singular vectors kept."""
    wide = matrices_NMK.shape[1] <= matrices_NMK.shape[2]
    x = matrices_NMK if wide else matrices_NMK.transpose(1, 2)
    x = torch.div(x, torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp_min(_TINY))
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = _A * x + (_B * gram + _C * (gram @ gram)) @ x
    return x if wide else x.transpose(1, 2).contiguous()


def _scale(spec: updates.Muon, *, rows: int, columns: int) -> float:
    match spec.scale:
        case "none":
            return 1.0
        case "aspect":
            return math.sqrt(max(1.0, rows / columns))
        case "rms":
            return 0.2 * math.sqrt(max(rows, columns))
