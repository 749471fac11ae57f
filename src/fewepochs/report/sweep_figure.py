"""A range test as a picture: losses over the learning rate, and above them what each rule suggests.

Points are the batches' losses; thin lines each seed's smoothed curve; the thick line their median and the band their
range (with a single seed: two standard errors). Each suggestion has a row above the plot: a dot at the median, a bar
from the lowest to the highest over seeds, and a line down into the plot. SVG, PNG and PDF are on white; the HTML page
follows the reader's light or dark and holds the numbers, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt

from fewepochs.report import figures, picture, sweeps

HEIGHT, ROW = 280, 20
"""Pixels of the plot, and of a suggestion's row above it."""


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Draw what `sweeps.build` found into `path`, in the format that its name ends in. Raises StorageError."""
    figure = figures.Figure(
        name="lr-range",
        title=f"{found['recipe']}: learning-rate range test",
        alternative=_caption(found),
        chart=lambda ink: chart(found, ink=ink),
    )
    picture.write(path, figure, numbers=sweeps.lines(found))


def chart(found: Mapping[str, Any], *, ink: figures.Ink = figures.PAPER) -> alt.VConcatChart:
    """Return the picture of what `sweeps.build` found."""
    rows = [one for one in found["suggestions"] if one["lr"] is not None]
    plots = [_losses(found, rows=rows, ink=ink)]
    if rows:
        plots.insert(0, _suggestions(found, rows=rows, ink=ink))
    kinds = f"{found['optimizer']}, batch {found['batch_size']}, {found['precision']}, {found['data']}"
    title = alt.TitleParams(
        text=f"{found['recipe']}: loss against learning rate" + ("" if found["complete"] else " (incomplete)"),
        subtitle=[f"{kinds}; {sweeps.sweep_line(found['sweep'])}", _caption(found)],
        anchor="start",
        color=ink.text,
        subtitleColor=ink.text,
        fontSize=14,
        subtitleFontSize=11,
        offset=12,
    )
    return figures.finished(alt.VConcatChart(vconcat=plots, spacing=0, title=title), ink=ink)


def _caption(found: Mapping[str, Any]) -> str:
    band, seeds = found["band"], ", ".join(str(seed["seed"]) for seed in found["seeds"])
    if band is None:
        return f"seeds {seeds}: no loss was measured"
    if band["n"] == 1:
        return f"seed {seeds}: smoothed loss, band of two standard errors to both sides; points are single batches"
    return f"seeds {seeds}: median of the smoothed losses, band from lowest to highest; points are single batches"


# --- plots --------------------------------------------------------------------------------------------------------


def _suggestions(found: Mapping[str, Any], *, rows: list[Mapping[str, Any]], ink: figures.Ink) -> alt.LayerChart:
    """Return a row for each suggestion: its name, its spread over seeds, its median.

    The largest is at the top and names stand to the left, so that no line from above runs through a name.
    """
    falling = sorted(rows, key=lambda one: one["lr"], reverse=True)
    data = [
        {"row": row, "label": f"{one['rule']} {one['lr']:.2g}"}
        | {name: one[name] for name in ("lr", "lowest", "highest")}
        for row, one in enumerate(falling)
    ]
    base = alt.Chart(alt.InlineData(values=data))
    x, lowest, y = _x("lr", found, ticks=False), _x("lowest", found, ticks=False), _row("row", len(rows))
    line = base.mark_rule(color=ink.training, strokeWidth=1, strokeDash=[4, 3], aria=False)
    bar = base.mark_rule(color=ink.training, strokeWidth=3, aria=False)
    dot = base.mark_point(filled=True, size=55, color=ink.training, opacity=1, aria=False)
    layers = [
        line.encode(x=x, y=y, y2=alt.Y2Value(len(rows) * ROW)),
        bar.encode(x=lowest, x2=alt.X2("highest:Q"), y=y),
        dot.encode(x=x, y=y),
    ]
    name = base.mark_text(align="right", dx=-9, color=ink.text, fontSize=11, aria=False)
    layers.append(name.encode(x=lowest, y=y, text=alt.Text("label:N")))
    return alt.LayerChart(layer=layers, width=figures.WIDTH, height=len(rows) * ROW)


def _losses(found: Mapping[str, Any], *, rows: list[Mapping[str, Any]], ink: figures.Ink) -> alt.LayerChart:
    """Return the batches' losses, the seeds' curves, their median with its band, and a line a suggestion."""
    x, y = _x("lr", found), _y(found)
    seeds = [seed for seed in found["seeds"] if seed["loss"]]
    single = _flat([{"seed": seed["seed"], "lr": seed["lr"], "loss": seed["loss"]} for seed in seeds], "lr", "loss")
    smooth = [{"seed": seed["seed"], "lr": seed["lr"], "loss": seed["smoothed"]} for seed in seeds]
    layers: list[alt.Chart] = [
        single.mark_point(filled=True, size=8, fillOpacity=0.5, color=ink.line, clip=True, aria=False).encode(x=x, y=y)
    ]
    if found["band"] is not None:
        columns = ("lr", "lowest", "highest", "loss")
        band = _flat([{**found["band"], "loss": found["band"]["median"]}], *columns)
        area = band.transform_filter("datum.highest != null").mark_area(
            color=ink.validation, fillOpacity=0.18, clip=True, aria=False
        )
        lowest = y.copy()
        lowest.shorthand = "lowest:Q"
        layers.append(area.encode(x=x, y=lowest, y2=alt.Y2("highest:Q")))
        thin = _flat(smooth, "lr", "loss").mark_line(
            color=ink.validation, strokeWidth=0.8, strokeOpacity=0.6, clip=True
        )
        layers.append(thin.encode(x=x, y=y, detail=alt.Detail("seed:N")))
        layers.append(band.mark_line(color=ink.validation, strokeWidth=2.2, clip=True, aria=False).encode(x=x, y=y))
    marks = alt.Chart(alt.InlineData(values=[{"lr": one["lr"]} for one in rows]))
    layers.append(marks.mark_rule(color=ink.training, strokeWidth=1, strokeDash=[4, 3], aria=False).encode(x=x))
    return alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)


def _flat(rows: list[dict[str, Any]], *columns: str) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows)).transform_flatten(list(columns))


def _x(field: str, found: Mapping[str, Any], *, ticks: bool = True) -> alt.X:
    """Return the axis of the rates, on which a sweep's steps have equal distances."""
    sweep = found["sweep"]
    span, log = (sweep["from_lr"], sweep["up_to_lr"]), sweep["kind"] == "exponential"
    scale = alt.Scale(type="log" if log else "linear", domain=list(span), nice=False, zero=False)
    if not ticks:
        return alt.X(f"{field}:Q", scale=scale, axis=None)
    small = "datum.value == 0 || datum.value >= 0.001"
    axis = alt.Axis(labelExpr=f"{small} ? format(datum.value, '~g') : format(datum.value, '~e')", grid=True)
    if log:
        axis.values = _decades(span)
    return alt.X(f"{field}:Q", title="learning rate", scale=scale, axis=axis)


def _decades(span: tuple[float, float]) -> list[float]:
    exponents = range(math.ceil(math.log10(span[0]) - 1e-9), math.floor(math.log10(span[1]) + 1e-9) + 1)
    return [float(f"1e{n}") for n in exponents] if 3 <= len(exponents) <= 10 else figures.log_ticks(span)


def _row(field: str, rows: int) -> alt.Y:
    scale = alt.Scale(domain=[-0.5, rows - 0.5], range=[0, rows * ROW], nice=False, zero=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=None)


def _y(found: Mapping[str, Any]) -> alt.Y:
    """Return an axis that ends a little above where the sweep stops counting, however far single losses explode."""
    seeds = [seed for seed in found["seeds"] if seed["loss"]]
    losses = [loss for seed in seeds for loss in (*seed["loss"], *seed["smoothed"])]
    lowest = min((seed["lowest"]["smoothed"] for seed in seeds), default=1.0)
    begin = max((seed["smoothed"][0] for seed in seeds), default=1.0)
    high = min(max(losses, default=1.0), 1.15 * max(begin, found["sweep"]["factor"] * lowest))
    low = min(losses, default=0.0)
    log = figures.is_log([low, high])
    scale = alt.Scale(type="log" if log else "linear", domain=[low / 1.1 if log else 0.0, high], nice=False)
    title = "loss of a training batch, L2 penalty included"
    return alt.Y("loss:Q", title=title, scale=scale, axis=alt.Axis(format="~g", tickCount=6, titleAnchor="middle"))
