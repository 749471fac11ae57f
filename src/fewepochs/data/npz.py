"""A user's own images in one `.npz` file, as Keras keeps MNIST: x_train, y_train, x_test, y_test.

    x_*     uint8 [N, H, W] or [N, H, W, C], the same H, W, C in both
    y_*     whole numbers 0..K-1, [N] or [N, 1], as many as images; K >= 2
    classes optional, K names as a text array; with it a class may have no image, without it each has one

An `.npz` is a zip archive of `.npy` files. Nothing in it is believed: before memory is taken for an array, the size in
the zip's directory must agree with the shape and type in the array's own header, be possible for the bytes that
are there, and fit into `MOST_BYTES`. Objects (pickles) are never loaded.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fewepochs import disk
from fewepochs.data.images import DataSet, Images, digest
from fewepochs.errors import DataError

MOST_BYTES = 16 << 30
"""The most that the arrays of a file may need in memory together."""

_REQUIRED = ("x_train", "y_train", "x_test", "y_test")
_CHUNK = 1 << 20
_MOST_MEMBERS = 1024
_MOST_CLASSES = 65_536
_MOST_NAME = 256
# Deflate cannot do better than 1032:1, so a member that claims more is a lie about its size.
_DEFLATE = 1032

Array = npt.NDArray[Any]


def load(path: Path) -> DataSet:
    """Return the data set in the `.npz` file `path`; raises DataError that says which array is wrong."""
    with open_plain(path) as file:
        arrays = read_arrays(file, required=_REQUIRED, optional=("classes",), where=str(path))
    train = _part(arrays, "train", where=str(path))
    test = _part(arrays, "test", where=str(path))
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise DataError(
            f"{path}: the images of x_train are {_size(train)} and those of x_test {_size(test)}; "
            "height, width and channels must be the same in both."
        )
    classes = _classes(arrays.get("classes"), train, where=str(path))
    _check_labels(train.labels, "y_train", classes=len(classes), where=str(path))
    _check_labels(test.labels, "y_test", classes=len(classes), where=str(path))
    return DataSet(
        kind="npz",
        train=train,
        test=test,
        classes=classes,
        white=255,
        digest=digest(train, test),
        origin=str(path),
        verified="shapes, types and labels",
    )


# --- what the arrays must be ------------------------------------------------------------------------------------


def _part(arrays: Mapping[str, Array], name: str, *, where: str) -> Images:
    """Return one part after the checks that need no look at the other part."""
    x, y = arrays[f"x_{name}"], arrays[f"y_{name}"]
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise DataError(
            f"{where}: x_{name} is {_kind(x)}; expected uint8 [N, H, W] or [N, H, W, C] with pixel values 0..255."
        )
    if 0 in x.shape:
        raise DataError(f"{where}: x_{name} is empty, {list(x.shape)}.")
    if y.dtype.kind not in "iu" or not (y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)):
        raise DataError(f"{where}: y_{name} is {_kind(y)}; expected whole numbers [N] or [N, 1], one label an image.")
    if len(x) != len(y):
        raise DataError(f"{where}: x_{name} has {len(x):,} images and y_{name} {len(y):,} labels.")
    labels = y.reshape(-1)
    # Before the cast, which would wrap an unsigned label round to a negative one.
    if int(labels.min()) < 0 or int(labels.max()) >= _MOST_CLASSES:
        raise DataError(
            f"{where}: y_{name} has labels {int(labels.min())}..{int(labels.max())}; expected 0..K-1 for K classes."
        )
    pixels = x.reshape(*x.shape, 1) if x.ndim == 3 else x
    return Images(np.ascontiguousarray(pixels), labels.astype(np.int64))


def _classes(names: Array | None, train: Images, *, where: str) -> tuple[str, ...]:
    """Return the classes' names: the file's own, or else the labels as text."""
    if names is None:
        count = int(train.labels.max()) + 1
        present = np.bincount(train.labels, minlength=count)
        if not present.all():
            absent = int(np.flatnonzero(present == 0)[0])
            raise DataError(
                f"{where}: y_train has labels up to {count - 1} but none is {absent}; expected 0..K-1 for K classes, "
                "or an array `classes` with the K names if a class has no image on purpose."
            )
        found = tuple(str(label) for label in range(count))
    else:
        if names.dtype.kind != "U" or names.ndim != 1 or len(names) > _MOST_CLASSES:
            raise DataError(f"{where}: classes is {_kind(names)}; expected a text array [K] with the classes' names.")
        found = tuple(str(name) for name in names)
        if any(not name.isprintable() or not 1 <= len(name) <= _MOST_NAME for name in found):
            raise DataError(f"{where}: classes has a name that is empty, not printable or above {_MOST_NAME} letters.")
        if len(set(found)) != len(found):
            raise DataError(f"{where}: classes has the same name twice.")
    if len(found) < 2:
        raise DataError(f"{where}: y_train has a single class; there must be at least two.")
    return found


def _check_labels(labels: npt.NDArray[np.int64], name: str, *, classes: int, where: str) -> None:
    if int(labels.max()) >= classes:
        raise DataError(f"{where}: {name} has the label {int(labels.max())}; {classes} classes are 0..{classes - 1}.")


def _kind(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _size(images: Images) -> str:
    return "x".join(str(side) for side in images.pixels.shape[1:])


# --- reading the container --------------------------------------------------------------------------------------


def open_plain(path: Path) -> IO[bytes]:
    """Open a plain file for reading; raises DataError for anything else, and for what cannot be opened."""
    try:
        return disk.open_plain(path)
    except disk.NotPlainError:
        raise DataError(f"{path} is not a plain file.") from None
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be opened: {error}.") from None


def read_arrays(
    file: IO[bytes], *, required: Sequence[str], optional: Sequence[str] = (), where: str, most_bytes: int = MOST_BYTES
) -> dict[str, Array]:
    """Return the named arrays of the open `.npz` file, writable and contiguous; other members are not looked at.

    Raises DataError when a required one is missing, when anything is damaged, when an array holds objects or when the
    arrays would need more than `most_bytes`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, (*required, *optional), where=where, most_bytes=most_bytes)
            missing = [name for name in required if name not in members]
            if missing:
                raise DataError(f"{where} lacks the array {missing[0]}; expected {', '.join(required)}.")
            return {name: _array(archive, info, f"{where}: {name}") for name, info in members.items()}
    except DataError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy's header reader raise nearly anything on hostile bytes; all of it means the same.
        detail = f"{type(error).__name__}: {error}"[:200]
        raise DataError(f"{where} is not an .npz file, or is damaged ({detail}).") from None


def _members(
    archive: zipfile.ZipFile, names: Sequence[str], *, where: str, most_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """Return the zip members of the named arrays after every check that the zip's directory allows."""
    listing = archive.infolist()
    if len(listing) > _MOST_MEMBERS:
        raise DataError(f"{where} has {len(listing):,} members; that is no data set.")
    members: dict[str, zipfile.ZipInfo] = {}
    for name in names:
        found = [info for info in listing if info.filename == f"{name}.npy"]
        if len(found) > 1:
            raise DataError(f"{where} has {len(found)} arrays called {name}.")
        for info in found:
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                raise DataError(f"{where}: {name} is packed in a way that numpy does not write.")
            if info.file_size > info.compress_size * _DEFLATE + _CHUNK:
                raise DataError(f"{where}: {name} claims {info.file_size:,} bytes, more than it can unpack to.")
            members[name] = info
    total = sum(info.file_size for info in members.values())
    if total > most_bytes:
        raise DataError(f"{where} unpacks to {total:,} bytes; at most {most_bytes:,} are read.")
    return members


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{where} is of the .npy format {version}; 1.0 and 2.0 are read.")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
        if dtype.hasobject or dtype.kind not in "iufbU" or dtype.subdtype is not None:
            raise DataError(f"{where} is of type {str(dtype)[:80]}; plain numbers and text are read, objects never.")
        if any(type(side) is not int or side < 0 for side in shape) or len(shape) > 4:
            raise DataError(f"{where} has the impossible shape {str(shape)[:80]}.")
        size = math.prod(shape) * dtype.itemsize
        if stream.tell() + size != info.file_size:
            raise DataError(
                f"{where} is {dtype} {list(shape)}, which is {size:,} bytes; with its header it has {info.file_size:,}."
            )
        content = _content(stream, size, where)
    if dtype.kind == "U" and content.view(np.dtype("u4").newbyteorder(dtype.byteorder)).max(initial=0) > 0x10FFFF:
        raise DataError(f"{where} has text that is none.")
    array = content.view(dtype) if size else np.empty(0, dtype)
    # Not ascontiguousarray, which would turn a single value into an array of one.
    return np.asarray(array.reshape(shape, order="F" if fortran else "C"), order="C")


def _content(stream: IO[bytes], size: int, where: str) -> npt.NDArray[np.uint8]:
    """Read the `size` bytes that are left of the member; at the last one zipfile compares the checksum."""
    content = np.empty(size, dtype=np.uint8)
    filled = 0
    while filled < size:
        chunk = stream.read(min(_CHUNK, size - filled))
        if not chunk:
            raise DataError(f"{where} ends after {filled:,} of {size:,} bytes.")
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        filled += len(chunk)
    return content
