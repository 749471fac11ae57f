"""From rows of another tool's file to epochs, with everything that is wrong with them.

An epoch has one row, and epochs follow one another: from 0 or from 1, as the tool counts. A file that starts again
holds two runs, or one that was repeated in part: which of its rows count is for its user to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewepochs.errors import DataError
from fewepochs.foreign import columns
from fewepochs.records import ForeignEpoch

MOST_EPOCHS = 1_000_000

Values = Mapping[columns.Ours, float | int | None]


@dataclass(frozen=True)
class Row:
    """What a file says of one epoch: cells as text, by our names; `place` is where it says it ("line 7")."""

    place: str
    cells: Mapping[columns.Ours, str]


@dataclass(frozen=True)
class Read:
    """The epochs of one run, counted from 1.

    `not_finite` is the first of the epochs at its end whose losses are not finite, None where the last one's are.
    `notes` are what a user should know about the reading.
    """

    epochs: tuple[ForeignEpoch, ...]
    not_finite: int | None
    notes: tuple[str, ...]


def build(rows: Sequence[Row], *, source: str, keras: bool, percent: bool, comma: bool = False) -> Read:
    """Return the curve in `rows`; Keras counts epochs from 0. Raises DataError with every problem found."""
    wrong: list[str] = []
    values: list[Values] = []
    for row in rows:
        read: dict[columns.Ours, float | int | None] = {}
        for ours, text in row.cells.items():
            try:
                read[ours] = columns.cell(text, ours=ours, percent=percent, comma=comma)
            except ValueError as error:
                wrong.append(f"{row.place}: {error}")
        values.append(read)
    if not rows:
        wrong.append("no epoch in it")
    if len(rows) > MOST_EPOCHS:
        wrong.append(f"{len(rows):,} rows: more than {MOST_EPOCHS:,} epochs")
    wrong += [] if wrong else _order(rows, values, first=(0,) if keras else (0, 1))
    wrong += [] if wrong else _unvalidated(rows, values)
    if wrong:
        raise DataError(columns.told(source, wrong))
    notes = [] if keras or values[0].get("epoch") != 0 else ["it counts epochs from 0: its epoch 0 is our epoch 1"]
    lost = [number for number, read in enumerate(values, start=1) if _lost(read)]
    end = [number for number in lost if len(values) - number == sum(other > number for other in lost)]
    if len(lost) > len(end):
        notes.append(f"its loss is not finite in epoch {lost[0]}, and finite again later")
    epochs = tuple(_epoch(number, read) for number, read in enumerate(values, start=1))
    return Read(epochs, min(end, default=None), tuple(notes))


def _order(rows: Sequence[Row], values: Sequence[Values], *, first: Sequence[int]) -> list[str]:
    """Return what is wrong with how the epochs follow one another; a file without their numbers has an epoch a row."""
    if not any("epoch" in row.cells for row in rows):
        return []
    numbers = [read.get("epoch") for read in values]
    for k, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        before = numbers[k - 1] if k else None
        if number is None:
            return [f"{row.place}: no epoch"]
        if before is None and number not in first:
            allowed = " or ".join(map(str, first))
            return [
                f"{row.place}: begins with epoch {number}, not {allowed}: what came before is in another file. Put "
                "both together, the earlier first, and import that"
            ]
        if before is not None and number == before:
            return [f"{row.place}: epoch {number} a second time: an epoch has one row, written at its end"]
        if before is not None and number < before:
            return [
                f"{row.place}: epoch {number} after epoch {before}: training was started again. Two runs: give each a "
                "file of its own. One run that went on: leave each epoch once, the row that counts"
            ]
        if before is not None and number != before + 1:
            return [f"{row.place}: epoch {number} after epoch {before}: what lies between is missing"]
    return []


def _unvalidated(rows: Sequence[Row], values: Sequence[Values]) -> list[str]:
    missing = [row.place for row, read in zip(rows, values, strict=True) if read.get("val_acc") is None]
    if not missing:
        return []
    if len(missing) == len(rows):
        return ["no validation accuracy in any row: was the training given validation data?"]
    return [
        f"{missing[0]}: no validation accuracy ({len(missing)} of {len(rows)} epochs have none): between two "
        "validations nobody saw when a target was reached. Validate after every epoch"
    ]


def _lost(read: Values) -> bool:
    return any((value := read.get(ours)) is not None and not math.isfinite(value) for ours in columns.LOSSES)


def _epoch(number: int, read: Values) -> ForeignEpoch:
    """Return the record of an epoch; a loss that is not finite is absent, as everything that is no number."""
    told = {
        ours: value
        for ours, value in read.items()
        if ours != "epoch" and value is not None and math.isfinite(value) and (ours != "step" or value >= 1)
    }
    return ForeignEpoch.model_validate({"epoch": number, **told})
