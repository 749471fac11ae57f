"""The gradient noise scale as tables and as a figure: over epochs, and by layer after the last of them.

Every number that is printed or drawn is one of the tables'. A scale is in images: at a batch of so many, noise and
gradient are alike. Where the gradient is not told from its noise there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from fewepochs.probes.scores import GradientNoise, Scale
from fewepochs.report import figures, labels
from fewepochs.report.table_text import Page, Table

HEIGHT = 220
SCALES = "scales"
WHOLE = "all weights"


def page(name: str, found: Sequence[GradientNoise], *, layers: bool) -> Page:
    """Return the tables of the run `name`: a row for each moment, and with `layers` one for each layer of the last.

    The data of the first table have every layer of every moment only with `layers`.
    """
    shown = labels.shown(name)
    heads = ("epoch", "lr", "|G|^2", "tr(Sigma)", "B_simple", "lowest", "highest", "batch")
    rows = tuple(
        (str(one.epoch), "-" if one.lr is None else f"{one.lr:.3g}", *_cells(one.whole), str(one.batch_size))
        for one in found
    )
    data = [row(one, layer=WHOLE, scale=one.whole) for one in found]
    tables = [Table(f"{shown}: gradient noise scale, in images", heads, rows, tuple(data))]
    if layers:
        last = found[-1]
        cells = tuple((layer, *_cells(scale)) for layer, scale in last.layers.items())
        by_layer = tuple(row(one, layer=layer, scale=scale) for one in found for layer, scale in one.layers.items())
        title = f"{shown}: by layer, after epoch {last.epoch}"
        tables.append(Table(title, ("layer", *heads[2:7]), cells, by_layer))
    first = found[0]
    notes = (
        "B_simple = tr(Sigma) / |G|^2 (McCandlish et al. 2018); lowest and highest: 95 percent, from resampled draws",
        f"{first.draws} draws of {first.batches} batches of {first.batch_size} augmented training images, with "
        "replacement; BN as in training; |G| includes the L2 penalty",
        f"{sum(one.images for one in found):,} images went forward and backward, {first.images:,} a moment",
    )
    return Page("gradient-noise", tuple(tables), notes)


def row(one: GradientNoise, *, layer: str, scale: Scale) -> dict[str, Any]:
    """Return the numbers of a moment and a layer."""
    return {
        "epoch": one.epoch,
        "step": one.steps,
        "lr": one.lr,
        "layer": layer,
        "signal": scale.signal,
        "noise": scale.noise,
        "scale": scale.images,
        "low": scale.low,
        "high": scale.high,
        "batch_size": one.batch_size,
        "draws": one.draws,
        "batches": one.batches,
        "images": one.images,
    }


def figure(name: str, found: Sequence[GradientNoise]) -> figures.Figure | None:
    """Return the scale over epochs with its interval, and the batch size; None where no moment has a scale above 0."""
    rows = [row(one, layer=WHOLE, scale=one.whole) for one in found if one.whole.images]
    if not rows:
        return None
    least, most = (f(one["scale"] for one in rows) for f in (min, max))
    return figures.Figure(
        name="gradient-noise",
        title=f"{labels.shown(name)}: gradient noise scale over epochs",
        alternative=f"Gradient noise scale over epochs, {least:.3g} to {most:.3g} images, with 95 percent intervals.",
        chart=lambda ink: _chart(rows, ink=ink),
        table=(SCALES,),
    )


def _chart(rows: Sequence[dict[str, Any]], *, ink: figures.Ink) -> alt.VConcatChart:
    ends = [row[end] for row in rows for end in ("scale", "low", "high", "batch_size") if row[end]]
    low, high = figures.span(ends, log=True)
    last = max(row["epoch"] for row in rows)
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[0, last], nice=False), axis=alt.Axis(format="d"))
    y = figures.vertical("scale", title="images: noise scale, and dashed the batch", span=(low, high), log=True)
    lowest = y.copy()
    lowest.shorthand = "low:Q"
    base = alt.Chart(alt.NamedData(SCALES)).encode(x=x)
    # An open end goes to the end of the axis.
    ranged = base.transform_calculate(low=f"datum.low || {low}", high=f"datum.high || {high}")
    batch = y.copy()
    batch.shorthand = "batch_size:Q"
    layers = [
        ranged.mark_rule(color=ink.validation, strokeWidth=1.2, clip=True, aria=False).encode(y=lowest, y2="high:Q"),
        base.mark_line(color=ink.validation, strokeWidth=1.8, aria=False).encode(y=y),
        base.mark_point(color=ink.validation, filled=True, size=40, opacity=1, aria=False).encode(y=y),
        base.mark_line(color=ink.line, strokeDash=[4, 3], strokeWidth=1, aria=False).encode(y=batch),
    ]
    plot = alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)
    chart = figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink)
    chart.datasets = {SCALES: list(rows)}
    return chart


def _cells(scale: Scale) -> tuple[str, ...]:
    ends = tuple("-" if value is None else f"{value:.3g}" for value in (scale.images, scale.low, scale.high))
    return (f"{scale.signal:.3g}", f"{scale.noise:.3g}", *ends)
