"""The gradient noise scale as tables and as a figure: over epochs, and by layer after the last of them.

Every number that is printed or drawn is one of the tables'. A scale is in images: at a batch of so many, noise and
gradient are alike. Where the gradient is not told from its noise there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import altair as alt
from pydantic import Field

from fewepochs.probes import scores
from fewepochs.probes.scores import Scale
from fewepochs.records import Finite
from fewepochs.report import figures, probed, visible
from fewepochs.report.table_text import Page, Table

HEIGHT = 220
SCALES = "scales"
WHOLE = "all weights"
LENGTH = (
    "length: how far the noise of one of the recipe's batches moves the weights, root mean square, momentum included"
)


class Measured(probed.Row):
    """The numbers of a moment and a layer, or of all weights; `length` is that of a step's random part, of all weights.

    What was written before there was such a length has none.
    """

    epoch: probed.Epoch
    step: int
    lr: Finite | None
    layer: probed.Text
    signal: Finite | None
    noise: Finite | None
    scale: probed.NotNegative | None
    low: probed.NotNegative | None
    high: probed.NotNegative | None
    length: probed.NotNegative | None = None
    length_low: probed.NotNegative | None = None
    length_high: probed.NotNegative | None = None
    batch_size: Annotated[int, Field(ge=1)]
    draws: int
    batches: int
    images: int


class GradientNoise(probed.Probed):
    """What `fewepochs gradient-noise` found in a run: a moment or more, in rising order."""

    probe: Literal["gradient-noise"]
    tables: Annotated[tuple[probed.Filled[Measured], ...], Field(min_length=1)]

    @property
    def whole(self) -> tuple[Measured, ...]:
        """The numbers of all weights, a row for each moment."""
        return tuple(one for one in self.tables[0].data if one.layer == WHOLE)


def page(run: probed.Run, found: Sequence[scores.GradientNoise], *, layers: bool) -> Page:
    """Return the tables of a run: a row for each moment, and with `layers` one for each layer of the last.

    The data of the first table have every layer of every moment only with `layers`.
    """
    shown = visible.shown(run.name)
    heads = ("epoch", "lr", "|G|^2", "tr(Sigma)", "B_simple", "lowest", "highest", "batch", "length")
    rows = tuple(
        (
            str(one.epoch),
            "-" if one.lr is None else f"{one.lr:.3g}",
            *_cells(one.whole),
            str(one.batch_size),
            "-" if one.step is None else f"{one.step.length:.3g}",
        )
        for one in found
    )
    data = [row(one, layer=WHOLE, scale=one.whole, step=one.step).model_dump() for one in found]
    tables = [Table(f"{shown}: gradient noise scale, in images", heads, rows, tuple(data))]
    if layers:
        last = found[-1]
        cells = tuple((layer, *_cells(scale)) for layer, scale in last.layers.items())
        by_layer = tuple(
            row(one, layer=layer, scale=scale).model_dump() for one in found for layer, scale in one.layers.items()
        )
        title = f"{shown}: by layer, after epoch {last.epoch}"
        tables.append(Table(title, ("layer", *heads[2:7]), cells, by_layer))
    first = found[0]
    notes = (
        "B_simple = tr(Sigma) / |G|^2 (McCandlish et al. 2018); lowest and highest: 95 percent, from resampled draws",
        f"{first.draws} draws of {first.batches} batches of {first.batch_size} augmented training images, with "
        "replacement; BN as in training; |G| includes the L2 penalty",
        *((LENGTH,) if any(one.step for one in found) else ()),
        f"{sum(one.images for one in found):,} images went forward and backward, {first.images:,} a moment",
    )
    return Page("gradient-noise", tuple(tables), notes, asked=probed.header("gradient-noise", run))


def row(one: scores.GradientNoise, *, layer: str, scale: Scale, step: scores.StepNoise | None = None) -> Measured:
    """Return the numbers of a moment and a layer."""
    return Measured(
        epoch=one.epoch,
        step=one.steps,
        lr=one.lr,
        layer=layer,
        signal=probed.finite(scale.signal),
        noise=probed.finite(scale.noise),
        scale=probed.finite(scale.images),
        low=scale.low,
        high=scale.high,
        length=None if step is None else probed.finite(step.length),
        length_low=None if step is None else step.low,
        length_high=None if step is None else step.high,
        batch_size=one.batch_size,
        draws=one.draws,
        batches=one.batches,
        images=one.images,
    )


def sentences(found: GradientNoise) -> Iterator[str]:
    """Yield what is to be seen: how the scale goes over the run, and on which side of it the batch size lies."""
    known = [one for one in found.whole if one.scale is not None]
    if not known:
        yield "Nowhere is the gradient told from its noise: more images (--images) help."
        return
    first, last = known[0], known[-1]
    if len(known) == 1:
        yield f"The gradient noise scale is {_interval(first)} images after epoch {first.epoch}."
    else:
        yield (
            f"The gradient noise scale is {_interval(first)} images after epoch {first.epoch} and {_interval(last)} "
            f"after epoch {last.epoch}: {_course(first, last)}."
        )
    below = [one for one in known if (one.scale or 0.0) > one.batch_size]
    sizes = " to ".join(str(size) for size in sorted({f(one.batch_size for one in known) for f in (min, max)}))
    yield (
        f"The batch of {sizes} is smaller than it at {len(below)} of {len(known)} states: there the noise of a step's "
        "gradient is larger than the gradient."
    )
    moved = [one for one in found.whole if one.length is not None]
    if moved:
        told = " and ".join(f"{one.length:.3g} after epoch {one.epoch}" for one in (moved[0], moved[-1])[: len(moved)])
        yield f"The noise of a batch moves the weights by {told} (root mean square of the length)."
    if lost := len(found.whole) - len(known):
        yield f"At {lost} of {len(found.whole)} states the gradient is not told from its noise."


def _interval(one: Measured) -> str:
    low, high = ("open" if end is None else _short(end) for end in (one.low, one.high))
    return f"{_short(one.scale or 0.0)} ({low} to {high})"


def _course(first: Measured, last: Measured) -> str:
    """Return in what direction the scale goes, as far as intervals that do not overlap tell."""
    if first.high is not None and last.low is not None and first.high < last.low:
        return "it rises"
    if last.high is not None and first.low is not None and last.high < first.low:
        return "it falls"
    return "the intervals overlap, so whether it rises or falls cannot be told"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def figure(found: GradientNoise) -> figures.Figure | None:
    """Return the scale over epochs with its interval, and the batch size; None where no moment has a scale above 0."""
    rows = [one.model_dump() for one in found.whole if one.scale]
    if not rows:
        return None
    least, most = (f(one["scale"] for one in rows) for f in (min, max))
    return figures.Figure(
        name="gradient-noise",
        title=f"{visible.shown(found.run)}: gradient noise scale over epochs",
        alternative=f"Gradient noise scale over epochs, {least:.3g} to {most:.3g} images, with 95 percent intervals.",
        chart=lambda ink: _chart(rows, ink=ink),
        table=(SCALES,),
    )


def _chart(rows: Sequence[dict[str, Any]], *, ink: figures.Ink) -> alt.VConcatChart:
    ends = [row[end] for row in rows for end in ("scale", "low", "high", "batch_size") if row[end]]
    low, high = figures.span(ends, log=True)
    x = figures.epochs("epoch", title="epoch", last=max(row["epoch"] for row in rows))
    y = figures.vertical("scale", title="images: noise scale, and dashed the batch", span=(low, high), log=True)
    lowest = y.copy()
    lowest.shorthand = "low:Q"
    base = alt.Chart(alt.NamedData(SCALES)).encode(x=x)
    # An open end goes to the end of the axis.
    ranged = base.transform_calculate(low=f"datum.low || {low}", high=f"datum.high || {high}")
    batch = y.copy()
    batch.shorthand = "batch_size:Q"
    layers = [
        ranged.mark_rule(color=ink.validation, strokeWidth=1.2, clip=True, aria=False).encode(
            y=lowest, y2=alt.Y2("high:Q")
        ),
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
