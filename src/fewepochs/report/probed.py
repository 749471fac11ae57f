"""The form in which a probe's command prints with --json what it found, and in which a report reads it again.

    {"probe": "bn-split", "format": 1, "runs": [{"name": ..., "digest": ...}], ..., "tables": [...], "notes": [...]}

What stands in such a file is not trusted: types, lengths and numbers are checked, text stays text. Keys that are not
known here are passed over; what is known has to be as it says. A number that is not finite is absent.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator

from fewepochs.records import Record

FORMAT = 1
"""Goes up where a reader of the former one would misunderstand."""

LENIENT = ConfigDict(extra="ignore")

Text = Annotated[str, Field(max_length=2000)]
Epoch = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Row(Record):
    """Numbers of one moment, line or phase."""

    model_config = LENIENT


AnyRow = TypeVar("AnyRow", bound=Row)


class Run(Record):
    """A run that was looked at: the name of its folder, and its recipe's digest, seed included."""

    name: Text
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Table(Record, Generic[AnyRow]):
    """A table as it was printed, and the numbers behind it."""

    title: Text
    heads: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]
    rows: tuple[tuple[Text, ...], ...]
    data: tuple[AnyRow, ...]

    @model_validator(mode="after")
    def _rows_have_a_cell_for_each_head(self) -> Self:
        if any(len(row) != len(self.heads) for row in self.rows):
            raise ValueError(f"not every row has {len(self.heads)} cells, one for each of its heads")
        return self


class Filled(Table[AnyRow], Generic[AnyRow]):
    """A table that says something."""

    data: Annotated[tuple[AnyRow, ...], Field(min_length=1)]


class Probed(Record):
    """What a probe found in `runs`, at least one."""

    model_config = LENIENT

    format: Literal[1]
    runs: Annotated[tuple[Run, ...], Field(min_length=1)]
    notes: tuple[Text, ...]

    @property
    def run(self) -> str:
        """The name of the first run, the only one of most probes."""
        return self.runs[0].name


def header(probe: str, *runs: Run) -> dict[str, Any]:
    """Return what stands at the head of every such document."""
    return {"probe": probe, "format": FORMAT, "runs": [run.model_dump() for run in runs]}


def finite(value: float | None) -> float | None:
    """Return a number that is one; others are absent.

    >>> finite(float("inf")) is None
    True
    """
    return None if value is None or not math.isfinite(value) else float(value)
