"""From the bytes of published files to images: [N, 3072] planes in, [N, 32, 32, 3] pixels out.

Whatever the file claims is checked against what is known of it: the number of images, the range of the labels, and
that every class has the same number of images in the training part and in the test part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewepochs.data import pickles
from fewepochs.data.images import Images
from fewepochs.data.layouts import CHANNELS, IMAGE_BYTES, SIDE, Batch, Family, Layout
from fewepochs.errors import DataError

_KEYS = frozenset({"data", "labels", "fine_labels", "coarse_labels", "batch_label", "filenames"})

# A pickle of published form needs up to 5 instructions an image: two labels, a file name and its memo.
_STEPS_PER_IMAGE = 16
_STEPS = 4096


@dataclass(frozen=True, eq=False)
class Rows:
    """One file's images: `planes` uint8 [n, 3072] (red, green, blue), `labels` int64 [n]."""

    planes: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def parse(data: bytes, *, batch: Batch, layout: Layout, classes: int, where: str) -> Rows:
    """Return the images in `data`, the content of the file of `batch`; raises DataError if they are not there.

    `classes` bounds the labels; `where` names the file in messages.
    """
    rows = _binary(data, batch, layout, where) if layout.form == "binary" else _python(data, batch, layout, where)
    if rows.labels.min(initial=0) < 0 or rows.labels.max(initial=0) >= classes:
        raise DataError(f"{where} has a label outside 0..{classes - 1}; the file is damaged or of another data set.")
    return rows


def _binary(data: bytes, batch: Batch, layout: Layout, where: str) -> Rows:
    record = layout.label_bytes + IMAGE_BYTES
    if len(data) != batch.images * record:
        raise DataError(
            f"{where} has {len(data):,} bytes; {batch.images:,} images are {batch.images * record:,} bytes."
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(batch.images, record)
    return Rows(records[:, layout.label_bytes :], records[:, layout.label_bytes - 1].astype(np.int64))


def _python(data: bytes, batch: Batch, layout: Layout, where: str) -> Rows:
    content = pickles.read(data, max_steps=batch.images * _STEPS_PER_IMAGE + _STEPS, where=where)
    missing = {"data", layout.label_key} - content.keys()
    surplus = content.keys() - _KEYS
    if missing or surplus:
        wrong = f"lacks {sorted(missing)}" if missing else f"holds {[key[:40] for key in sorted(surplus)][:5]}"
        raise DataError(f"{where} {wrong}; it is not a batch of this data set.")
    planes, labels = content["data"], content[layout.label_key]
    if not isinstance(planes, np.ndarray) or planes.shape != (batch.images, IMAGE_BYTES):
        raise DataError(f"{where}: 'data' is not an array of {batch.images:,} images with {IMAGE_BYTES} bytes each.")
    # bool is a kind of int in Python, but no label.
    if not isinstance(labels, list) or len(labels) != batch.images or any(type(label) is not int for label in labels):
        raise DataError(f"{where}: '{layout.label_key}' is not a list of {batch.images:,} whole numbers.")
    return Rows(planes, np.array(labels, dtype=np.int64))


def assemble(rows: Mapping[str, Rows], *, family: Family, layout: Layout, where: str) -> tuple[Images, Images]:
    """Return the training and the test part out of the files' rows, keyed by file name; raises DataError."""
    train, test = (_images([rows[batch.file] for batch in part]) for part in (layout.train, layout.test))
    check(train, test, family=family, layout=layout, where=where)
    return train, test


def check(train: Images, test: Images, *, family: Family, layout: Layout, where: str) -> None:
    """Raise DataError unless both parts have the known shape and every class its known number of images."""
    for name, images, batches in (("training", train, layout.train), ("test", test, layout.test)):
        count = sum(batch.images for batch in batches)
        if images.pixels.shape != (count, SIDE, SIDE, CHANNELS) or images.labels.shape != (count,):
            raise DataError(f"{where}: the {name} part is not {count:,} images of {SIDE}x{SIDE} in colour.")
        per_class = count // len(family.classes)
        # Labels were not necessarily checked before: bincount alone would allocate what a wild label asks for.
        inside = images.labels[(images.labels >= 0) & (images.labels < len(family.classes))]
        counts = np.bincount(inside, minlength=len(family.classes))
        if (counts != per_class).any():
            label = int(np.flatnonzero(counts != per_class)[0])
            raise DataError(
                f"{where}: the {name} part has {counts[label]:,} images of class {label} ({family.classes[label]}), "
                f"{family.kind} has {per_class:,} of each; the files are damaged or mixed up."
            )


def _images(parts: list[Rows]) -> Images:
    planes = np.concatenate([part.planes for part in parts]).reshape(-1, CHANNELS, SIDE, SIDE)
    labels = np.concatenate([part.labels for part in parts])
    return Images(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)
