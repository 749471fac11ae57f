"""What probes found as parts of the page: sentences first, then the figure, the tables, and how it was measured.

Files of several runs or kinds stand one after the other, in the order in which they were given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fewepochs.report import drawing, findings, probed, visible

TITLES: Mapping[findings.Kind, str] = {
    "bn-split": "Stale BN statistics or the weights",
    "gradient-noise": "Gradient noise",
    "sharpness": "Sharpness and the edge of stability",
    "landscape": "Training and validation surface",
    "noise": "Noise by learning rate and batch size",
}

MOST_NAMES = 3
"""So many runs are named in a heading; beyond that it counts them."""

_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?(e[+-]?\d+)?")


def build(found: Sequence[findings.Finding], *, desk: drawing.Desk, shown: Collection[str]) -> list[dict[str, Any]]:
    """Return each of `found` as the template takes it, its picture to come; `shown` are the digests of the page's runs.

    A run that is looked at and not shown is named.
    """
    met: Counter[str] = Counter()
    parts = []
    for one in found:
        met[one.probe] += 1
        name = one.probe if met[one.probe] == 1 else f"{one.probe}-{met[one.probe]}"
        figure = findings.figure(one)
        parts.append(
            {
                "name": name,
                "title": f"{TITLES[one.probe]}: {_names(one.runs)}",
                "sentences": findings.sentences(one),
                "figure": desk.figure(figure and replace(figure, name=f"probe-{name}")),
                "tables": [_table(table) for table in one.tables],
                "notes": one.notes,
                "absent": [run.name for run in one.runs if run.digest not in shown],
            }
        )
    return parts


def _names(runs: Sequence[probed.Run]) -> str:
    if len(runs) > MOST_NAMES:
        return f"{len(runs)} runs"
    return ", ".join(visible.shown(run.name) for run in runs) or "no runs"


def _table(table: probed.Table[Any]) -> dict[str, Any]:
    rows = [[_cell(text) for text in row] for row in table.rows]
    columns = zip(*rows, strict=True) if rows else ((),) * len(table.heads)
    numeric = [all(cell["value"] is not None or cell["text"] == "-" for cell in column) for column in columns]
    return {"title": table.title, "heads": list(zip(table.heads, numeric, strict=True)), "rows": rows}


def _cell(text: str) -> dict[str, str | None]:
    """Return a cell with what it is sorted by where it is a number.

    >>> _cell("20,000")["value"], _cell("1 to 2")["value"]
    ('20000', None)
    """
    return {"text": text, "value": text.replace(",", "") if _NUMBER.fullmatch(text) else None}


def finished(parts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the parts with their pictures, which were to come."""
    for part in parts:
        yield {**part, "figure": part["figure"] and drawing.finished(part["figure"])}
