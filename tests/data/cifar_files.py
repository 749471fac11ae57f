"""CIFAR files in miniature: the published formats, byte for byte of the same make, with a few images each."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fewepochs.data import sources
from fewepochs.data.layouts import CIFAR10, CIFAR100, IMAGE_BYTES, Archive, Batch, Family, Layout

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

PER_BATCH = {"data_batch": 20, "test_batch": 20, "train": 200, "test": 100}


class Python2Pickler(pickle._Pickler):
    """Pickles bytes as Python 2 pickled its strings: what the published files hold."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_str2(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[bytes] = save_str2


def dumps(value: object, protocol: int | None = None) -> bytes:
    """Pickle as Python 2 did, or as this Python does with `protocol`."""
    if protocol is not None:
        return pickle.dumps(value, protocol=protocol)
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def miniature(family: Family) -> Family:
    """Return `family` with a few images a file; its archives have no size and hash before `pack` gave them."""
    return dataclasses.replace(family, layouts=tuple(_small(layout) for layout in family.layouts))


def _small(layout: Layout) -> Layout:
    def small(batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        counts = [next(n for start, n in PER_BATCH.items() if batch.file.startswith(start)) for batch in batches]
        return tuple(Batch(batch.file, count) for batch, count in zip(batches, counts, strict=True))

    archive = dataclasses.replace(layout.archive, size=0, sha256="")
    return dataclasses.replace(layout, train=small(layout.train), test=small(layout.test), archive=archive)


MINI10 = miniature(CIFAR10)
MINI100 = miniature(CIFAR100)


def content(family: Family) -> tuple[list[Pixels], list[Labels]]:
    """Return planes [n, 3072] and labels [n] of every file: random pixels, every class equally often a part."""
    random = np.random.default_rng(7)
    layout = family.layouts[0]
    labels: list[Labels] = []
    for part in (layout.train, layout.test):
        count = sum(batch.images for batch in part)
        shuffled = random.permutation(np.arange(count) % len(family.classes)).astype(np.int64)
        labels += np.split(shuffled, np.cumsum([batch.images for batch in part])[:-1])
    planes = [random.integers(0, 256, (len(part), IMAGE_BYTES), dtype=np.uint8) for part in labels]
    return planes, labels


def expected(family: Family) -> tuple[Pixels, Labels, Pixels, Labels]:
    """Return x_train, y_train, x_test, y_test as a slow oracle puts them together: pixel by pixel."""
    planes, labels = content(family)
    images = np.zeros((sum(map(len, planes)), 32, 32, 3), dtype=np.uint8)
    for row in range(32):
        for column in range(32):
            for channel in range(3):
                images[:, row, column, channel] = np.concatenate(planes)[:, channel * 1024 + row * 32 + column]
    train = sum(batch.images for batch in family.layouts[0].train)
    flat = np.concatenate(labels)
    return images[:train], flat[:train], images[train:], flat[train:]


def batch_bytes(
    family: Family, layout: Layout, planes: Pixels, labels: Labels, *, protocol: int | None = None
) -> bytes:
    """Return the content of one file."""
    if layout.form == "binary":
        columns = [labels.astype(np.uint8)[:, None], planes]
        if layout.label_bytes == 2:
            columns.insert(0, (labels // 5).astype(np.uint8)[:, None])
        return np.hstack(columns).tobytes()
    batch: dict[Any, Any] = {
        b"batch_label": b"a batch",
        layout.label_key.encode(): [int(label) for label in labels],
        b"data": planes,
        b"filenames": [b"image_%05d.png" % i for i in range(len(labels))],
    }
    if layout.label_key == "fine_labels":
        batch[b"coarse_labels"] = [int(label) // 5 for label in labels]
    return dumps(batch, protocol)


def files(family: Family, layout: Layout, *, protocol: int | None = None) -> dict[str, bytes]:
    """Return the content of every file with images, by name."""
    planes, labels = content(family)
    return {
        batch.file: batch_bytes(family, layout, x, y, protocol=protocol)
        for batch, x, y in zip(layout.batches, planes, labels, strict=True)
    }


def write_folder(family: Family, layout: Layout, place: Path, *, protocol: int | None = None) -> Path:
    """Write the extracted folder into `place` and return it."""
    folder = place / layout.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files(family, layout, protocol=protocol).items():
        (folder / name).write_bytes(data)
    (folder / "readme.html").write_text("<p>not read</p>")
    return folder


def member(name: str, data: bytes = b"", **header: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return one tar member; `header` overrides what its header says (type, linkname, size)."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in header.items():
        setattr(info, key, value)
    return info, data


def tar_gz(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a .tar.gz with exactly these members, headers unchecked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def archive_members(family: Family, layout: Layout) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the members of the published archive: the folder, the files in an order of their own, and a page."""
    inside = [member(f"{layout.folder}/{name}", data) for name, data in files(family, layout).items()]
    page = member(f"{layout.folder}/readme.html", b"<p>not read</p>")
    return [member(layout.folder, type=tarfile.DIRTYPE), *inside[::-1], page]


def publish(family: Family, layout: Layout, data: bytes) -> Family:
    """Return `family` with `data` as the published archive of `layout`."""
    archive = Archive(layout.archive.name, layout.archive.url, len(data), hashlib.sha256(data).hexdigest())
    changed = dataclasses.replace(layout, archive=archive)
    return dataclasses.replace(family, layouts=tuple(changed if old is layout else old for old in family.layouts))


def published(family: Family) -> tuple[Family, dict[str, bytes]]:
    """Return the miniature with both archives made and known by their hashes, and the archives' bytes by form."""
    made = {layout.form: tar_gz(archive_members(family, layout)) for layout in family.layouts}
    for form, data in made.items():
        family = publish(family, next(layout for layout in family.layouts if layout.form == form), data)
    return family, {str(form): data for form, data in made.items()}


# --- putting them where users have them ------------------------------------------------------------------------------

PUBLISHED = {"cifar10": published(MINI10), "cifar100": published(MINI100)}
FAMILIES = tuple(family for family, _ in PUBLISHED.values())


def load(kind: str, where: Path | None = None, said: list[str] | None = None) -> sources.DataSet:
    """Load with the miniatures in the place of the published data sets."""
    say = (said if said is not None else []).append
    return sources._load(kind, where=where, download=False, say=say, families=FAMILIES)


def put_archive(place: Path, kind: str, form: str, name: str | None = None) -> Path:
    family, made = PUBLISHED[kind]
    layout = next(layout for layout in family.layouts if layout.form == form)
    place.mkdir(parents=True, exist_ok=True)
    path = place / (name or layout.archive.name)
    path.write_bytes(made[form])
    return path


def put_folder(place: Path, kind: str, form: str, protocol: int | None = None) -> Path:
    family = PUBLISHED[kind][0]
    layout = next(layout for layout in family.layouts if layout.form == form)
    return write_folder(family, layout, place, protocol=protocol)


def assert_whole(found: sources.DataSet) -> None:
    """Compare with the slow oracle, pixel by pixel."""
    x_train, y_train, x_test, y_test = expected(PUBLISHED[found.kind][0])
    np.testing.assert_array_equal(found.train.pixels, x_train)
    np.testing.assert_array_equal(found.train.labels, y_train)
    np.testing.assert_array_equal(found.test.pixels, x_test)
    np.testing.assert_array_equal(found.test.labels, y_test)
    for part in (found.train, found.test):
        assert part.pixels.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.pixels.flags.c_contiguous
        assert part.pixels.flags.writeable
    assert found.white == 255
    assert len(found.digest) == 64
