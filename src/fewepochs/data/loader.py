"""The data set on the device, and everything an epoch needs of it.

Pixels stay uint8 on the device, [N, H, W, C], so that a batch is one gather and comes out channels-last. What is random
in an epoch, its order and its augmentation, is drawn once before it and sent over whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewepochs import controls, seeds
from fewepochs.data import augment, sources
from fewepochs.data import mixing as pairs
from fewepochs.specs import inputs


@dataclass(frozen=True)
class Part:
    """Images on the device: `pixels` uint8 [N, H, W, C], `labels` int64 [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.labels.shape[0]


@dataclass(frozen=True)
class DeviceData:
    """A data set on the device, split and ready to be normalised.

    `test` is None where the validation images are the test images. `mean` float32 [H, W, C] or [C] and `std`
    float32 [C], or None, come from the images trained on.
    """

    train: Part
    validation: Part
    test: Part | None
    classes: int
    white: int
    mean: Tensor | None
    std: Tensor | None
    digest: str

    @property
    def image(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        height, width, channels = self.train.pixels.shape[1:]
        return height, width, channels

    def normalise(self, pixels_NHWC: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return pixel/white, minus the mean, over the standard deviation, as the recipe says: float [N, H, W, C]."""
        x = pixels_NHWC.to(dtype).div_(self.white)
        if self.mean is not None:
            x = x.sub_(self.mean)
        return x if self.std is None else x.div_(self.std)


@dataclass(frozen=True)
class EpochPlan:
    """What is random in one epoch: `order` int64 [N], the augmentation's draws in that order, mixing [5, steps]."""

    order: Tensor
    draws: augment.Draws | None = None
    mixing: Tensor | None = None


def prepare(dataset: sources.DataSet, *, spec: inputs.DataSpec, device: torch.device | str = "cpu") -> DeviceData:
    """Split `dataset` as `spec.validation` says and put it on `device`.

    Raises RecipeError where the held-out part would leave nothing to train on.
    """
    train, validation, test = _split(dataset, spec=spec)
    mean, std = _statistics(train.pixels, spec=spec, white=dataset.white)

    def part(images: sources.Images) -> Part:
        return Part(torch.from_numpy(images.pixels).to(device), torch.from_numpy(images.labels).to(device))

    return DeviceData(
        train=part(train),
        validation=part(validation),
        test=None if test is None else part(test),
        classes=len(dataset.classes),
        white=dataset.white,
        mean=None if mean is None else torch.from_numpy(mean).to(device),
        std=None if std is None else torch.from_numpy(std).to(device),
        digest=dataset.digest,
    )


def plan_epoch(
    data: DeviceData,
    *,
    augmentation: inputs.Augmentation,
    mixing: inputs.Mixing,
    steps: int,
    order_seed: int,
    augmentation_seed: int,
    epoch: int,
) -> EpochPlan:
    """Return the order and the draws of `epoch` (1-based) of `steps` steps, on the device of `data`."""
    device = data.train.labels.device
    order = seeds.permutation(seeds.derive(order_seed, "order", epoch), len(data.train))
    height, width, _ = data.image
    draws = augment.draw(augmentation, seed=augmentation_seed, epoch=epoch, order=order, height=height, width=width)
    table = pairs.draw(mixing, seed=augmentation_seed, epoch=epoch, steps=steps, height=height, width=width)
    return EpochPlan(
        torch.from_numpy(order).to(device),
        None if draws is None else draws.to(device),
        None if table is None else torch.from_numpy(table).to(device),
    )


def _split(
    dataset: sources.DataSet, *, spec: inputs.DataSpec
) -> tuple[sources.Images, sources.Images, sources.Images | None]:
    match spec.validation:
        case inputs.TestImages():
            return dataset.train, dataset.test, None
        case inputs.HeldOut(images=images, split_seed=split_seed):
            total = len(dataset.train.labels)
            controls.images_left(spec, images=total)
            order = seeds.permutation(seeds.derive(split_seed, "held-out", total), total)
            kept, held_out = np.sort(order[images:]), np.sort(order[:images])
            return _take(dataset.train, kept), _take(dataset.train, held_out), dataset.test
        case _:
            assert_never(spec.validation)


def _take(images: sources.Images, index: npt.NDArray[np.int64]) -> sources.Images:
    return sources.Images(images.pixels[index], images.labels[index])


def _statistics(
    pixels: npt.NDArray[np.uint8], *, spec: inputs.DataSpec, white: int
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.float32] | None]:
    """Return mean and standard deviation of pixel/white; sums are exact integers, so no order of adding matters."""
    match spec.normalise:
        case "none":
            return None, None
        case "mean-image":
            mean = pixels.sum(axis=0, dtype=np.int64) / (len(pixels) * white)
            return mean.astype(np.float32), None
        case "per-channel":
            count = pixels.size // pixels.shape[-1]
            histograms = [np.bincount(pixels[..., c].reshape(-1), minlength=256) for c in range(pixels.shape[-1])]
            levels = np.arange(256, dtype=np.int64)
            first = [int(h @ levels) for h in histograms]
            second = [int(h @ levels**2) for h in histograms]
            # Python's integers: in float64 the difference of a constant channel is not always 0.
            variance = [(count * b - a * a) / (count * white) ** 2 for a, b in zip(first, second, strict=True)]
            mean, std = np.array(first) / (count * white), np.sqrt(variance)
            return mean.astype(np.float32), np.where(std > 0, std, 1.0).astype(np.float32)
