"""The look that all figures share: colours, fonts, axes, sizes. Figures are Vega-Lite specifications.

One specification serves the interactive page and, through vl-convert, the SVG, PDF or PNG of a paper. On a page colours
are CSS variables, which follow the reader's light or dark, and the page's script fits the plots to its width; for paper
they are fixed, and `specification` sets the width.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import altair as alt
from altair.utils import schemapi

Plot = TypeVar("Plot", alt.LayerChart, alt.VConcatChart, alt.ConcatChart)

LOG_SPAN = 10.0
"""A quantity that spans this factor or more gets a logarithmic axis."""

LEFT, RIGHT = 46, 40
"""Pixels beside a plot, for the axis and the labels of the targets; the same in every figure, so that they align."""

LEVEL: Mapping[str, Any] = {
    "titleAngle": 0,
    "titleAlign": "left",
    "titleBaseline": "bottom",
    "titleX": 4 - LEFT,
    "titleY": -9,
}
"""How the title of a vertical axis lies level above it, where it takes no width."""

COLOURS = ("#3f7fd0", "#d2602a", "#2b8a5f", "#9a63c4", "#a57c00", "#7d7d7d")
"""The colours of recipes, each at least 3.5 to 1 against the page's paper, light and dark."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])

HIDDEN = "hidden"
SHOWN = f"indexof({HIDDEN}, datum.arm) < 0"
"""Whether the recipe that a mark belongs to is not hidden by the reader."""

NARROW = 500
"""Below so many pixels in all, panels stand below one another."""

WIDTH = 640
"""Pixels from axis to axis, where nothing else is asked."""

LETTERS = 44
"""The most letters of a recipe's name in a figure: so many have room beside a legend's stroke on a telephone."""

LETTER, SIGN, APART = 7.0, 32, 28
"""Pixels of a legend: what a letter takes at most in the mean, an entry's stroke, and the gap to the next entry."""


@dataclass(frozen=True)
class Ink:
    """Colours of a figure; on a page they are CSS variables, which follow the reader's light or dark."""

    training: str = "#b3261e"
    validation: str = "#0b57a4"
    text: str = "#1c1b1a"
    faint: str = "#dedbd6"
    line: str = "#77736e"
    background: str = "white"
    ground: str = "white"
    """What lies behind a mark that is open."""


PAPER = Ink()
PAGE = Ink(
    training="var(--training)",
    validation="var(--validation)",
    text="var(--ink)",
    faint="var(--faint)",
    line="var(--line)",
    background="transparent",
    ground="var(--paper)",
)
"""Colours as variables of the style sheet, so that light, dark and paper need no second figure."""


@dataclass(frozen=True)
class Figure:
    """A figure of runs: what it is called and shows, how it is drawn, and which data sets are its numbers."""

    name: str
    title: str
    alternative: str
    chart: Callable[[Ink], alt.VConcatChart | alt.ConcatChart]
    table: tuple[str, ...] = ()


def specification(figure: Figure, *, ink: Ink = PAPER, width: float | None = None) -> dict[str, Any]:
    """Return the Vega-Lite specification of `figure`, `width` pixels wide in all (as wide as it likes where None)."""
    with unvalidated():
        chart = figure.chart(ink)
        numbers, chart.datasets = chart.datasets, alt.Undefined  # altair would walk through all of them
        drawn: dict[str, Any] = chart.to_dict(validate=False)
    # What a layer holds in itself altair has gathered there, under names of its own.
    drawn["datasets"] = {**drawn.get("datasets", {}), **({} if numbers is alt.Undefined else numbers)}
    drawn["usermeta"] |= {"table": list(figure.table)}
    return drawn if width is None else fitted(drawn, width)


def fitted(specification: Mapping[str, Any], width: float) -> dict[str, Any]:
    """Return a specification of the same figure, `width` pixels wide in all."""
    found: dict[str, Any] = copy.deepcopy({key: part for key, part in specification.items() if key != "datasets"})
    _fit(found, width)
    found["config"]["legend"]["columns"] = _columns(found["usermeta"]["entry"], width)
    return found | {"datasets": specification["datasets"]}


def unvalidated() -> AbstractContextManager[None]:
    """Let altair take what it is given: holding each part against its schema takes long.

    The specifications are held against it whole, in the tests.
    """
    return schemapi.debug_mode(False)


def _columns(entry: float, width: float) -> int:
    """Return how many entries of a legend, so wide each, stand beside one another above plots `width` wide in all."""
    return max(1, math.floor((width - LEFT) / entry))


def _fit(spec: dict[str, Any], width: float) -> None:
    """Set the widths of all plots, so that `spec` is `width` wide."""
    if "vconcat" in spec:
        for part in spec["vconcat"]:
            _fit(part, width)
    elif "concat" in spec:
        spec["columns"] = columns = 1 if width < NARROW else min(spec["columns"], len(spec["concat"]))
        for part in spec["concat"]:
            _fit(part, (width - spec["spacing"] * (columns - 1)) / columns)
    else:
        spec["width"] = max(60, round(width - LEFT - RIGHT))


def rows(specification: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the numbers of a figure, a row for each point: records whose arrays stand side by side are unfolded."""
    found: list[dict[str, Any]] = []
    for name in specification["usermeta"]["table"]:
        for record in specification["datasets"][name]:
            lengths = {len(value) for value in record.values() if isinstance(value, list)}
            for k in range(lengths.pop() if lengths else 1):
                found.append({key: value[k] if isinstance(value, list) else value for key, value in record.items()})
    return found


def can_hide(chart: Plot) -> Plot:
    """Give a figure the parameter that names the recipes whose marks are hidden; layers filter by `SHOWN`."""
    return with_parameters(chart, {HIDDEN: []})


def with_parameters(chart: Plot, values: Mapping[str, Any]) -> Plot:
    """Give a figure parameters with these values; altair's own way to do it would copy the whole of it."""
    there: Any = () if chart.params is alt.Undefined else chart.params
    chart.params = [*there, *(alt.VariableParameter(name=name, value=value) for name, value in values.items())]
    return chart


def arms(names: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """Return each recipe's colour and dash, with a legend; beyond six, colours come again with another dash."""
    cut = {name: short for name, short in shortened(names).items() if short != name}
    legend = alt.Legend(
        orient="top",
        title=None,
        symbolType="stroke",
        symbolSize=700,
        symbolOpacity=1,
        labelLimit=400,
        labelExpr=f"({json.dumps(cut)})[datum.label] || datum.label" if cut else alt.Undefined,
    )
    dashes = [DASHES[(k + k // len(COLOURS)) % len(DASHES)] for k in range(len(names))]
    return (
        alt.Color("arm:N", scale=arm_colours(names), legend=legend),
        alt.StrokeDash("arm:N", scale=alt.Scale(domain=list(names), range=dashes), legend=legend),
    )


def shortened(names: Sequence[str]) -> dict[str, str]:
    """Return what each of `names` is called where there is little room: cut in its middle, no two alike."""
    half = LETTERS // 2
    found = {name: name if len(name) <= LETTERS else f"{name[:half]}\u2026{name[1 - half :]}" for name in names}
    met: Counter[str] = Counter()
    for name, short in found.items():
        met[short] += 1
        found[name] = short if met[short] == 1 else f"{short} ({met[short]})"
    return found


def arm_colours(names: Sequence[str]) -> alt.Scale:
    """Return which recipe has which colour."""
    return alt.Scale(domain=list(names), range=[COLOURS[k % len(COLOURS)] for k in range(len(names))])


def heading(text: str, *, ink: Ink) -> alt.TitleParams:
    """Return the title of a plot, above it at its left."""
    return alt.TitleParams(text=text, anchor="start", color=ink.text, fontSize=12, offset=8)


def vertical(field: str, *, title: str, span: tuple[float, float], log: bool = False, numbers: str = "~g") -> alt.Y:
    """Return a vertical axis whose title lies level above it, where it takes no width; `numbers` is their format."""
    scale = alt.Scale(type="log" if log else "linear", domain=list(span), nice=False)
    ticks: dict[str, Any] = {"format": numbers, "tickCount": 6 if title == "accuracy" else 3}
    if log:
        ticks = {"format": "~g" if span[0] >= 0.001 else "~e", "values": log_ticks(span)}
    axis = alt.Axis(minExtent=LEFT, maxExtent=LEFT, **LEVEL, **ticks)
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis)


def epochs(field: str, *, title: str | None, last: float, labels: bool = True) -> alt.X:
    """Return a horizontal axis of epochs from 0 to `last`, at whole epochs."""
    axis = alt.Axis(values=whole_ticks(last), format="d", labels=labels, grid=True)
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, last], nice=False), axis=axis)


def whole_ticks(last: float) -> list[int]:
    """Return 0 and its multiples of 1, 2, 5, 10, ... up to `last`, as close as makes no more than eleven.

    >>> whole_ticks(2), whole_ticks(20.5)[-2:], whole_ticks(200)[:3]
    ([0, 1, 2], [18, 20], [0, 20, 40])
    """
    steps = (digit * 10**decade for decade in itertools.count() for digit in (1, 2, 5))
    return list(range(0, math.floor(last) + 1, next(step for step in steps if 10 * step >= math.floor(last))))


def log_ticks(span: tuple[float, float]) -> list[float]:
    """Return the decades within `span`, with their halves and fifths where that makes no more than six."""
    decades = range(math.floor(math.log10(span[0])), math.ceil(math.log10(span[1])) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        inside = [tick for tick in ticks if span[0] <= tick <= span[1]]
        if len(inside) <= 6:
            break
    return inside[:: 1 + len(inside) // 7]


def is_log(values: Sequence[float]) -> bool:
    """Say whether `values` want a logarithmic axis; one that is zero or less has no place on it."""
    return bool(values) and min(values) > 0 and max(values) >= LOG_SPAN * min(values)


def span(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if log:
        return low / 1.2, high * 1.2
    return min(low, 0.0), (high if high > 0 else 0.0) * 1.05 or 1.0


def finished(chart: Plot, *, ink: Ink, names: Sequence[str] = ("training", "validation")) -> Plot:
    """Give a plot, or plots below one another, the look that all of them share; `names` are those of its legend."""
    entry = SIGN + LETTER * max(map(len, shortened(names).values())) + APART
    chart.usermeta = {"margins": LEFT + RIGHT, "left": LEFT, "entry": entry}
    chart.padding = 2
    chart.config = alt.Config(
        font="system-ui, sans-serif",
        background=ink.background,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            gridColor=ink.faint,
            domainColor=ink.line,
            tickColor=ink.line,
            labelColor=ink.text,
            titleColor=ink.text,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            titleAnchor="end",
        ),
        legend=alt.LegendConfig(
            labelColor=ink.text,
            labelFontSize=12,
            titleColor=ink.text,
            titleFontSize=11,
            titleFontWeight="normal",
            symbolStrokeWidth=2.5,
            columnPadding=APART,
            columns=_columns(entry, LEFT + WIDTH + RIGHT),
        ),
    )
    return chart
