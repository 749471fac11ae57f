"""Published archives and the folders they unpack to, read without unpacking anything.

An archive must have the published SHA-256 before it is looked into: a file that only has the right name is refused.
It is then read as a stream, member after member, in memory; members are matched by their full name and everything
else is passed over, so that no member - `../x`, a link, a giant - can write, or fill memory or disk. A folder has no
published hash: its files are checked by name, size and content.
"""

from __future__ import annotations

import gzip
import hashlib
import stat
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from fewepochs.data import batches
from fewepochs.data.images import Images
from fewepochs.data.layouts import Archive, Family, Layout
from fewepochs.errors import DataError

_SLACK = 4 << 20
"""Room for what stands in an archive beside the images: headers, padding, a page to read, the names of the classes."""


class WrongArchiveError(DataError):
    """A file that is not the published archive it was taken for."""


def identify(file: IO[bytes], *, path: Path, families: Sequence[Family]) -> tuple[Family, Layout]:
    """Return which published archive the open `file` is, by size and SHA-256; raises WrongArchiveError."""
    known = {layout.archive.sha256: (family, layout) for family in families for layout in family.layouts}
    size = file.seek(0, 2)
    file.seek(0)
    # Nothing is gained by hashing a file whose size already says no.
    if size in {layout.archive.size for _, layout in known.values()}:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if sha256 in known:
            return known[sha256]
        found = f"{size:,} bytes, SHA-256 {sha256}"
    else:
        found = f"{size:,} bytes"
    file.seek(0)
    raise WrongArchiveError(
        f"{path} is not a published archive: {found}.{_suspicion(file.read(64), size, path, families)}"
    )


def _suspicion(head: bytes, size: int, path: Path, families: Sequence[Family]) -> str:
    """Return in a sentence what the file may be, or nothing."""
    if size == 0:
        return " It is empty."
    if head.lstrip()[:1] == b"<":
        return " It looks like a web page that was saved in the archive's place."
    if head[:2] != b"\x1f\x8b":
        return " It is not a gzip file."
    for archive in (layout.archive for family in families for layout in family.layouts):
        if archive.name == path.name and size < archive.size:
            return f" It was cut off: {archive.name} has {archive.size:,} bytes."
        if archive.name == path.name and size == archive.size:
            return f" It was changed or damaged: {archive.name} has the SHA-256 {archive.sha256}."
    return " If you packed it yourself, unpack it and name the folder instead."


def describe(archive: Archive) -> str:
    """Return an archive's name, size and SHA-256 in one line."""
    return f"{archive.name} ({archive.size:,} bytes, SHA-256 {archive.sha256})"


def read_archive(file: IO[bytes], *, path: Path, family: Family, layout: Layout) -> tuple[Images, Images]:
    """Return the training and the test part in the open .tar.gz `file`; raises DataError."""
    limit = sum(layout.most_bytes(batch) for batch in layout.batches) + _SLACK
    wanted = {f"{layout.folder}/{batch.file}": batch for batch in layout.batches}
    rows: dict[str, batches.Rows] = {}
    file.seek(0)
    try:
        with (
            gzip.GzipFile(fileobj=file, mode="rb") as unzipped,
            tarfile.open(fileobj=cast("IO[bytes]", _Bounded(unzipped, limit, path)), mode="r|") as tar,
        ):
            for member in tar:
                batch = wanted.pop(member.name, None)
                if batch is None:
                    continue
                where = f"{path}: {member.name}"
                data = _member(tar, member, most=layout.most_bytes(batch), where=where)
                rows[batch.file] = batches.parse(
                    data, batch=batch, layout=layout, classes=len(family.classes), where=where
                )
                if not wanted:
                    break
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); it is damaged or cut off.") from None
    if wanted:
        raise DataError(f"{path} lacks {', '.join(wanted)}.")
    return batches.assemble(rows, family=family, layout=layout, where=str(path))


class _Bounded:
    """The readable end of a stream that refuses to give more than `limit` bytes, however far it would unpack."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, limit: int, path: Path) -> None:
        self._stream = stream
        self._left = limit
        self._path = path

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"{self._path} unpacks to far more than the data set; it was not read further.")
        return data


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, *, most: int, where: str) -> bytes:
    if not member.isreg() or member.issparse():
        raise DataError(f"{where} is not a plain file in the archive; it was not read.")
    if member.size > most:
        raise DataError(f"{where} claims {member.size:,} bytes, {most:,} is the most there can be; it was not read.")
    stream = tar.extractfile(member)
    assert stream is not None  # plain files have content
    return stream.read()


def read_folder(path: Path, *, family: Family, layout: Layout) -> tuple[Images, Images]:
    """Return the training and the test part in the folder `path`; raises DataError."""
    rows = {}
    for batch in layout.batches:
        file = path / batch.file
        data = _file(file, most=layout.most_bytes(batch))
        rows[batch.file] = batches.parse(data, batch=batch, layout=layout, classes=len(family.classes), where=str(file))
    return batches.assemble(rows, family=family, layout=layout, where=str(path))


def _file(path: Path, *, most: int) -> bytes:
    try:
        # Before opening: opening a pipe would wait for a writer for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is not a plain file.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; the folder is not complete.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(data) > most:
        raise DataError(f"{path} has more than {most:,} bytes, the most it can have; it was not read.")
    return data
