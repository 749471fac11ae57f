"""Curves in CSV: what Keras's CSVLogger writes, and what people and other tools do.

Keras counts epochs from 0, writes a line an epoch, "NA" for what an epoch has not, and ends each line as it goes on: a
last line without an end was being written when the process died, and does not count. Other files have a line of names
and a line an epoch; the epochs, where they are numbered, count from 0 or 1. Commas, semicolons or tabs divide; where
they are no commas, 0,93 may be a number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewepochs.errors import DataError
from fewepochs.foreign import columns, curve

SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Table:
    """Names, and rows with the line that each ends in; `torn` if the last line has no end; `comma` divides nothing."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    torn: bool
    comma: bool


def parse(content: bytes, *, source: str) -> Table:
    """Return the table in `content`. Raises DataError where it is none."""
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{source}: not a text file in UTF-8, so not CSV") from None
    if "\0" in text:
        raise DataError(f"{source}: not a text file, so not CSV")
    head = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    found: list[tuple[int, tuple[str, ...]]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                found.append((reader.line_num, tuple(row)))
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: not CSV: {error}") from None
    if not found:
        raise DataError(f"{source}: empty; it has not even a line of names")
    names = tuple(name.strip() for name in found[0][1])
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError(f"{source}: several columns are called {', '.join(twice)}")
    return Table(names, tuple(found[1:]), torn=not text.endswith(("\n", "\r")), comma=separator != ",")


def is_keras(table: Table) -> bool:
    """Return whether CSVLogger may have written `table`: epochs from 0, then names in order of the alphabet.

    Where there was no validation in the first epoch, it adds the same names with val_ at the end.
    """
    rest = table.names[1:]
    trained = tuple(name for name in rest if not name.startswith("val_"))
    sortings = [tuple(sorted(rest)), (*sorted(trained), *(f"val_{name}" for name in sorted(trained)))]
    starts = [row[0].strip() for _, row in table.rows[:1]]
    return table.names[:1] == ("epoch",) and rest in sortings and starts in ([], ["0"])


def read(
    table: Table, *, source: str, keras: bool, percent: bool, asked: Mapping[str, str], run_column: str | None = None
) -> dict[str | None, curve.Read]:
    """Return the curve in `table`, or one for each value of its column `run_column`, in order of first appearance.

    Raises DataError with every problem found.
    """
    chosen = columns.choose(table.names, asked=asked, source=source)
    places = {ours: table.names.index(theirs) for ours, theirs in chosen.items()}
    kept, notes = _whole(table, keras=keras)
    if wrong := _misshapen(kept, names=table.names):
        raise DataError(columns.told(source, wrong))
    parts: dict[str | None, list[curve.Row]] = {}
    at = None if run_column is None else _place(table, run_column, source=source)
    for line, cells in kept:
        row = curve.Row(f"line {line}", {ours: cells[place] for ours, place in places.items()})
        parts.setdefault(None if at is None else cells[at].strip(), []).append(row)
    found = {}
    for part, rows in (parts or {None: []}).items():
        where = source if part is None else f"{source}, {run_column} {part}"
        one = curve.build(rows, source=where, keras=keras, percent=percent, comma=table.comma)
        found[part] = curve.Read(one.epochs, one.not_finite, (*notes, *one.notes))
    return found


def _place(table: Table, run_column: str, *, source: str) -> int:
    if run_column not in table.names:
        raise DataError(f"{source}: no column {run_column}; it has {columns.listed(table.names)}")
    return table.names.index(run_column)


def _misshapen(rows: Sequence[tuple[int, tuple[str, ...]]], *, names: tuple[str, ...]) -> list[str]:
    wrong = []
    for line, cells in rows:
        if tuple(cell.strip() for cell in cells) == names:
            wrong.append(
                f"line {line}: the names once more: training was started again. Give each run a file of its own"
            )
        elif len(cells) != len(names):
            wrong.append(f"line {line}: {len(cells)} cells under {len(names)} names")
    return wrong


def _whole(table: Table, *, keras: bool) -> tuple[Sequence[tuple[int, tuple[str, ...]]], tuple[str, ...]]:
    """Return the rows that were written to their end, and a note about the one that was not."""
    if not table.torn or not table.rows:
        return table.rows, ()
    line, cells = table.rows[-1]
    if not keras and len(cells) == len(table.names):
        return table.rows, ()
    return table.rows[:-1], (f"line {line} is cut off: left out",)
