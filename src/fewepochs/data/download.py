"""Fetching a published archive: said first, then fetched to a temporary name, verified, renamed."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from fewepochs import cache, disk
from fewepochs.data.layouts import Archive, Family
from fewepochs.errors import DataError

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60
_REPORTS = 10


def notice(family: Family) -> str:
    """Return what is said before a download: URL, size and SHA-256."""
    archive = family.layouts[0].archive
    return f"{family.kind}: {archive.url} {archive.size:,} bytes, SHA-256 {archive.sha256}"


def fetch(family: Family, folder: Path, *, say: Callable[[str], None]) -> Path:
    """Download the first archive of `family` into `folder` and return its path.

    Under its final name stands nothing but the whole, verified archive. Content with another SHA-256 is kept under
    `.bad`; an interrupted download leaves nothing. Raises DataError.
    """
    archive = family.layouts[0].archive
    path = folder / archive.name
    bad = disk.bad(path)
    say(notice(family))
    try:
        with disk.replacing(path) as file:
            wrong = _receive(archive, file, say)
            if wrong is not None:
                _keep(file, bad)
                raise DataError(f"{archive.url} gave {wrong}; expected {_expected(archive)}. It is kept as {bad}.")
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{archive.url} could not be fetched: {reason}. Try again, or fetch it by other means and name it "
            "with --data."
        ) from None
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. ${cache.VARIABLE} moves it."
        ) from None
    say(f"{family.kind}: verified and stored as {path}")
    return path


def _expected(archive: Archive) -> str:
    return f"{archive.size:,} bytes with the SHA-256 {archive.sha256}"


def _receive(archive: Archive, file: IO[bytes], say: Callable[[str], None]) -> str | None:
    """Write what the URL gives to `file`; return None if it is the archive, else what it is instead."""
    received, sha256, said = 0, hashlib.sha256(), 0
    with urllib.request.urlopen(archive.url, timeout=_TIMEOUT_SECONDS) as response:
        promised = response.headers.get("Content-Length", "")
        while chunk := response.read(_CHUNK):
            received += len(chunk)
            if received > archive.size:
                return f"more than {archive.size:,} bytes"  # whatever it is, the disk is not filled with it
            sha256.update(chunk)
            file.write(chunk)
            if received * _REPORTS // archive.size > said:
                said = received * _REPORTS // archive.size
                say(f"{received:,} of {archive.size:,} bytes")
    if promised.isdecimal() and received < int(promised):
        raise ConnectionError(f"the connection ended after {received:,} of {int(promised):,} bytes")
    if received == archive.size and sha256.hexdigest() == archive.sha256:
        return None
    return f"{received:,} bytes with the SHA-256 {sha256.hexdigest()}"


def _keep(file: IO[bytes], bad: Path) -> None:
    """Copy what was received to `bad`, to be looked at."""
    file.seek(0)
    with disk.replacing(bad) as copy:
        while chunk := file.read(_CHUNK):
            copy.write(chunk)
