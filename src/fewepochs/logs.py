"""Logs of runs: a record a line, as JSON.

A log grows by whole lines; what a killed process left of its last one does not count. All lines are validated at once,
because a thousand runs have fifty thousand of them; where anything is wrong, line by line finds out what.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from fewepochs import disk
from fewepochs.errors import CheckpointError
from fewepochs.records import CostRecord, EpochRecord, EvaluationRecord, ForeignEpoch

MOST_BYTES = 1 << 30
"""The largest log that is read: two million epochs."""

R = TypeVar("R", EpochRecord, ForeignEpoch, CostRecord, EvaluationRecord)


def read(path: Path, kind: type[R]) -> tuple[R, ...]:
    """Read a log; a torn last line (no newline, or not a record) does not count, a torn middle line is an error.

    Line n is of epoch n, and evaluations come in the order of their steps: a line that is missing or stands twice is
    damage, too. Raises CheckpointError; OSError where the file cannot be read; an absent file has no records.
    """
    content = disk.read_plain(path, most_bytes=MOST_BYTES) if path.exists() else b""
    content = content[: content.rfind(b"\n") + 1]  # after the last newline: nothing, or a line that was being written
    if not content:
        return ()
    count = content.count(b"\n")
    if content[:1] == b"{" and content.count(b"\n{") + 1 == content.count(b"{") == content.count(b"}\n") == count:
        with suppress(ValueError):  # all at once is quicker; where something is wrong, line by line tells what
            whole = _adapter(kind).validate_json(b"[" + content[:-1].replace(b"\n", b",") + b"]")
            if _in_order(whole):
                return whole
    return _line_by_line(path, content.split(b"\n")[:-1], kind)


def _in_order(records: Sequence[R]) -> bool:
    return all(_follows(record, records[k - 1] if k else None) for k, record in enumerate(records))


def _follows(record: R, before: R | None) -> bool:
    """Return whether `record` may stand behind the record `before`, None at the beginning."""
    if isinstance(record, EvaluationRecord):
        last = before.step if isinstance(before, EvaluationRecord) else 0
        return record.step > last
    return record.epoch == (0 if before is None else before.epoch) + 1


@functools.cache
def _adapter(kind: type[R]) -> TypeAdapter[tuple[R, ...]]:
    return TypeAdapter(cast(Any, GenericAlias(tuple, (kind, ...))))


def _line_by_line(path: Path, lines: Sequence[bytes], kind: type[R]) -> tuple[R, ...]:
    """Return the records of a log's lines; raises CheckpointError for the first that is damaged, but for the last."""
    records: list[R] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = kind.model_validate_json(line)
            if not _follows(record, records[-1] if records else None):
                raise ValueError(f"epoch {record.epoch} in line {number}")
            records.append(record)
        except ValueError:
            if number == len(lines):
                break
            raise CheckpointError(
                f"{path}, line {number}: damaged. Nothing was changed. Restore the file, or delete the run folder "
                "and train again."
            ) from None
    return tuple(records)
