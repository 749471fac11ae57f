"""Noise of the validation loss over g, or over the learning rate, with the fitted laws: both axes logarithmic.

A dot is a phase of constant rate of one run, a line what the law of its family says for its batch size, as far as the
rates of the dots reach. Where all runs are SGD's, the axis is g; else it is the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from fewepochs.report import figures, noise_tables
from fewepochs.report.noise_phases import Found, Phase

HEIGHT = 260
COLUMNS = 3
"""Entries of the legend beside one another, of batch sizes usually."""

RUNS, LAWS = "noise", "laws"


def figure(found: Found) -> figures.Figure | None:
    """Return the picture of what `noise_phases.find` found; None where no phase has a noise to draw."""
    rows = _rows(found)
    if not rows:
        return None
    axis = "g = lr N/(B(1-m))" if rows[0]["over"] == "g" else "learning rate"
    least, most = (f(row["noise"] for row in rows) for f in (min, max))
    arms = ", ".join(dict.fromkeys(row["arm"] for row in rows))
    return figures.Figure(
        name="noise-law",
        title="Noise of the validation loss, and the laws fitted to it",
        alternative=f"Noise of the validation loss over {axis}, {least:.3g} to {most:.3g}, of {arms}.",
        chart=lambda ink: _chart(rows, _lines(found, over=rows[0]["over"]), title=axis, ink=ink),
        table=(RUNS,),
    )


def _rows(found: Found) -> list[dict[str, Any]]:
    points = found.pointed("val_loss")
    over = "g" if points and all(phase.g is not None for phase, _ in points) else "rate"
    return [
        {
            "arm": _arm(phase),
            "run": phase.run,
            "first": phase.stretch.epochs[0].epoch,
            "last": phase.stretch.epochs[-1].epoch,
            "over": over,
            "x": _x(phase, over),
            "noise": point.noise,
        }
        for phase, point in sorted(points, key=lambda both: (both[0].family, both[1].batch))
    ]


def _arm(phase: Phase) -> str:
    return f"{phase.family}, batch {phase.batch}"


def _x(phase: Phase, over: str) -> float:
    return (phase.g if over == "g" else phase.stretch.rate) or 0.0


def _lines(found: Found, *, over: str) -> list[dict[str, Any]]:
    """Return the two ends of each arm's line: of a law that knows the rate, over the rates that the arm has."""
    laws = noise_tables.laws(found)
    ends: dict[str, list[dict[str, Any]]] = {}
    for phase, point in found.pointed("val_loss"):
        law = laws[phase.family]
        if law.rate.value is not None and (fitted := law.at(rate=point.rate, batch=point.batch)) is not None:
            ends.setdefault(_arm(phase), []).append({"arm": _arm(phase), "x": _x(phase, over), "noise": fitted})
    return [end for arm in ends.values() for end in (min(arm, key=_place), max(arm, key=_place))]


def _place(row: dict[str, Any]) -> float:
    return float(row["x"])


def _chart(
    rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], *, title: str, ink: figures.Ink
) -> alt.VConcatChart:
    names = list(dict.fromkeys(row["arm"] for row in rows))
    colour, dash = figures.arms(names)
    low, high = figures.span([row["x"] for row in rows], log=True)
    ticks = figures.log_ticks((low, high)) or sorted({row["x"] for row in rows})
    axis = alt.Axis(values=ticks, format="~g" if low >= 1e-4 else "~e")
    x = alt.X("x:Q", title=title, scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=axis)
    span = figures.span([row["noise"] for row in (*rows, *lines)], log=True)
    y = figures.vertical("noise", title="noise of val_loss", span=span, log=True)
    dots, laws = (alt.Chart(alt.NamedData(name)).encode(x=x, y=y, color=colour) for name in (RUNS, LAWS))
    layers = [
        laws.mark_line(strokeWidth=1.6, aria=False).encode(strokeDash=dash),
        dots.mark_point(filled=True, size=40, opacity=0.75, aria=False),
    ]
    plot = alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)
    chart = figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink)
    if len(names) > COLUMNS:
        chart.config.legend.columns = COLUMNS
    chart.datasets = {RUNS: list(rows), LAWS: list(lines)}
    return chart
