"""A file is written whole or not at all.

Content goes to a temporary name in the same folder, is forced to the disk, and takes its final name in one step.
What is found under a final name was therefore complete once.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_STRAY_SECONDS = 86_400


@contextlib.contextmanager
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
    _sync(path.parent)


def set_aside(path: Path) -> Path | None:
    """Rename `path` so that it ends in `.bad` and return its new path; None if it cannot be renamed."""
    bad = path.with_name(path.name + ".bad")
    try:
        return path.replace(bad)
    except OSError:
        return None


def _sync(folder: Path) -> None:
    """Force the folder's entries to the disk, where the file system knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(path: Path) -> None:
    """Remove what killed processes left of `path`: temporary files of it that nobody wrote to for a day."""
    for stray in path.parent.glob(f"{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - stray.stat().st_mtime > _STRAY_SECONDS:
                stray.unlink()
