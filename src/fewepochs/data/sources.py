"""Data comes from where users have it, and is verified before it is believed.

    cifar10, cifar100   --data DIR or archive, else our cache, else Keras's cache; downloaded only when asked for
    digits              embedded
    npz                 --data FILE.npz

Published archives are compared with their SHA-256 and read without being unpacked; what was read is cached whole or
not at all. A folder that somebody unpacked has no published hash: its files, images and classes are counted. A
user's own file is never changed, moved or renamed; only what stands in our own cache is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fewepochs import cache, disk
from fewepochs.data import archives, digits, download, layouts, npz, unpacked
from fewepochs.data.images import DataSet, Images, digest
from fewepochs.data.layouts import Family, Layout
from fewepochs.errors import DataError

__all__ = ["DataSet", "Images", "Source", "available", "load"]


@dataclass(frozen=True)
class Source:
    """One place that has a data set: its kind, path, form ("python archive", "cache", ...) and a detail."""

    kind: str
    path: str
    form: str
    detail: str


@dataclass(frozen=True)
class _Find:
    """Something that may hold a data set; `own` says that it stands in our cache, where we may rename it."""

    layout: Layout
    path: Path
    form: Literal["cache", "archive", "folder"]
    own: bool = field(default=False, compare=False)


def _silent(_message: str) -> None:
    """Say nothing."""


def load(
    kind: str, *, where: Path | None = None, download: bool = False, say: Callable[[str], None] = _silent
) -> DataSet:
    """Return the data set `kind`: "cifar10", "cifar100", "digits" or "npz".

    `where` is a folder, an archive or an `.npz` file, and then the only place looked at (the embedded digits need
    none). `download` allows to fetch what is in none of the usual places; URL, size and SHA-256 go to `say` first.
    Raises DataError that says what was looked for, where, and how to get it.

    >>> load("digits").train.pixels.shape
    (1437, 8, 8, 1)
    """
    return _load(kind, where=where, download=download, say=say, families=layouts.PUBLISHED)


def available(where: Path | None = None) -> tuple[Source, ...]:
    """Return what could be loaded, without reading it: from `where`, our cache, Keras's cache, and embedded."""
    return tuple(_available(where, layouts.PUBLISHED))


# --- looking ----------------------------------------------------------------------------------------------------


def _mode(path: Path) -> Literal["file", "folder", "other"] | None:
    """Return what stands at `path`; None for nothing, and for what may not be looked at."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def _keras_folder() -> Path:
    """Return where Keras keeps data sets: $KERAS_HOME/datasets, or else ~/.keras/datasets."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")  # noqa: PTH118
    # Unlike Path.expanduser, this leaves a home that cannot be found as it is.
    return Path(os.path.expanduser(home)) / "datasets"  # noqa: PTH111


def _in_place(place: Path, family: Family, *, own: bool = False) -> Iterator[_Find]:
    """Yield what `place` may hold of `family`, archives first: their hash is the stronger proof."""
    for layout in family.layouts:
        for name in layout.archives:
            if _mode(place / name) == "file":
                yield _Find(layout, place / name, "archive", own)
    for layout in family.layouts:
        if any(_mode(place / batch.file) == "file" for batch in layout.batches):
            yield _Find(layout, place, "folder")
        for name in layout.folders:
            if _mode(place / name) == "folder":
                yield _Find(layout, place / name, "folder")


def _in_caches(family: Family) -> Iterator[_Find]:
    for layout in family.layouts:
        if _mode(unpacked.entry(layout)) == "file":
            yield _Find(layout, unpacked.entry(layout), "cache", own=True)
    yield from _in_place(cache.folder(), family, own=True)
    yield from _in_place(_keras_folder(), family)


def _available(where: Path | None, families: Sequence[Family]) -> Iterator[Source]:
    if where is not None and _mode(where) == "file":
        yield from _available_file(where, families)
    for family in families:
        finds = list(_in_caches(family))
        if where is not None and _mode(where) == "folder":
            finds = [*_in_place(where, family), *finds]
        for find in dict.fromkeys(finds):
            form = "cache" if find.form == "cache" else f"{find.layout.form} archive"
            form = f"extracted folder ({find.layout.form})" if find.form == "folder" else form
            yield Source(family.kind, str(find.path), form, _detail(find))
    yield Source("digits", "embedded in fewepochs", "embedded", f"{digits.COUNT:,} images 8x8, CC BY 4.0")


def _available_file(where: Path, families: Sequence[Family]) -> Iterator[Source]:
    size = where.stat().st_size
    if where.suffix == ".npz":
        yield Source("npz", str(where), "npz file", f"{size:,} bytes")
    for family in families:
        for layout in family.layouts:
            if where.name in layout.archives or size == layout.archive.size:
                yield Source(
                    family.kind, str(where), f"{layout.form} archive", _detail(_Find(layout, where, "archive"))
                )


def _detail(find: _Find) -> str:
    if find.form == "folder":
        files = len(find.layout.batches)
        present = sum(_mode(find.path / batch.file) == "file" for batch in find.layout.batches)
        return f"{present} of {files} files with images" + ("" if present == files else ": incomplete")
    size, published = find.path.stat().st_size, find.layout.archive.size
    if find.form == "archive" and size != published:
        return f"{size:,} bytes; as published it has {published:,}"
    return f"{size:,} bytes"


# --- loading ----------------------------------------------------------------------------------------------------


def _load(
    kind: str, *, where: Path | None, download: bool, say: Callable[[str], None], families: Sequence[Family]
) -> DataSet:
    if kind == "digits":
        return digits.load()
    if kind == "npz":
        if where is None:
            raise DataError("npz is your own data: name the file with --data FILE.npz.")
        return npz.load(_expanded(where))
    for family in families:
        if family.kind == kind:
            return _published(family, where=where, download=download, say=say, families=families)
    raise DataError(f"{kind!r} is not a data set; there are {', '.join(f.kind for f in families)}, digits and npz.")


def _published(
    family: Family,
    *,
    where: Path | None,
    download: bool,
    say: Callable[[str], None],
    families: Sequence[Family],
) -> DataSet:
    if where is not None:
        return _from_where(_expanded(where), family, say, families)
    problems: list[str] = []
    found = _first(_in_caches(family), family, say, families, problems)
    if found is not None:
        return found
    if download:
        return _downloaded(family, say, families, problems)
    looked = f"{cache.folder()} (${cache.VARIABLE}) and {_keras_folder()} (Keras's cache)"
    if problems:
        raise DataError("\n".join([f"{family.kind}: nothing usable in {looked}.", *problems, _advice(family)]))
    raise DataError(f"{family.kind} was not found in {looked}. {_advice(family)}")


def _from_where(where: Path, family: Family, say: Callable[[str], None], families: Sequence[Family]) -> DataSet:
    """Load from the place that the user named, and from nowhere else."""
    try:
        is_folder = stat.S_ISDIR(where.stat().st_mode)
        if is_folder:
            os.listdir(where)  # noqa: PTH208 - asks for the permission; the order does not matter
    except FileNotFoundError:
        raise DataError(f"{where} does not exist. {_advice(family)}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{where} cannot be read: {error}.") from None
    if not is_folder:
        return _archive(_Find(family.layouts[0], where, "archive"), family, say, families)
    problems: list[str] = []
    found = _first(_in_place(where, family), family, say, families, problems)
    if found is not None:
        return found
    if problems:
        raise DataError("\n".join([f"{family.kind}: nothing usable in {where}.", *problems, _advice(family)]))
    raise DataError(f"{where} holds no {family.kind}. {_advice(family)}")


def _first(
    finds: Iterator[_Find],
    family: Family,
    say: Callable[[str], None],
    families: Sequence[Family],
    problems: list[str],
) -> DataSet | None:
    """Return the first find that proves to be the data set; then say what was wrong with those before it."""
    for find in finds:
        try:
            found = _read(find, family, say, families)
        except DataError as error:
            problems.append(str(error))
        else:
            _pass_over(problems, say)
            return found
    return None


def _pass_over(problems: Sequence[str], say: Callable[[str], None]) -> None:
    for problem in problems:
        say(f"passed over: {problem}")


def _read(find: _Find, family: Family, say: Callable[[str], None], families: Sequence[Family]) -> DataSet:
    if find.form == "archive":
        return _archive(find, family, say, families)
    if find.form == "cache":
        parts = unpacked.read(family, find.layout)
        verified = f"digest of the cached copy of {find.layout.archive.name}"
    else:
        parts = archives.read_folder(find.path, family=family, layout=find.layout)
        verified = "structure and class counts"
    return _data_set(family, *parts, origin=str(find.path), verified=verified)


def _archive(find: _Find, family: Family, say: Callable[[str], None], families: Sequence[Family]) -> DataSet:
    """Load from an archive, or from the cached copy of what was read out of it once."""
    path = find.path
    with npz.open_plain(path) as file:
        try:
            found, layout = archives.identify(file, path=path, families=families)
        except archives.WrongArchiveError as error:
            bad = disk.set_aside(path) if find.own else None
            kept = f" It was renamed to {bad.name}." if bad else ""
            raise DataError(f"{error}{kept} {_advice(family)}") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
        if found.kind != family.kind:
            raise DataError(f"{path} is the published archive of {found.kind}, not of {family.kind}.")
        parts = _cached(family, layout, say)
        if parts is None:
            parts = archives.read_archive(file, path=path, family=family, layout=layout)
            unpacked.write(layout, *parts, say=say)
    return _data_set(family, *parts, origin=str(path), verified="SHA-256 of the published archive")


def _cached(family: Family, layout: Layout, say: Callable[[str], None]) -> tuple[Images, Images] | None:
    if _mode(unpacked.entry(layout)) != "file":
        return None
    try:
        return unpacked.read(family, layout)
    except DataError as error:
        say(str(error))
        return None


def _downloaded(
    family: Family, say: Callable[[str], None], families: Sequence[Family], problems: Sequence[str]
) -> DataSet:
    _pass_over(problems, say)
    path = download.fetch(family, cache.folder(), say=say)
    return _archive(_Find(family.layouts[0], path, "archive", own=True), family, say, families)


def _data_set(family: Family, train: Images, test: Images, *, origin: str, verified: str) -> DataSet:
    return DataSet(
        kind=family.kind,
        train=train,
        test=test,
        classes=family.classes,
        white=layouts.WHITE,
        digest=digest(train, test),
        origin=origin,
        verified=verified,
    )


def _expanded(path: Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises where there is no home


def _advice(family: Family) -> str:
    """Return how to get the data set."""
    published = "; ".join(archives.describe(layout.archive) for layout in family.layouts)
    folders = " or ".join(layout.folder for layout in family.layouts)
    return (
        f"`fewepochs data fetch {family.kind}` downloads it ({family.layouts[0].archive.size:,} bytes), or --data "
        f"names the published archive, the folder {folders} unpacked from it, or the folder they stand in. "
        f"Published archives: {published}."
    )
