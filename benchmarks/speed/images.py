"""CIFAR-10's training images for those who are not ours: two files that the entry writes once, read by numpy.

That is less than a user's script has to do; ours reads the data set itself, with its checks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

PIXELS, LABELS = "pixels.npy", "labels.npy"


def write(folder: Path, *, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
    """Write `pixels` [N, 32, 32, 3] and `labels` [N] into `folder`."""
    np.save(folder / PIXELS, pixels)
    np.save(folder / LABELS, labels)


def read(folder: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the images as the published script feeds them, pixel / 255 minus the mean image, and the labels."""
    images = np.load(folder / PIXELS).astype(np.float32)
    images /= 255
    images -= images.mean(axis=0)
    return images, np.load(folder / LABELS)


class Parts:
    """Walks through the training set: another part of it each time, from the front again at its end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = 0

    def take(self, count: int) -> slice:
        """Return the next `count` images, `count` at most the total; those left at the end are passed over."""
        start = self._next if self._next + count <= self._total else 0
        self._next = start + count
        return slice(start, self._next)
