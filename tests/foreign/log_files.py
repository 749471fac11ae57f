"""Files as other tools write them, for tests of whatever reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer import event_file_writer

GOLDENS = Path(__file__).parent.parent / "goldens" / "foreign"
MADE: dict[str, Any] = json.loads((GOLDENS / "history.json").read_text())
"""What made the goldens, and Keras's own History of each training."""

VALIDATED: int = MADE["validated"]


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def events(folder: Path, series: Mapping[str, Sequence[tuple[int, float]]]) -> Path:
    """Write an event file of scalars, as TensorFlow 2 does, and return it."""
    writer = event_file_writer.EventFileWriter(str(folder))
    for tag, values in series.items():
        for step, value in values:
            summary = summary_v2.scalar_pb(tag, np.float32(value))
            writer.add_event(event_pb2.Event(wall_time=0.0, step=step, summary=summary))
    writer.close()
    return next(folder.glob("*tfevents*"))
