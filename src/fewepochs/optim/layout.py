"""What an optimizer is given: all weights as one vector, and where in it each tensor and each kind of tensor lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from fewepochs.specs import updates


@dataclass(frozen=True)
class Layout:
    """All weights `vector` [P]: convolution kernels first, then dense kernels, then everything else.

    `sizes`: the number of values of each tensor by name, in the vector's order; `rows`: of each kernel, its number of
    output channels. `conv_kernels` and `kernels`: where convolution kernels end and where all kernels end.
    """

    vector: Tensor
    sizes: Mapping[str, int]
    rows: Mapping[str, int]
    conv_kernels: int
    kernels: int

    def touched(self, on: updates.Touched) -> int:
        """Return the length of the vector's first part that holds what `on` names."""
        match on:
            case "conv-kernels":
                return self.conv_kernels
            case "kernels":
                return self.kernels
            case "all":
                return len(self.vector)
            case _:
                assert_never(on)

    def split(self) -> tuple[Layout, Layout]:
        """Return the convolution kernels and the rest, each as a layout of its own."""
        names = tuple(self.sizes)
        ends = torch.tensor(list(self.sizes.values())).cumsum(0).tolist()
        count = sum(end <= self.conv_kernels for end in ends)
        first, second = names[:count], names[count:]
        return (
            Layout(
                self.vector[: self.conv_kernels],
                {name: self.sizes[name] for name in first},
                {name: self.rows[name] for name in first},
                self.conv_kernels,
                self.conv_kernels,
            ),
            Layout(
                self.vector[self.conv_kernels :],
                {name: self.sizes[name] for name in second},
                {name: rows for name, rows in self.rows.items() if name in second},
                0,
                self.kernels - self.conv_kernels,
            ),
        )

    def parts(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the tensors' slices of a `vector` [P], flat, by name; views."""
        return dict(zip(self.sizes, torch.split(vector, list(self.sizes.values())), strict=True))


@dataclass(frozen=True)
class Controls:
    """What a step decides for every optimizer: tensors float64 without dimensions, on the device.

    `lr`, `momentum` and `decay` (the weight decay's strength) are the step's own. `live` is 1, or 0 for a frozen step,
    which leaves weights and state bit for bit as they are. `on_host`: lr, momentum and decay again, as numbers, for
    rules that are not ours and want them so.
    """

    lr: Tensor
    momentum: Tensor
    decay: Tensor
    live: Tensor
    on_host: tuple[float, float, float]
