"""What was read out of an archive, kept so that the next run need not unpack it again.

One uncompressed `.npz` for each published archive, named after it, with the content's digest inside. An entry is
written whole or not at all, and its digest is compared at every reading: a damaged entry is renamed to `.bad` and
made again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fewepochs import cache, disk
from fewepochs.data import batches, npz
from fewepochs.data.images import Images, digest
from fewepochs.data.layouts import Family, Layout
from fewepochs.errors import DataError

_NAMES = ("x_train", "y_train", "x_test", "y_test", "digest")


def entry(layout: Layout) -> Path:
    """Return the path of the entry for the archive of `layout`, whether it is there or not."""
    return cache.folder() / (layout.archive.name.removesuffix(".tar.gz") + ".npz")


def read(family: Family, layout: Layout) -> tuple[Images, Images]:
    """Return the training and the test part in the entry; raises DataError, after a damaged entry was set aside."""
    path = entry(layout)
    with npz.open_plain(path) as file:
        try:
            return _verified(npz.read_arrays(file, required=_NAMES, where=str(path)), family, layout, path)
        except DataError as error:
            damage = error
    bad = disk.set_aside(path)
    kept = f"it was renamed to {bad.name}" if bad else "delete it"
    raise DataError(f"The cached copy is damaged; {kept}. {damage}")


def _verified(arrays: dict[str, npz.Array], family: Family, layout: Layout, path: Path) -> tuple[Images, Images]:
    expected = {"x_train": "|u1", "y_train": "<i8", "x_test": "|u1", "y_test": "<i8"}
    wrong = [name for name, dtype in expected.items() if arrays[name].dtype != np.dtype(dtype)]
    if wrong:
        raise DataError(f"{path}: {wrong[0]} is {arrays[wrong[0]].dtype}.")
    train = Images(arrays["x_train"], arrays["y_train"])
    test = Images(arrays["x_test"], arrays["y_test"])
    batches.check(train, test, family=family, layout=layout, where=str(path))
    if str(arrays["digest"][()]) != digest(train, test):
        raise DataError(f"{path}: the content does not have the digest it was stored with.")
    return train, test


def write(layout: Layout, train: Images, test: Images, *, say: Callable[[str], None]) -> None:
    """Store both parts under the name of the archive of `layout`; what cannot be stored is only said."""
    path = entry(layout)
    try:
        with disk.replacing(path) as file:
            np.savez(
                file,
                x_train=train.pixels,
                y_train=train.labels,
                x_test=test.pixels,
                y_test=test.labels,
                digest=np.array(digest(train, test)),
            )
    except OSError as error:
        # The images are at hand; a full disk or a read-only home only costs time at the next start.
        say(f"{path} could not be written ({error.strerror or error}); the next start unpacks the archive again.")
