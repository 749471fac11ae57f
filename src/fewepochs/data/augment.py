"""Random shifts, crops, flips and blanked squares of a whole batch on the device.

`ShiftFlip` equals Keras's ImageDataGenerator for the same draws. Keras shifts an image by real-valued (ty, tx):
out[i, j] = in[i + ty, j + tx], bilinear, coordinates clamped to the image ("nearest"), then mirrors it. One image has
one shift, so its fractional part is the same at every pixel: with t = k + f, k whole, the shift is a gather of H+1 rows
from i + k (clamped) and one interpolation with weight f. A mirrored image gathers its columns backwards, with weight
1 - f. `CropFlip` shifts by whole pixels: a gather of H rows, reflected at the edges or blanked outside.

Draws are made on the host, once an epoch, from (seed, epoch): see `draw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewepochs import seeds
from fewepochs.specs import inputs


@dataclass(frozen=True)
class Draws:
    """What augmentation decides for each of N images, on the device.

    `start` int64 [N, 2]: first row and first column gathered, before the edges are seen to. `weight` float32 [N, 2]:
    interpolation weight of the next row and column. `step` int64 [N]: +1, or -1 where the columns are gathered
    backwards. `centre` int64 [N, 2]: row and column of the blanked square's centre, drawn for every augmentation.
    """

    start: Tensor
    weight: Tensor
    step: Tensor
    centre: Tensor

    def __getitem__(self, rows: Tensor) -> Draws:
        """Return the draws of some of the images."""
        return Draws(self.start[rows], self.weight[rows], self.step[rows], self.centre[rows])

    def to(self, device: torch.device) -> Draws:
        """Return the draws on `device`."""
        return Draws(*(t.to(device) for t in (self.start, self.weight, self.step, self.centre)))


def none(images: int, *, device: torch.device) -> Draws:
    """Return draws for `images` images, all zeros, on `device`: a place for draws to be copied into."""
    pairs = torch.zeros(images, 2, dtype=torch.int64, device=device)
    step = torch.zeros(images, dtype=torch.int64, device=device)
    return Draws(start=pairs, weight=torch.zeros_like(pairs, dtype=torch.float32), step=step, centre=pairs.clone())


def draw(
    spec: inputs.Augmentation, *, seed: int, epoch: int, order: npt.NDArray[np.int64], height: int, width: int
) -> Draws | None:
    """Return the draws of `epoch` (1-based) for images of `height` x `width`; None for no augmentation.

    Draw n belongs to the n-th image in the epoch's `order` [N], the numbers of the images in the training set. Shifts
    are uniform: real-valued in (-shift*side, shift*side), or whole in [-padding, padding].
    """
    if isinstance(spec, inputs.NoAugmentation):
        return None
    count = len(order)
    key = seeds.derive(seed, "augmentation", epoch)
    uniform = seeds.uniform(key, (5 if spec.cutout else 3) * count).reshape(-1, count)
    flips = _flips(spec.flip, uniform[2], seed=seed, epoch=epoch, order=order)
    match spec:
        case inputs.ShiftFlip():
            limits = spec.shift * np.array([[height], [width]], dtype=np.float64)
            shifts = (2.0 * uniform[:2] - 1.0) * limits
        case inputs.CropFlip():
            shifts = np.floor(uniform[:2] * (2 * spec.padding + 1)) - spec.padding
        case _:
            assert_never(spec)
    centre = np.zeros((count, 2), dtype=np.int64)
    if spec.cutout:
        centre = np.floor(uniform[3:].T * [height, width]).astype(np.int64)
    last = width if isinstance(spec, inputs.ShiftFlip) else width - 1
    return from_shifts(shifts.T, flips=flips, last=last, centre=centre)


def _flips(
    flip: inputs.Flip,
    uniform: npt.NDArray[np.float64],
    *,
    seed: int,
    epoch: int,
    order: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    match flip:
        case "random":
            return uniform < 0.5
        case "none":
            return np.zeros(len(order), dtype=np.bool_)
        case "alternating":
            # Each image is mirrored in every second epoch (Jordan 2024, arXiv:2404.00498); half of them in the first.
            first = seeds.uniform(seeds.derive(seed, "flip"), int(order.max()) + 1) < 0.5
            return np.asarray(first[order] ^ (epoch % 2 == 0))
        case _:
            assert_never(flip)


def augment(x_NHWC: Tensor, draws: Draws, *, spec: inputs.Augmentation) -> Tensor:
    """Return the images as `spec` and `draws` say: float [N, H, W, C] -> float [N, H, W, C]."""
    match spec:
        case inputs.NoAugmentation():
            return x_NHWC
        case inputs.ShiftFlip():
            x_NHWC = shift_flip(x_NHWC, draws)
        case inputs.CropFlip():
            x_NHWC = crop_flip(x_NHWC, draws, fill=spec.fill)
        case _:
            assert_never(spec)
    return blank(x_NHWC, draws.centre, side=spec.cutout) if spec.cutout else x_NHWC


def from_shifts(
    shifts: npt.NDArray[np.float64],
    *,
    flips: npt.NDArray[np.bool_],
    last: int,
    centre: npt.NDArray[np.int64] | None = None,
) -> Draws:
    """Return the draws for given `shifts` [N, 2] in pixels (down, right: Keras's ty, tx) and `flips` [N].

    `last`: where a mirrored image begins, the last of the gathered columns: W for `shift_flip`, W - 1 for `crop_flip`.
    """
    whole = np.floor(shifts)
    weight = shifts - whole
    start = whole.astype(np.int64)
    # A mirrored image reads the gathered columns from the other end.
    start[:, 1] = np.where(flips, start[:, 1] + last, start[:, 1])
    weight[:, 1] = np.where(flips, 1.0 - weight[:, 1], weight[:, 1])
    return Draws(
        start=torch.from_numpy(start),
        weight=torch.from_numpy(weight.astype(np.float32)),
        step=torch.from_numpy(np.where(flips, -1, 1).astype(np.int64)),
        centre=torch.from_numpy(np.zeros_like(start) if centre is None else centre),
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


def crop_flip(x_NHWC: Tensor, draws: Draws, *, fill: str) -> Tensor:
    """Return the images shifted by whole pixels and flipped: float [N, H, W, C] -> float [N, H, W, C]."""
    images, height, width, _ = x_NHWC.shape
    device = x_NHWC.device
    image = torch.arange(images, device=device)[:, None, None]
    rows = torch.arange(height, device=device) + draws.start[:, :1]
    columns = torch.arange(width, device=device) * draws.step[:, None] + draws.start[:, 1:]
    if fill == "reflect":
        return x_NHWC[image, _reflected(rows, height)[:, :, None], _reflected(columns, width)[:, None, :]]
    inside = _inside(rows, height)[:, :, None, None] & _inside(columns, width)[:, None, :, None]
    cropped = x_NHWC[image, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return cropped.mul_(inside)


def blank(x_NHWC: Tensor, centre_N2: Tensor, *, side: int) -> Tensor:
    """Return the images with zeros in a square of `side` pixels around each centre, clipped at the edges."""
    first = centre_N2 - side // 2
    rows, columns = (
        (torch.arange(size, device=x_NHWC.device) - first[:, axis : axis + 1]).clamp(-1, side)
        for axis, size in enumerate(x_NHWC.shape[1:3])
    )
    covered = _inside(rows, side)[:, :, None, None] & _inside(columns, side)[:, None, :, None]
    return x_NHWC.mul(~covered)


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Return -1 as 1, -2 as 2, `size` as size-2, ...; the edge pixel stands once."""
    period = max(1, 2 * (size - 1))
    folded = index.remainder(period)
    return torch.minimum(folded, period - folded) if size > 1 else torch.zeros_like(index)
