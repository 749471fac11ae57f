"""Noise of the validation loss over g, or over the learning rate, with the fitted laws: both axes logarithmic.

A dot is a phase of constant rate of one run, a line what the law of its family says for its batch size, as far as the
rates of the dots reach. Where all runs are SGD's, the axis is g; else it is the rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt

from fewepochs.report import figures
from fewepochs.report.noise_form import End, Noise, Point
from fewepochs.report.noise_phases import Found, Phase
from fewepochs.stats import noise_law

HEIGHT = 260
RUNS, LAWS = "noise", "laws"


def figure(found: Noise) -> figures.Figure | None:
    """Return the picture of what `fewepochs noise` found; None where no phase has a noise to draw."""
    if not found.points:
        return None
    axis = "g = lr N/(B(1-m))" if found.points[0].over == "g" else "learning rate"
    least, most = (f(point.noise for point in found.points) for f in (min, max))
    arms = ", ".join(dict.fromkeys(point.arm for point in found.points))
    rows, lines = ([one.model_dump() for one in part] for part in (found.points, found.lines))
    return figures.Figure(
        name="noise-law",
        title="Noise of the validation loss, and the laws fitted to it",
        alternative=f"Noise of the validation loss over {axis}, {least:.3g} to {most:.3g}, of {arms}.",
        chart=lambda ink: _chart(rows, lines, title=axis, ink=ink),
        table=(RUNS,),
    )


def points(found: Found) -> tuple[Point, ...]:
    """Return the dots: a phase of constant rate of one run each."""
    pointed = found.pointed("val_loss")
    over = _over(found)
    return tuple(
        Point(
            arm=_arm(phase),
            run=phase.run,
            first=phase.stretch.epochs[0].epoch,
            last=phase.stretch.epochs[-1].epoch,
            over=over,
            x=_x(phase, over),
            noise=point.noise,
        )
        for phase, point in sorted(pointed, key=lambda both: (both[0].family, both[1].batch))
    )


def lines(found: Found, laws: Mapping[str, noise_law.Law]) -> tuple[End, ...]:
    """Return the two ends of each arm's line: of a law that knows the rate, over the rates that the arm has."""
    over = _over(found)
    ends: dict[str, list[End]] = {}
    for phase, point in found.pointed("val_loss"):
        law = laws[phase.family]
        if law.rate.value is not None and (fitted := law.at(rate=point.rate, batch=point.batch)) is not None:
            ends.setdefault(_arm(phase), []).append(End(arm=_arm(phase), x=_x(phase, over), noise=fitted))
    return tuple(end for arm in ends.values() for end in (min(arm, key=_place), max(arm, key=_place)))


def _over(found: Found) -> Literal["g", "rate"]:
    """Return what the horizontal axis is of: g where it is defined for all."""
    pointed = found.pointed("val_loss")
    return "g" if pointed and all(phase.g is not None for phase, _ in pointed) else "rate"


def _arm(phase: Phase) -> str:
    return f"{phase.family}, batch {phase.batch}"


def _x(phase: Phase, over: str) -> float:
    return (phase.g if over == "g" else phase.stretch.rate) or 0.0


def _place(end: End) -> float:
    return end.x


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
    chart = figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink, names=names)
    chart.datasets = {RUNS: list(rows), LAWS: list(lines)}
    return chart
