"""Vega, Vega-Lite and Vega-Embed as one script that can stand inside a page.

Putting them together takes seconds, and they change with the release of vl-convert alone: the script is kept in the
cache folder, its SHA-256 before it. What is damaged there, or cannot be read or written, is put together anew.
"""

from __future__ import annotations

import functools
import hashlib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import vl_convert

from fewepochs import cache, disk
from fewepochs.errors import StorageError

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@functools.cache
def script() -> str:
    """Return the script; nothing in it ends the element that holds it."""
    path = cache.folder() / f"vega-{metadata.version('vl-convert-python')}.js"
    known = _read(path)
    return known if known is not None else _make(path)


def _read(path: Path) -> str | None:
    """Return what `path` holds, or None where it is absent or is not what was written."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    return content.decode()


def _make(path: Path) -> str:
    bundle: str = vl_convert.javascript_bundle(_SNIPPET)
    text = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    content = text.encode()
    with suppress(OSError, StorageError):  # without a cache it is only slower
        disk.make_folder(path.parent)
        disk.write_whole(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    return text
