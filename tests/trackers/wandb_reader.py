"""A slow, obvious reader of the files that W&B writes offline.

Seven bytes of head, then blocks of 32 KiB as LevelDB's logs have them: a chunk is its CRC-32, length, kind (whole,
first, middle, last) and content; a record is a protobuf message in one or several chunks.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

BLOCK, HEAD, WHOLE, LAST = 32768, 7, 1, 4


def records(path: Path) -> list[Any]:
    """Return the records in a .wandb file."""
    from wandb.proto import wandb_internal_pb2

    content, found, record = path.read_bytes(), [], b""
    assert content[:4] == b":W&B"
    position = HEAD
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < HEAD:
            position += left
            continue
        checksum, size, kind = struct.unpack_from("<IHB", content, position)
        chunk = content[position + HEAD : position + HEAD + size]
        assert zlib.crc32(bytes([kind]) + chunk) == checksum
        position += HEAD + size
        record += chunk
        if kind in (WHOLE, LAST):
            found.append(wandb_internal_pb2.Record.FromString(record))
            record = b""
    return found


def history(path: Path) -> dict[str, dict[int, Any]]:
    """Return what was logged, by name and step; the names that W&B adds begin with an underscore."""
    found: dict[str, dict[int, Any]] = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            for item in record.history.item:
                (name,) = item.nested_key or (item.key,)
                of_name = found.setdefault(name, {})
                assert record.history.step.num not in of_name
                of_name[record.history.step.num] = json.loads(item.value_json)
    return found


def run(path: Path) -> Any:
    """Return the record of the run itself."""
    (found,) = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"]
    return found


def config(path: Path) -> dict[str, Any]:
    """Return the run's configuration."""
    items = run(path).config.update
    return {item.key: json.loads(item.value_json) for item in items if not item.key.startswith("_")}


def summary(path: Path) -> dict[str, Any]:
    """Return what was said of the run as a whole."""
    found: dict[str, Any] = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "summary":
            for item in record.summary.update:
                found[".".join(item.nested_key) or item.key] = json.loads(item.value_json)
    return found
