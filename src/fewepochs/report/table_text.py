"""Tables as text for a terminal, as Markdown for a paper, as CSV for a program.

A table is made of cells that are text already; CSV has the numbers behind them instead, a line an observation, an
absent one empty. A table too wide for a terminal goes on below with its first columns repeated.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

WIDTH = 80
GAP = "  "
Form = Literal["text", "markdown", "csv"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True)
class Table:
    """A title, the heads of columns, rows of cells, and `data`, the numbers behind them.

    The first `keys` columns say what a row is about.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: tuple[Mapping[str, Any], ...]
    keys: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the table as JSON-able data."""
        return {
            "title": self.title,
            "heads": list(self.heads),
            "rows": [list(r) for r in self.rows],
            "data": [*self.data],
        }


@dataclass(frozen=True)
class Page:
    """Tables that belong together, what a careful reader would object, and `commands` that make what is missing.

    A command is never wrapped; each comes with what it makes.
    """

    kind: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the page as JSON-able data."""
        return {
            "table": self.kind,
            **self.asked,
            "tables": [table.as_dict() for table in self.tables],
            "notes": list(self.notes),
            "commands": [{"makes": makes, "command": command} for makes, command in self.commands],
        }


def lines(page: Page, *, form: Form, width: int = WIDTH) -> list[str]:
    """Return the page's lines in the form asked for."""
    match form:
        case "text":
            return _text(page, width=width)
        case "markdown":
            return _markdown(page)
        case "csv":
            return _csv(page)


def _text(page: Page, *, width: int) -> list[str]:
    told: list[str] = []
    for table in page.tables:
        told.extend([*textwrap.wrap(table.title, width), *_blocks(table, width=width), ""])
    told.extend(line for makes, command in page.commands for line in (f"# {makes}", command))
    told.extend([""] if page.commands else [])
    for note in page.notes:
        told.extend(textwrap.wrap(f"note: {note}", width, break_long_words=False, break_on_hyphens=False))
    return told if page.notes else told[:-1]


def _blocks(table: Table, *, width: int) -> list[str]:
    """Return the table's lines; columns that do not fit go below, with the key columns again."""
    grid = (table.heads, *table.rows)
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.heads))]
    keys = list(range(table.keys))
    blocks: list[list[int]] = [[]]
    for column in range(table.keys, len(table.heads)):
        taken = sum(widths[i] + len(GAP) for i in (*keys, *blocks[-1]))
        if blocks[-1] and taken + widths[column] > width:
            blocks.append([])
        blocks[-1].append(column)
    told: list[str] = []
    for block in blocks:
        told += [GAP.join(row[i].ljust(widths[i]) for i in (*keys, *block)).rstrip() for row in grid]
        told.append("")
    return told[:-1]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows (the head is one of them) as lines with columns aligned; none for none."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _markdown(page: Page) -> list[str]:
    told: list[str] = []
    for table in page.tables:
        told += [escaped(table.title), "", _row(table.heads), _row(["---"] * len(table.heads), plain=True)]
        told += [*(_row(row) for row in table.rows), ""]
    told += [f"    {line}" for makes, command in page.commands for line in (f"# {makes}", command)]
    told += [""] if page.commands else []
    told += [f"- {escaped(note)}" for note in page.notes]
    return told if page.notes else told[:-1]


def _row(cells: Sequence[str], *, plain: bool = False) -> str:
    return f"| {' | '.join(cell if plain else escaped(cell) for cell in cells)} |"


def escaped(text: str) -> str:
    r"""Return `text` so that Markdown shows it as it is, HTML included.

    >>> escaped("batch_size <b> 84*")
    'batch\\_size \\<b\\> 84\\*'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split("\n"))).replace("&", "&amp;")


def _csv(page: Page) -> list[str]:
    """Return each table's data, tables of the same columns as one; notes have no place there."""
    return csv_text([row for table in page.tables for row in table.data]).splitlines()


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, a column for each key that one of them has."""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
