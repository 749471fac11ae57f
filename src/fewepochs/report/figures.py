"""Numbers in, figure out: curves over epochs as Vega-Lite specifications.

One specification serves the interactive page and, through vl-convert, the SVG, PDF or PNG of a paper. Training is red
and dashed, validation blue and solid, so that neither colour nor dash has to be told alone. A figure holds one
record a run, whose arrays are the run's columns, bit for bit; the renderer unfolds them.

The axes of several figures agree when they are given the same `Axes`; `axes` finds some that show every crossing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import altair as alt

from fewepochs import store
from fewepochs.report import labels
from fewepochs.stats import target as crossing_rules

Plot = TypeVar("Plot", alt.LayerChart, alt.VConcatChart)

LOG_SPAN = 10.0
"""A quantity that spans this factor or more gets a logarithmic axis."""

LEFT, RIGHT = 46, 40
"""Pixels beside a plot, for the axis and the labels of the targets; the same in every figure, so that they align."""

WIDTH, ACCURACY_HEIGHT = 640, 220
RUNS, RATES, TARGETS = "runs", "rates", "targets"
"""The names of a figure's data sets."""

TRAINING, VALIDATION = "training", "validation"

_BELOW_TARGET = 0.15
_LABEL_PIXELS = 12.0


@dataclass(frozen=True)
class Ink:
    """Colours of a figure; on a page they are CSS variables, which follow the reader's light or dark."""

    training: str = "#b3261e"
    validation: str = "#0b57a4"
    text: str = "#1c1b1a"
    faint: str = "#dedbd6"
    line: str = "#77736e"
    background: str = "white"


@dataclass(frozen=True)
class Axes:
    """Ranges of the axes: epochs done (from 0), accuracy (fractions), loss, learning rate."""

    epochs: int
    accuracy: tuple[float, float]
    loss: tuple[float, float]
    loss_log: bool
    rate: tuple[float, float]
    rate_log: bool
    clipped: bool
    """Whether accuracies lie below the axis."""


PAPER = Ink()
PAGE = Ink(
    training="var(--training)",
    validation="var(--validation)",
    text="var(--ink)",
    faint="var(--faint)",
    line="var(--line)",
    background="transparent",
)
"""Colours as variables of the style sheet, so that light, dark and paper need no second figure."""


def axes(runs: Sequence[store.StoredRun], *, targets: Sequence[float]) -> Axes:
    """Return axes that hold all of `runs`; accuracy begins a little below the lowest target or best value.

    Early epochs may lie below that (`clipped`): the question is where a curve crosses the targets, and a hundredth
    has to be seen there.
    """
    records = [record for run in runs for record in run.epochs]
    accuracies = [value for record in records for value in (record.acc, record.val_acc) if value is not None]
    losses = [value for record in records for value in (record.loss, record.val_loss) if value is not None]
    rates = [rate for record in records for rate in crossing_rules.rates(record) or ()]
    lowest = _floor(min(accuracies, default=0.0))
    bests = [max(record.val_acc for record in run.epochs) for run in runs if run.epochs]
    wanted = [target - _BELOW_TARGET for target in targets] + [best - 1 / 20 for best in bests if targets]
    low = max(lowest, _floor(min(wanted, default=0.0)))
    return Axes(
        epochs=max((record.epoch for record in records), default=1),
        accuracy=(low, 1.0),
        loss=_span(losses, log=is_log(losses)),
        loss_log=is_log(losses),
        rate=_span(rates, log=is_log(rates)),
        rate_log=is_log(rates),
        clipped=low > min(accuracies, default=1.0),
    )


def accuracy(
    runs: Sequence[store.StoredRun], *, targets: Sequence[float], shared: Axes | None = None, ink: Ink = PAPER
) -> alt.LayerChart:
    """Return training and validation accuracy over epochs, with a line for each target."""
    within = shared or axes(runs, targets=targets)
    chart = finished(_accuracy(within=within, ink=ink, live=True), ink=ink)
    chart.datasets = datasets(labels.label(runs), targets=targets, shared=within)
    return chart


def loss(runs: Sequence[store.StoredRun], *, shared: Axes | None = None, ink: Ink = PAPER) -> alt.LayerChart:
    """Return training and validation loss, L2 penalty included, over epochs."""
    within = shared or axes(runs, targets=())
    chart = finished(_loss(within=within, ink=ink, live=True), ink=ink)
    chart.datasets = datasets(labels.label(runs), targets=(), shared=within)
    return chart


def learning_rate(runs: Sequence[store.StoredRun], *, shared: Axes | None = None, ink: Ink = PAPER) -> alt.LayerChart:
    """Return the learning rate over epochs done: each epoch from its first step's rate to its last step's."""
    within = shared or axes(runs, targets=())
    chart = finished(_learning_rate(within=within, ink=ink, live=True), ink=ink)
    chart.datasets = datasets(labels.label(runs), targets=(), shared=within)
    return chart


def panel(*, shared: Axes, ink: Ink = PAPER, live: bool = True) -> alt.VConcatChart:
    """Return accuracy, loss and learning rate below one another on one epoch axis, without numbers as yet.

    `datasets` has the numbers: one panel serves several recipes. `live` adds what answers to a pointer; a
    still picture has no use for it.
    """
    plots = (
        _accuracy(within=shared, ink=ink, live=live),
        _loss(within=shared, ink=ink, live=live),
        _learning_rate(within=shared, ink=ink, live=live),
    )
    return finished(alt.VConcatChart(vconcat=plots, spacing=8), ink=ink)


def datasets(runs: Sequence[labels.Run], *, targets: Sequence[float], shared: Axes) -> dict[str, list[dict[str, Any]]]:
    """Return the numbers of a figure: `runs` and `rates` as columns, `targets` as rows."""
    gap = _LABEL_PIXELS * (shared.accuracy[1] - shared.accuracy[0]) / ACCURACY_HEIGHT
    rising = sorted(targets)
    return {
        RUNS: [_columns(run) for run in runs if run.stored.epochs],
        RATES: _rates(runs),
        TARGETS: [
            {"target": target, "beside": beside, "label": f"{target:g}"}
            for target, beside in zip(rising, _apart(rising, gap=gap), strict=True)
        ],
    }


# --- the three plots ------------------------------------------------------------------------------------------------


def _accuracy(*, within: Axes, ink: Ink, live: bool) -> alt.LayerChart:
    y = vertical("value", title="accuracy", span=within.accuracy)
    layers = _targets(y=y, ink=ink)
    layers += _curves("accuracy", ("acc", "val_acc"), y=y, within=within, ink=ink, live=live)
    return alt.LayerChart(layer=layers, width=WIDTH, height=ACCURACY_HEIGHT)


def _loss(*, within: Axes, ink: Ink, live: bool) -> alt.LayerChart:
    y = vertical("value", title="loss", span=within.loss, log=within.loss_log)
    layers = _curves("loss", ("loss", "val_loss"), y=y, within=within, ink=ink, live=live)
    return alt.LayerChart(layer=layers, width=WIDTH, height=130)


def _learning_rate(*, within: Axes, ink: Ink, live: bool) -> alt.LayerChart:
    y = vertical("rate", title="learning rate", span=within.rate, log=within.rate_log)
    base = alt.Chart(alt.NamedData(RATES)).transform_flatten(["epoch", "done", "rate"])
    base = base.encode(x=_epochs(within, field="done", title="epochs done"), y=y)
    layers = [base.mark_line(color=ink.text, strokeWidth=1.5, clip=True, aria=False).encode(detail="run:N")]
    if live:
        said = {"run": "{}.run", "epoch": "{}.epoch", "learning rate": "format({}.rate, '.4~g')"}
        layers += _pointer("rate", base.encode(color=alt.value(ink.text)), fields=["run", "done", "rate"], said=said)
    return alt.LayerChart(layer=layers, width=WIDTH, height=80)


def _curves(name: str, columns: tuple[str, str], *, y: alt.Y, within: Axes, ink: Ink, live: bool) -> list[alt.Chart]:
    """Return a line a run and part, and where `live` the points that answer to a pointer."""
    parts = [TRAINING, VALIDATION]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700)
    colour = alt.Color("part:N", scale=alt.Scale(domain=parts, range=[ink.training, ink.validation]), legend=legend)
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=parts, range=[[5, 2], [1, 0]]), legend=legend)
    base = (
        alt.Chart(alt.NamedData(RUNS))
        .transform_flatten(["epoch", *columns], as_=["epoch", *parts])
        .transform_fold([*parts], as_=["part", "value"])
        .encode(x=_epochs(within, field="epoch", title=None), y=y, color=colour)
    )
    lines = base.mark_line(strokeWidth=1.6, opacity=0.85, clip=True, aria=False)
    lines = lines.encode(strokeDash=dash, detail="run:N")
    if not live:
        return [lines]
    said = {"run": "{}.run", "epoch": "{}.epoch", "part": "{}.part", name: "format({}.value, '.4f')"}
    return [lines, *_pointer(name, base, fields=["run", "epoch", "part"], said=said)]


def _pointer(name: str, base: alt.Chart, *, fields: list[str], said: dict[str, str]) -> tuple[alt.Chart, alt.Chart]:
    """Return the unseen points that find the value nearest to the pointer, and the dot that marks it.

    `said` maps what a tooltip says to an expression in which `{}` stands for the point's numbers.
    """
    nearest = alt.selection_point(
        name=f"{name}_at", nearest=True, on="pointerover", clear="pointerout", fields=fields, empty=False
    )
    # The nearest point is found by cells around the points, and it is the cell that shows the tooltip: there `datum`
    # is the point's mark, not yet its numbers. A plain tooltip channel forgets this for words (Vega-Lite 6.4).
    numbers = "(datum.datum || datum)"
    tooltip = "{" + ", ".join(f"'{key}': {value.format(numbers)}" for key, value in said.items()) + "}"
    points = base.mark_point(opacity=0, clip=True, aria=False, tooltip=alt.ExprRef(tooltip)).add_params(nearest)
    dot = base.mark_point(filled=True, size=48, opacity=1, clip=True, aria=False).transform_filter(nearest)
    # Names are given here because those that altair makes up count on and on: equal runs, equal bytes.
    return points.properties(name=f"{name}_points"), dot


def _targets(*, y: alt.Y, ink: Ink) -> list[alt.Chart]:
    """Return a line across the plot for each target, and its label beside the plot."""
    base = alt.Chart(alt.NamedData(TARGETS))
    line = base.mark_rule(color=ink.text, strokeWidth=1, strokeDash=[1, 3], aria=False)
    text = base.mark_text(align="left", dx=5, color=ink.text, fontSize=11, aria=False)
    # Each layer says the whole scale: what one leaves open, the union of the layers' scales fills in.
    at, beside = y.copy(), y.copy()
    at.shorthand, beside.shorthand = "target:Q", "beside:Q"
    return [line.encode(y=at), text.encode(x=alt.value("width"), y=beside, text="label:N")]


# --- data and axes --------------------------------------------------------------------------------------------------


def _columns(run: labels.Run) -> dict[str, Any]:
    columns = ("epoch", "acc", "val_acc", "loss", "val_loss")
    return {"run": run.label} | {c: [getattr(record, c) for record in run.stored.epochs] for c in columns}


def _rates(runs: Sequence[labels.Run]) -> list[dict[str, Any]]:
    """Return the rates of `runs`, one record for all the runs that have the same, none for those not known."""
    alike: dict[tuple[float, ...], list[labels.Run]] = {}
    for run in runs:
        if run.stored.epochs:
            known = [crossing_rules.rates(record) for record in run.stored.epochs]
            if None not in known:
                alike.setdefault(tuple(rate for pair in known for rate in pair or ()), []).append(run)
    return [
        {
            "run": members[0].label if len(members) == 1 else f"{len(members)} runs alike",
            "epoch": [record.epoch for record in members[0].stored.epochs for _ in range(2)],
            "done": [done for record in members[0].stored.epochs for done in (record.epoch - 1, record.epoch)],
            "rate": list(rates),
        }
        for rates, members in alike.items()
    ]


def _epochs(within: Axes, *, field: str, title: str | None) -> alt.X:
    axis = alt.Axis(tickMinStep=1, tickCount=10, labels=title is not None, format="d", grid=True)
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, within.epochs], nice=False), axis=axis)


def vertical(field: str, *, title: str, span: tuple[float, float], log: bool = False, numbers: str = "~g") -> alt.Y:
    """Return a vertical axis whose title lies level above it, where it takes no width; `numbers` is their format."""
    scale = alt.Scale(type="log" if log else "linear", domain=list(span), nice=False)
    ticks: dict[str, Any] = {"format": numbers, "tickCount": 6 if title == "accuracy" else 3}
    if log:
        ticks = {"format": "~g" if span[0] >= 0.001 else "~e", "values": log_ticks(span)}
    axis = alt.Axis(
        minExtent=LEFT,
        maxExtent=LEFT,
        titleAngle=0,
        titleAlign="left",
        titleBaseline="bottom",
        titleX=4 - LEFT,
        titleY=-9,
        **ticks,
    )
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis)


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


def _span(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if log:
        return low / 1.2, high * 1.2
    return min(low, 0.0), (high if high > 0 else 0.0) * 1.05 or 1.0


def _floor(value: float) -> float:
    return max(0.0, math.floor(round(value * 20, 6)) / 20)


def _apart(places: Sequence[float], *, gap: float) -> list[float]:
    """Return rising `places` moved apart to at least `gap`, pairs that overlap moved to both sides."""
    moved = list(places)
    for _ in range(50):
        for i in range(1, len(moved)):
            lack = gap - (moved[i] - moved[i - 1])
            if lack > 1e-9:
                moved[i - 1] -= lack / 2
                moved[i] += lack / 2
    return moved


def finished(chart: Plot, *, ink: Ink) -> Plot:
    """Give a plot, or plots below one another, the look that all of them share."""
    chart.usermeta = {"margins": LEFT + RIGHT}
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
        legend=alt.LegendConfig(labelColor=ink.text, labelFontSize=12, symbolStrokeWidth=2.5),
    )
    return chart
