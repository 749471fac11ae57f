"""Mixing of images in pairs, mixup and cutmix, on the device and in batch.

The partner of a batch's i-th image is its i-th from the end: the order of an epoch is random already. A step's share l
and rectangle are drawn on the host, once an epoch, from (seed, epoch); l of Beta(alpha, alpha) by inverting its
distribution function, so that draw k belongs to step k whatever was drawn before.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from torch import Tensor

from fewepochs import seeds
from fewepochs.specs import inputs

Table = npt.NDArray[np.float64]


def draw(spec: inputs.Mixing, *, seed: int, epoch: int, steps: int, height: int, width: int) -> Table | None:
    """Return float64 [5, steps]: own share l, first row, end row, first column, end column; None for no mixing."""
    if isinstance(spec, inputs.NoMixing):
        return None
    uniform = seeds.uniform(seeds.derive(seed, "mixing", epoch), 4 * steps).reshape(4, steps)
    share = np.asarray(special.betaincinv(spec.alpha, spec.alpha, uniform[0]), dtype=np.float64)
    match spec:
        case inputs.Mixup():
            return np.stack([share, *np.zeros((4, steps))])
        case inputs.CutMix():
            share = np.where(uniform[1] < spec.probability, share, 1.0)
            rows = _span(share, uniform[2], size=height)
            columns = _span(share, uniform[3], size=width)
            covered = (rows[1] - rows[0]) * (columns[1] - columns[0]) / (height * width)
            return np.stack([1.0 - covered, *rows, *columns])
        case _:
            assert_never(spec)


def _span(share: Table, uniform: Table, *, size: int) -> tuple[Table, Table]:
    """Return begin and end of the cut along one side: sqrt(1 - l) of it around a random pixel, clipped."""
    half = np.floor(np.sqrt(1.0 - share) * size) / 2.0
    centre = np.floor(uniform * size)
    return np.clip(np.floor(centre - half), 0, size), np.clip(np.floor(centre + half), 0, size)


def mix(x_NHWC: Tensor, row: Tensor, *, spec: inputs.Mixup | inputs.CutMix) -> Tensor:
    """Return the images mixed with their partners as a step's `row` [5] of the table says: float [N, H, W, C]."""
    partners = x_NHWC.flip(0)
    match spec:
        case inputs.Mixup():
            return torch.lerp(partners, x_NHWC, row[0].to(x_NHWC.dtype))
        case inputs.CutMix():
            first_row, end_row, first_column, end_column = row[1:].unbind()
            rows = torch.arange(x_NHWC.shape[1], device=x_NHWC.device)
            columns = torch.arange(x_NHWC.shape[2], device=x_NHWC.device)
            inside = ((rows >= first_row) & (rows < end_row))[:, None] & (
                (columns >= first_column) & (columns < end_column)
            )
            return torch.where(inside[None, :, :, None], partners, x_NHWC)
        case _:
            assert_never(spec)
