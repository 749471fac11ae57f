"""A plain PyTorch loop: a DataLoader that augments image by image, loss.backward(), torch.optim.Adam.

In float32 or under autocast to bfloat16, NCHW or channels-last.

The same network on torch's own operators. The penalty of the convolution kernels, 1e-4 * sum(w^2), is Adam's
`weight_decay` of 2e-4 for these: the same gradient. Images are moved by whole pixels, up to four, and mirrored, as most
PyTorch scripts do it; that is cheaper than Keras's shift by parts of a pixel. The DataLoader has no workers: those
would be processes beside the threads that all are given alike.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed import images, turns
from fewepochs.nets import layers, resnet
from fewepochs.specs import networks

PADDING = 4
RATE, DECAY = 1e-3, 2e-4


class Plain:
    """The network, its optimizer, and the images as [N, C, H, W]."""

    def __init__(self, peer: turns.Peer, *, data: Path) -> None:
        torch.set_num_threads(len(peer.cores))
        pixels, labels = images.read(data)
        self._images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        self._labels = torch.from_numpy(labels)
        self._parts, self._batch = images.Parts(len(labels)), peer.batch
        spec = networks.ResNetV2(depth=peer.depth)
        shape = resnet.ImageShape(32, 32, 3)
        self._format = torch.channels_last if peer.channels_last else torch.contiguous_format
        self._half = peer.precision == "bfloat16"
        network = resnet.build(spec, image=shape, classes=10, init_seed=0, dropout_seed=0).train()
        self.network = network.to(memory_format=self._format)  # type: ignore[call-overload]
        kernels = [m.weight for m in self.network.modules() if isinstance(m, layers.Conv)]
        known = {id(kernel) for kernel in kernels}
        rest = [p for p in self.network.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": kernels, "weight_decay": DECAY}, {"params": rest}]
        self._optimizer = torch.optim.Adam(groups, lr=RATE)

    def first_step(self) -> None:
        """Do one training step."""
        self.round(steps=1, augmented=True)

    def facts(self) -> dict[str, Any]:
        """Return parameters and torch's version."""
        parameters = sum(p.numel() for p in self.network.parameters())
        return {"trainable_parameters": parameters, "versions": {"torch": torch.__version__}}

    def round(self, *, steps: int, augmented: bool) -> dict[str, float]:
        """Go through a part of the training set, in random order: seconds."""
        part = self._parts.take(steps * self._batch)
        dataset = Pictures(self._images[part], self._labels[part], augmented=augmented)
        generator = torch.Generator().manual_seed(part.start)
        begin = time.perf_counter()
        for x_NCHW, labels_N in DataLoader(dataset, batch_size=self._batch, shuffle=True, generator=generator):
            self._optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
                loss = F.cross_entropy(self.network(x_NCHW.contiguous(memory_format=self._format)), labels_N)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        return {"seconds": time.perf_counter() - begin}


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Images [N, C, 32, 32] with their labels, one at a time, moved and mirrored if `augmented`."""

    def __init__(self, pixels_NCHW: Tensor, labels_N: Tensor, *, augmented: bool) -> None:
        self._images, self._labels, self._augmented = pixels_NCHW, labels_N, augmented
        self._draws = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self._images[index]
        if self._augmented:
            top, left, flip = (
                int(torch.randint(n, (), generator=self._draws)) for n in (2 * PADDING + 1, 2 * PADDING + 1, 2)
            )
            image = F.pad(image, (PADDING,) * 4)[:, top : top + 32, left : left + 32]
            image = image.flip(2) if flip else image
        return image, self._labels[index]
