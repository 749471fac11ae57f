"""Random shifts and flips of a whole batch on the device, equal to Keras's ImageDataGenerator for the same draws.

Keras shifts an image by real-valued (ty, tx): out[i, j] = in[i + ty, j + tx], bilinear, coordinates clamped to the
image ("nearest"), then mirrors it. One image has one shift, so its fractional part is the same at every pixel: with
t = k + f, k whole, the shift is a gather of H+1 rows from i + k (clamped) and one interpolation with weight f. A
mirrored image gathers its columns backwards, with weight 1 - f.

Draws are made on the host, once an epoch, from (seed, epoch): see `draw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from fewepochs import seeds, specs


@dataclass(frozen=True)
class Draws:
    """What augmentation decides for each of N images, on the device.

    `start` int64 [N, 2]: first row and first column gathered, before clamping. `weight` float32 [N, 2]: interpolation
    weight of the next row and column. `step` int64 [N]: +1, or -1 where the columns are gathered backwards.
    """

    start: Tensor
    weight: Tensor
    step: Tensor


def draw(spec: specs.Augmentation, *, seed: int, epoch: int, images: int, height: int, width: int) -> Draws | None:
    """Return the draws of `epoch` (1-based) for `images` images of `height` x `width`; None for no augmentation.

    Draw n belongs to the n-th image in the epoch's order. Shifts are uniform in (-shift*side, shift*side).
    """
    match spec:
        case specs.NoAugmentation():
            return None
        case specs.ShiftFlip():
            key = seeds.derive(seed, "augmentation", epoch)
            uniform = seeds.uniform(key, 3 * images).reshape(3, images)
            limits = spec.shift * np.array([[height], [width]], dtype=np.float64)
            shifts = (2.0 * uniform[:2] - 1.0) * limits
            flips = (uniform[2] < 0.5) & spec.flip
            return from_shifts(shifts.T, flips=flips, width=width)
        case _:
            assert_never(spec)


def from_shifts(
    shifts: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    *,
    flips: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    width: int,
) -> Draws:
    """Return the draws for given `shifts` [N, 2] in pixels (down, right: Keras's tx, ty) and `flips` [N]."""
    whole = np.floor(shifts)
    weight = shifts - whole
    start = whole.astype(np.int64)
    # A mirrored image reads columns width, ..., 0 of the W+1 gathered ones: its first is the other end.
    start[:, 1] = np.where(flips, start[:, 1] + width, start[:, 1])
    weight[:, 1] = np.where(flips, 1.0 - weight[:, 1], weight[:, 1])
    return Draws(
        start=torch.from_numpy(start),
        weight=torch.from_numpy(weight.astype(np.float32)),
        step=torch.from_numpy(np.where(flips, -1, 1).astype(np.int64)),
    )


def shift_flip(x_NHWC: Tensor, draws: Draws) -> Tensor:
    """Return the shifted and flipped images: float [N, H, W, C] -> float [N, H, W, C]."""
    images, height, width, _ = x_NHWC.shape
    device = x_NHWC.device
    image = torch.arange(images, device=device)[:, None, None]
    rows = torch.arange(height + 1, device=device) + draws.start[:, :1]
    columns = torch.arange(width + 1, device=device) * draws.step[:, None] + draws.start[:, 1:]
    source = x_NHWC[image, rows.clamp_(0, height - 1)[:, :, None], columns.clamp_(0, width - 1)[:, None, :]]
    weight = draws.weight.to(x_NHWC.dtype)[:, :, None, None, None]
    shifted = torch.lerp(source[:, :-1], source[:, 1:], weight[:, 0])
    return torch.lerp(shifted[:, :, :-1], shifted[:, :, 1:], weight[:, 1])
