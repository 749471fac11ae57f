"""Images with their labels, as values, and the digest that names them.

    digest = SHA-256( for train, then test:  shape of the pixels, pixels, labels as little-endian 64-bit integers )

The digest speaks of content alone: the same images in the same order have the same digest, whichever file they came
from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


# eq=False: two arrays do not compare to one truth value; a data set's digest is its equality.
@dataclass(frozen=True, eq=False)
class Images:
    """`pixels` uint8 [N, H, W, C], `labels` int64 [N]; both contiguous and writable."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """A training part and a test part with what is known of them.

    `white` is the largest value that a pixel can have (255; 16 for the digits). `digest` is 64 hexadecimal digits.
    `origin` and `verified` say in words where the images came from and what was checked.
    """

    kind: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    white: int
    digest: str
    origin: str
    verified: str


def digest(train: Images, test: Images) -> str:
    """Return the SHA-256 over shapes, pixels and labels of both parts, as 64 hexadecimal digits."""
    total = hashlib.sha256()
    for part in (train, test):
        total.update(repr(tuple(int(side) for side in part.pixels.shape)).encode())
        # hashlib takes one-dimensional buffers only; on contiguous arrays this copies nothing.
        total.update(np.ascontiguousarray(part.pixels).reshape(-1).data)
        total.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
    return total.hexdigest()
