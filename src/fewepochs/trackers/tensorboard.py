"""TensorBoard: an event file a run, a function of the run's story and of nothing else.

The file of n epochs is the beginning of the file of n + 1. So what is there already is compared, the rest is appended,
and a file that a killed process left half written goes on where it ends; a TensorBoard that is looking on sees it grow.
Only where a story was told otherwise before (the run was trained anew) the file is replaced. Times are seconds from the
run's beginning, not the clock's. Values are 32-bit floats, as TensorBoard keeps them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.text import metadata as texts
from tensorboard.summary.writer import record_writer

from fewepochs import disk
from fewepochs.trackers import story

FILE = "events.out.tfevents.0.fewepochs"
"""TensorBoard asks for the middle word; it reads the files of a folder in the order of their names."""

VERSION = "brain.Event:2"


class TensorBoard:
    """Writes below the folder `to`, a folder a run."""

    def __init__(self, to: Path) -> None:
        self._to = to

    def send(self, told: story.Story, *, later: bool = False) -> int:  # noqa: ARG002 - someone may look on
        """Bring the run's file up to its story; return how many epochs were new."""
        parts = [_head(told), *(_epoch(point) for point in told.points), _tail(told)]
        content = b"".join(parts)
        path = self._to / told.name / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.read_bytes() if path.exists() else b""
        if not content.startswith(there):
            _replace(path, content)
            return len(told.points)
        _append(path, content[len(there) :])
        return _beyond(parts, len(there))

    def close(self) -> None:
        """Nothing is kept open."""


def _beyond(parts: list[bytes], size: int) -> int:
    """Return how many of the epochs' parts do not lie wholly within the first `size` bytes."""
    ends = [sum(map(len, parts[: k + 1])) for k in range(len(parts))]
    return sum(end > size for end in ends[1:-1])


def _append(path: Path, content: bytes) -> None:
    if not content:
        return
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    """Replace the file at once, by one whose name TensorBoard does not take for events."""
    fresh = path.with_name("replacing")
    disk.write_whole(fresh, content)
    fresh.replace(path)


# --- what stands in the file ----------------------------------------------------------------------------------------


def _head(told: story.Story) -> bytes:
    """Return the file's mark, the parameters for the hparams page, and the recipe as text."""
    begun = plugin_data_pb2.SessionStartInfo(group_name=told.digest, start_time_secs=0.0)
    for name, value in told.parameters.items():
        _set(begun.hparams[name], value)
    about = [
        f"{name} = {told.tags[name]}" for name in ("digest", "digest_without_seeds", "foreign") if name in told.tags
    ]
    return (
        _record(event_pb2.Event(wall_time=0.0, file_version=VERSION))
        + _session(hparams.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=begun))
        + _texts({"recipe": told.text, "identity": "\n".join(about)}, step=0, seconds=0.0)
    )


def _set(field: object, value: story.Parameter) -> None:
    kind = "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
    setattr(field, kind, value)


def _epoch(point: story.Point) -> bytes:
    values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
    event = event_pb2.Event(wall_time=point.seconds, step=point.epoch, summary=summary_pb2.Summary(value=values))
    return _record(event) + _texts(point.notes, step=point.epoch, seconds=point.seconds)


def _tail(told: story.Story) -> bytes:
    """Return what is told at the end; how the session ended only where it cannot go on."""
    last = told.points[-1].epoch if told.points else 0
    notes = _texts(told.last_notes, step=last, seconds=told.seconds)
    if told.state not in ("finished", "diverged"):
        return notes
    status = api_pb2.STATUS_SUCCESS if told.state == "finished" else api_pb2.STATUS_FAILURE
    ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=told.seconds)
    return notes + _session(hparams.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=ended))


def _session(tag: str, data: plugin_data_pb2.HParamsPluginData) -> bytes:
    data.version = hparams.PLUGIN_DATA_VERSION
    # A map has no order of its own: the same parameters must be the same bytes.
    content = data.SerializeToString(deterministic=True)
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name=hparams.PLUGIN_NAME, content=content)
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
    value = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=hparams.NULL_TENSOR)
    return _record(event_pb2.Event(wall_time=0.0, summary=summary_pb2.Summary(value=[value])))


def _texts(words: Mapping[str, str], *, step: int, seconds: float) -> bytes:
    """Return texts, as they are: TensorBoard reads Markdown, in which indented lines are code."""
    values = [
        summary_pb2.Summary.Value(
            tag=tag,
            metadata=texts.create_summary_metadata(display_name="", description=""),
            tensor=tensor_pb2.TensorProto(
                dtype=types_pb2.DT_STRING, string_val=["".join(f"    {line}\n" for line in text.splitlines()).encode()]
            ),
        )
        for tag, text in words.items()
    ]
    if not values:
        return b""
    return _record(event_pb2.Event(wall_time=seconds, step=step, summary=summary_pb2.Summary(value=values)))


def _record(event: event_pb2.Event) -> bytes:
    buffer = io.BytesIO()
    record_writer.RecordWriter(buffer).write(event.SerializeToString(deterministic=True))
    return buffer.getvalue()
