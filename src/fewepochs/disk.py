"""Files that are written whole or not at all, and folders for them.

Content goes to a temporary name in the same folder, is forced to the disk, and takes its final name in one step: what
is found under a final name was complete once. `write_whole` is for a folder that one process writes to, `replacing` for
one that several share. What the system refuses is a StorageError with advice, unless an OSError is said. `open_plain`
reads what may be a stranger's: a link to a device or a pipe would have no end.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fewepochs.errors import StorageError

_STRAY_SECONDS = 86_400


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file `path` so that a reader, or a crash, sees the old or the new content and no mixture."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error, need_bytes=len(content)) from None


def make_folder(path: Path) -> None:
    """Make the folder `path` and those above it, where they are absent."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


class NotPlainError(OSError):
    """A folder, a device, a pipe: nothing that has an end and can be read again."""


def open_plain(path: Path, *, most_bytes: int | None = None) -> IO[bytes]:
    """Open the plain file `path` of at most so many bytes for reading. Raises OSError for anything else."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # before opening: opening a pipe would wait for a writer for ever
        raise NotPlainError(errno.EINVAL, "not a plain file", str(path))
    if most_bytes is not None and found.st_size > most_bytes:
        raise OSError(errno.EFBIG, f"has more than {size(most_bytes)}", str(path))
    return path.open("rb")


def read_plain(path: Path, *, most_bytes: int) -> bytes:
    """Return what is in the plain file `path`, of at most so many bytes. Raises OSError for anything else."""
    with open_plain(path, most_bytes=most_bytes) as file:
        return file.read()


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file that becomes `path` when the block ends; if it ends by an exception, nothing is left.

    Creates the folder. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):
        sync_folder(path.parent)


def bad(path: Path) -> Path:
    """Return the name under which a file that cannot be used is kept: it ends in `.bad`."""
    return path.with_name(path.name + ".bad")


def set_aside(path: Path) -> Path | None:
    """Rename `path` so that it ends in `.bad` and return its new path; None if it cannot be renamed."""
    try:
        return path.replace(bad(path))
    except OSError:
        return None


def unwritable(path: Path, error: OSError, *, need_bytes: int | None = None) -> StorageError:
    """Return the error to raise where the system refused to write `path`, with what it would take."""
    what, full = error.strerror or str(error), error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if need_bytes is not None and full:
        what += f": needs {size(need_bytes)}"
    if error.errno == errno.ENOSPC:
        with suppress(OSError):
            what += f", {size(shutil.disk_usage(path.parent).free)} free"
    return StorageError(f"{path}: cannot be written: {what}; {'free space, or ' if full else ''}choose another place")


def size(count: int) -> str:
    """Return bytes as they are told: 99,999 bytes, 0.1 MB."""
    return f"{count:,} bytes" if count < 100_000 else f"{count / 1e6:,.1f} MB"


def _sweep(path: Path) -> None:
    """Remove what killed processes left of `path`: temporary files of it that nobody wrote to for a day."""
    for stray in path.parent.glob(f"{path.name}.*.part"):
        with suppress(OSError):
            if time.time() - stray.stat().st_mtime > _STRAY_SECONDS:
                stray.unlink()
