"""Slices of the loss surfaces as a figure: a panel a line, before and after side by side; the plane with its path.

Training is red and dashed, validation blue. Panels of one kind share their axes, so that before and after can be
compared by eye. The plane is coloured by levels of the loss, a level a factor; the path is a line with a dot a moment.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from fewepochs.report import figures, visible
from fewepochs.report.landscape_form import PARTS, Curve, Grid, Landscape, told

HEIGHT, GAP = 170, 24
LINES, PLANES, PATH = "lines", "planes", "path"
LEVELS = 9
PANEL = round((figures.WIDTH - figures.LEFT - figures.RIGHT - GAP) / 2)
FEW = 1e-4
"""A loss below this is drawn at it: on a logarithmic axis a perfect fit has no place."""


def figure(found: Landscape) -> figures.Figure:
    """Return all slices of a run as one figure."""
    what = ", ".join(f"{line.line} (epoch {told(line.epochs)})" for line in found.lines)
    return figures.Figure(
        name="landscape",
        title=f"{visible.shown(found.run)}: slices of training and validation loss",
        alternative=f"Training and validation loss on lines through the weights: {what}; {len(found.planes)} planes.",
        chart=lambda ink: _chart(found, ink=ink),
        table=(LINES, PLANES),
    )


def _chart(found: Landscape, *, ink: figures.Ink) -> alt.ConcatChart:
    ordered = sorted(found.lines, key=lambda line: (line.kind != "gradient", line.kind != "random", line.kind))
    panels: list[alt.LayerChart] = [_line(line, ordered, ink=ink) for line in ordered]
    whole = len(panels) // 2 * 2  # the two halves of a plane stand side by side, an odd line below them
    panels[whole:whole] = [_plane(plane, part, ink=ink) for plane in found.planes for part in PARTS]
    title = alt.TitleParams(
        text=f"{visible.shown(found.run)}: slices of the loss",
        subtitle="cross-entropy; training red and dashed, validation blue",
        anchor="start",
        color=ink.text,
        subtitleColor=ink.text,
        fontSize=14,
        subtitleFontSize=11,
        offset=12,
    )
    chart = figures.finished(alt.ConcatChart(concat=panels, columns=2, spacing=GAP, title=title), ink=ink)
    chart.resolve = alt.Resolve(scale=alt.ScaleResolveMap(color="independent"))
    chart.datasets = {
        LINES: [row for line in ordered for row in _points(line)],
        PLANES: [row for plane in found.planes for row in _cells(plane)],
        PATH: [
            {"epoch": epoch, "across": across, "down": down}
            for plane in found.planes
            for epoch, across, down in plane.path
        ],
    }
    return chart


def _points(line: Curve) -> list[dict[str, Any]]:
    """Return the curves of a line, columns side by side."""
    about = {"line": line.line, "epochs": told(line.epochs)}
    curves = {"training": line.training, "validation": line.validation}
    return [
        about | {"part": part, "t": t, "loss": loss}
        for part, curve in curves.items()
        for t, loss in zip(line.t, curve, strict=True)
    ]


def _cells(plane: Grid) -> list[dict[str, Any]]:
    pairs = itertools.product(enumerate(plane.down), enumerate(plane.across))
    return [
        {"plane": plane.kind, "across": across, "down": down}
        | {"training": plane.training[i][j], "validation": plane.validation[i][j]}
        for (i, down), (j, across) in pairs
    ]


def _line(line: Curve, lines: list[Curve], *, ink: figures.Ink) -> alt.LayerChart:
    alike = [other for other in lines if other.kind == line.kind and other.line == line.line]
    losses = [max(FEW, value) for other in alike for curve in (other.training, other.validation) for value in curve]
    log = figures.is_log(losses)
    places = [place for other in alike for place in (other.t[0], other.t[-1])]
    x = alt.X(
        "t:Q",
        title="t",
        scale=alt.Scale(domain=[min(places), max(places)], nice=False, zero=False),
        axis=alt.Axis(tickCount=5, grid=True),
    )
    span = figures.span(losses, log=log)
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=["training", "validation"], range=[ink.training, ink.validation]),
        legend=None,
    )
    dash = alt.StrokeDash(
        "part:N", scale=alt.Scale(domain=["training", "validation"], range=[[5, 2], [1, 0]]), legend=None
    )
    epochs = told(line.epochs)
    base = (
        alt.Chart(alt.NamedData(LINES))
        .transform_filter(f"datum.line === '{line.line}' && datum.epochs === '{epochs}'")
        .transform_calculate(shown=f"max(datum.loss, {FEW})")
    )
    curve = base.mark_line(strokeWidth=1.8, clip=True, aria=False).encode(
        x=x, y=figures.vertical("shown", title="loss", span=span, log=log), color=colour, strokeDash=dash
    )
    marks = alt.Chart(alt.InlineData(values=[{"t": float(t)} for t in range(len(line.epochs))]))
    rule = marks.mark_rule(color=ink.line, strokeWidth=1, strokeDash=[4, 3], aria=False).encode(x=x)
    heading = figures.heading(f"{line.line}, epoch {epochs}", ink=ink)
    return alt.LayerChart(layer=[rule, curve], width=PANEL, height=HEIGHT, title=heading)


def _plane(plane: Grid, part: str, *, ink: figures.Ink) -> alt.LayerChart:
    """Return a heat map with a colour a level, and the path on it; both parts have the same levels."""
    x, y = _side("across", plane.across), _side("down", plane.down)
    levels = _levels(plane)
    colour = alt.Color(
        f"{part}:Q",
        scale=alt.Scale(type="threshold", domain=levels, scheme=alt.SchemeParams("viridis", count=len(levels) + 1)),
        legend=alt.Legend(title="loss", format=".2~g", orient="right", symbolStrokeWidth=0),
    )
    half = [abs(places[1] - places[0]) / 2 for places in (plane.across, plane.down)]
    cells = (
        alt.Chart(alt.NamedData(PLANES))
        .transform_filter(f"datum.plane === '{plane.kind}'")
        .transform_calculate(
            left=f"datum.across - {half[0]}",
            right=f"datum.across + {half[0]}",
            low=f"datum.down - {half[1]}",
            high=f"datum.down + {half[1]}",
        )
        .mark_rect(aria=False, strokeWidth=0)
        .encode(x=x, x2=alt.X2("right:Q"), y=y, y2=alt.Y2("high:Q"), color=colour)
    )
    path = alt.Chart(alt.NamedData(PATH))
    at = {"x": _of(x, "across"), "y": _of(y, "down")}
    trail = path.mark_line(color="white", strokeWidth=1.4, aria=False).encode(**at, order=alt.Order("epoch:Q"))
    dots = path.mark_point(filled=True, size=26, color="white", stroke="black", strokeWidth=0.6, opacity=1, aria=False)
    names = path.mark_text(dx=6, dy=-6, fontSize=9, color="white", aria=False).encode(**at, text=alt.Text("epoch:Q"))
    heading = figures.heading(f"{part} loss, {plane.kind} plane, epoch {plane.epoch}", ink=ink)
    layers = [cells, trail, dots.encode(**at), names]
    return alt.LayerChart(layer=layers, width=PANEL, height=PANEL, title=heading)


def _side(field: str, places: Sequence[float]) -> Any:
    half = (places[1] - places[0]) / 2
    scale = alt.Scale(domain=[places[0] - half, places[-1] + half], nice=False, zero=False)
    if field == "across":
        return alt.X("left:Q", title="first direction", scale=scale, axis=alt.Axis(grid=False, tickCount=5))
    axis = alt.Axis(grid=False, tickCount=5, minExtent=figures.LEFT, maxExtent=figures.LEFT, **figures.LEVEL)
    return alt.Y("low:Q", title="second direction", scale=scale, axis=axis)


def _of(side: Any, field: str) -> Any:
    other = side.copy()
    other.shorthand = f"{field}:Q"
    return other


def _levels(plane: Grid) -> list[float]:
    """Return rising levels a factor apart, from the lowest loss of both parts to the highest."""
    values = [value for part in (plane.training, plane.validation) for row in part for value in row]
    low = max(FEW, min(values))
    high = max(*values, 2 * low)
    steps = [low * (high / low) ** (k / (LEVELS + 1)) for k in range(1, LEVELS + 1)]
    return sorted({float(f"{step:.1e}") for step in steps if math.isfinite(step)})
