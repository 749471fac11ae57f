"""Is an offline file of W&B whole? wandb writes it from another process, and says nothing where the disk is full.

Seven bytes of head, then blocks of 32 KiB, as the logs of LevelDB have them: chunks of checksum, length, kind (whole,
first, middle, last) and content. A record is a protobuf message in one chunk or several; the last one says that the run
has ended.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEAD = 1 << 15, 7
CHUNK = struct.Struct("<IHB")
WHOLE, LAST = 1, 4


def is_whole(path: Path, *, epochs: int) -> bool:
    """Return whether the file ends as a run of so many epochs does, with all of them in it."""
    from google.protobuf import message
    from wandb.proto import wandb_internal_pb2

    steps, ended = set(), False
    try:
        for content in _records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(content)
            ended = ended or record.HasField("exit")
            if record.HasField("history"):
                steps.add(record.history.step.num)
    except (OSError, struct.error, message.DecodeError):
        return False
    return ended and steps == set(range(1, epochs + 1))


def _records(content: bytes) -> Iterator[Any]:
    record, position = b"", HEAD
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < CHUNK.size:  # too little for another chunk: zeros
            position += left
            continue
        _, size, kind = CHUNK.unpack_from(content, position)
        position += CHUNK.size
        record += content[position : position + size]
        position += size
        if kind in (WHOLE, LAST):
            yield record
            record = b""
