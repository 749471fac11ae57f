"""Curves over epochs: accuracy, loss and learning rate of a recipe's runs, below one another on one axis.

Training is red and dashed, validation blue and solid, so that neither colour nor dash has to be told alone. Where a
recipe has several runs each is a thin line, and a thick one is their median, the band about it from the lowest to the
highest; both go as far as all of the runs do, since a median of those that were left would flatter. Dots mark first
crossings of single runs, open ones those that are pinned; upright lines mark drops of the learning rate.

A figure holds one record a run, whose arrays are the run's columns, bit for bit; the renderer unfolds them and takes
medians. What a reader may switch is a parameter of the specification. The axes of several figures agree when they
are given the same `Axes`; `axes` finds some that show every crossing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from fewepochs import store
from fewepochs.report import figures, labels
from fewepochs.stats import target as crossing_rules

ACCURACY_HEIGHT, LOSS_HEIGHT, RATE_HEIGHT = 220, 130, 80
RUNS, RATES, TARGETS, CROSSINGS, DROPS = "runs", "rates", "targets", "crossings", "drops"
"""The names of a figure's data sets."""

TRAINING, VALIDATION = "training", "validation"
SWITCHES = ("show_training", "show_validation", "show_runs")
"""The parameters by which a reader shows and hides training, validation and single runs."""

_BELOW_TARGET = 0.15
_LABEL_PIXELS = 12.0
_SHOWN = f"datum.part === '{TRAINING}' ? show_training : show_validation"


@dataclass(frozen=True)
class Axes:
    """Ranges of the axes: epochs done (from 0), accuracy (fractions), loss, learning rate."""

    epochs: int
    accuracy: tuple[float, float]
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    clipped: bool
    """Whether accuracies lie below the axis."""


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
    near = max(lowest, _floor(min(wanted, default=0.0)))
    low = min(near, _floor(min(targets, default=1.0)))  # a target may lie below all that was recorded
    return Axes(
        epochs=max((record.epoch for record in records), default=1),
        accuracy=(low, 1.0),
        losses=_ends(losses),
        rates=_ends(rates),
        clipped=low > min(accuracies, default=1.0),
    )


def figure(groups: Sequence[labels.Group], *, targets: Sequence[float], live: bool = False) -> figures.Figure:
    """Return the curves of one or several recipes on common axes, `live` with what answers to a pointer."""
    shared = axes([run.stored for group in groups for run in group.runs], targets=targets)
    told = "; ".join(
        f"{group.label}, {len(group.runs)} {'run' if len(group.runs) == 1 else 'runs'}" for group in groups
    )
    return figures.Figure(
        name="curves",
        title="Accuracy, loss and learning rate over epochs",
        alternative=f"Accuracy, loss and learning rate over epochs: {told}.",
        chart=lambda ink: _beside(groups, targets=targets, shared=shared, ink=ink, live=live),
        table=tuple(_named(RUNS, str(k)) for k in range(len(groups))),
    )


def _beside(
    groups: Sequence[labels.Group], *, targets: Sequence[float], shared: Axes, ink: figures.Ink, live: bool
) -> alt.ConcatChart:
    """Return a panel for each of `groups`, two side by side."""
    panels: list[alt.VConcatChart] = []
    numbers: dict[str, list[dict[str, Any]]] = {}
    names = figures.shortened([group.label for group in groups])
    for k, group in enumerate(groups):
        one = _stacked(shared=shared, ink=ink, live=live, log=None, mark=str(k))
        one.title = figures.heading(names[group.label], ink=ink)
        panels.append(one)
        found = datasets(group.runs, targets=targets, shared=shared)
        numbers |= {_named(name, str(k)): rows for name, rows in found.items()}
    chart = figures.finished(alt.ConcatChart(concat=panels, columns=2, spacing=24), ink=ink)
    chart.datasets = numbers
    return figures.with_parameters(chart, dict.fromkeys(SWITCHES, True))


def panel(
    *, shared: Axes, ink: figures.Ink = figures.PAPER, live: bool = True, log: bool | None = None
) -> alt.VConcatChart:
    """Return accuracy, loss and learning rate below one another on one epoch axis, without numbers as yet.

    `datasets` has the numbers: one panel serves several recipes. `live` adds what answers to a pointer; a
    still picture has no use for it. `log` is whether the loss has a logarithmic axis, by itself where it is None.
    """
    chart = figures.finished(_stacked(shared=shared, ink=ink, live=live, log=log, mark=""), ink=ink)
    return figures.with_parameters(chart, dict.fromkeys(SWITCHES, True))


def _stacked(*, shared: Axes, ink: figures.Ink, live: bool, log: bool | None, mark: str) -> alt.VConcatChart:
    rows = _Rows(shared=shared, ink=ink, live=live, mark=mark)
    return alt.VConcatChart(vconcat=[rows.accuracy(), rows.loss(log=log), rows.learning_rate()], spacing=8)


def switched(spec: Mapping[str, Any], *, shared: Axes, log: bool) -> dict[str, Any]:
    """Return the specification of a panel with the other kind of axis for the loss."""
    axis = _quantity("value", title="loss", ends=shared.losses, log=log).to_dict(validate=False)
    accuracy, loss, rate = spec["vconcat"]
    layers = [_with_y(layer, axis) for layer in loss["layer"]]
    return {**spec, "vconcat": [accuracy, {**loss, "layer": layers}, rate]}


def _with_y(layer: Mapping[str, Any], axis: Any) -> dict[str, Any]:
    encoding = layer["encoding"]
    if "y" not in encoding:
        return dict(layer)
    return {**layer, "encoding": {**encoding, "y": {**axis, "field": encoding["y"]["field"]}}}


def datasets(runs: Sequence[labels.Run], *, targets: Sequence[float], shared: Axes) -> dict[str, list[dict[str, Any]]]:
    """Return the numbers of a panel: `runs` and `rates` as columns, targets, crossings and drops as rows."""
    gap = _LABEL_PIXELS * (shared.accuracy[1] - shared.accuracy[0]) / ACCURACY_HEIGHT
    rising, begun = sorted(targets), [run for run in runs if run.stored.epochs]
    drops = {drop for run in begun for drop in crossing_rules.drops(run.stored.epochs)}
    return {
        RUNS: [_columns(run) for run in begun],
        RATES: _rates(begun),
        TARGETS: [
            {"target": target, "beside": beside, "label": f"{target:g}"}
            for target, beside in zip(rising, _apart(rising, gap=gap), strict=True)
        ],
        CROSSINGS: [point for run in begun for target in rising for point in _crossing(run, target)],
        DROPS: [{"done": drop} for drop in sorted(drops)],
    }


# --- the three plots ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The plots of one panel, which share axes, colours and data."""

    shared: Axes
    ink: figures.Ink
    live: bool
    mark: str

    def accuracy(self) -> alt.LayerChart:
        """Return training and validation accuracy, targets and crossings."""
        y = figures.vertical("value", title="accuracy", span=self.shared.accuracy)
        layers = [*self._drops(), *self._targets(y), *self._curves("accuracy", ("acc", "val_acc"), y=y)]
        return self._plot([*layers, self._crossings(y)], height=ACCURACY_HEIGHT)

    def loss(self, *, log: bool | None) -> alt.LayerChart:
        """Return training and validation loss, penalty included."""
        y = _quantity("value", title="loss", ends=self.shared.losses, log=log)
        return self._plot([*self._drops(), *self._curves("loss", ("loss", "val_loss"), y=y)], height=LOSS_HEIGHT)

    def learning_rate(self) -> alt.LayerChart:
        """Return the learning rate over epochs done: each epoch from its first step's rate to its last step's."""
        base = self._chart(RATES).transform_flatten(["epoch", "done", "rate"])
        base = base.encode(
            x=self._epochs("done", title="epochs done"),
            y=_quantity("rate", title="learning rate", ends=self.shared.rates, log=None),
        )
        line = base.mark_line(color=self.ink.text, strokeWidth=1.5, aria=False)
        layers = [line.encode(detail=alt.Detail("run:N"))]
        if self.live:
            said = {"run": "{}.run", "epoch": "{}.epoch", "learning rate": "format({}.rate, '.4~g')"}
            coloured = base.encode(color=alt.ColorValue(self.ink.text))
            layers += _pointer(f"rate{self.mark}", coloured, fields=["run", "done", "rate"], said=said, clip=False)
        return self._plot([*self._drops(title="epochs done"), *layers], height=RATE_HEIGHT)

    def _plot(self, layers: Sequence[alt.Chart], *, height: int) -> alt.LayerChart:
        return alt.LayerChart(layer=list(layers), width=figures.WIDTH, height=height)

    def _chart(self, name: str) -> alt.Chart:
        return alt.Chart(alt.NamedData(_named(name, self.mark)))

    def _epochs(self, field: str, *, title: str | None = None) -> alt.X:
        return figures.epochs(field, title=title, last=self.shared.epochs, labels=title is not None)

    def _curves(self, name: str, columns: tuple[str, str], *, y: alt.Y) -> list[alt.Chart]:
        """Return a line a run and part, medians and bands, and where `live` the points that answer to a pointer."""
        parts = [TRAINING, VALIDATION]
        legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700, symbolOpacity=1)
        scale = alt.Scale(domain=parts, range=[self.ink.training, self.ink.validation])
        colour = alt.Color("part:N", scale=scale, legend=legend)
        dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=parts, range=[[5, 2], [1, 0]]), legend=legend)
        base = (
            self._chart(RUNS)
            .transform_flatten(["epoch", *columns], as_=["epoch", *parts])
            .transform_fold([*parts], as_=["part", "value"])
            .transform_filter(f"isValid(datum.value) && ({_SHOWN})")
            .transform_joinaggregate(runs="distinct(run)", groupby=["part"])
            .encode(x=self._epochs("epoch"), y=y, color=colour)
        )
        # Each mark that is clipped, or has an opacity that is neither its stroke's nor its fill's, is a picture of its
        # own in a PNG, laid upon the others, which takes long.
        clip = name == "accuracy" and self.shared.clipped
        # The run under the pointer stands out: a selection's own signal cannot be asked here, its data set can.
        under = f"data('{name}{self.mark}_at_store')"
        pointed = f" && !({under}.length && {under}[0].values[0] === datum.run)" if self.live else ""
        lines = (
            base.transform_filter("show_runs || datum.runs === 1")
            .mark_line(strokeWidth=1.2, clip=clip, aria=False)
            .encode(
                strokeDash=dash,
                detail=[alt.Detail("run:N"), alt.Detail("runs:Q")],
                strokeOpacity=alt.StrokeOpacityValue(0.9, condition={"test": f"datum.runs > 1{pointed}", "value": 0.3}),
            )
        )
        # A line through a single point draws nothing.
        alone = (
            base.transform_joinaggregate(points="count()", groupby=["run", "part"])
            .transform_filter("datum.points === 1 && (show_runs || datum.runs === 1)")
            .mark_point(filled=True, size=36, opacity=1, clip=clip, aria=False)
        )
        found = [*_middle(base, y=y, dash=dash, clip=clip), lines, alone]
        if self.live:
            said = {"run": "{}.run", "epoch": "{}.epoch", "part": "{}.part", name: "format({}.value, '.4f')"}
            found += _pointer(f"{name}{self.mark}", base, fields=["run", "epoch", "part"], said=said, clip=clip)
        return found

    def _targets(self, y: alt.Y) -> list[alt.Chart]:
        """Return a line across the plot for each target, and its label beside the plot."""
        line = self._chart(TARGETS).mark_rule(color=self.ink.text, strokeWidth=1, strokeDash=[1, 3], aria=False)
        text = self._chart(TARGETS).mark_text(align="left", dx=5, color=self.ink.text, fontSize=11, aria=False)
        at, beside = _of(y, "target"), _of(y, "beside")
        return [line.encode(y=at), text.encode(x=alt.XValue("width"), y=beside, text=alt.Text("label:N"))]

    def _crossings(self, y: alt.Y) -> alt.Chart:
        """Return a dot for each run's first crossing, an open one where the drop of the rate may have made it."""
        dots = self._chart(CROSSINGS).transform_filter("show_validation")
        blue = self.ink.validation
        dots = dots.mark_point(size=34, stroke=blue, strokeWidth=1.5, opacity=1, aria=False)
        fill = alt.FillValue(blue, condition={"test": "datum.pinned", "value": self.ink.ground})
        found: alt.Chart = dots.encode(x=self._epochs("epoch"), y=_of(y, "target"), fill=fill)
        return found

    def _drops(self, *, title: str | None = None) -> list[alt.Chart]:
        """Return an upright line where the learning rate drops."""
        rule = self._chart(DROPS).mark_rule(color=self.ink.line, strokeWidth=1, strokeDash=[4, 3], aria=False)
        return [rule.encode(x=self._epochs("done", title=title))]


def _middle(base: alt.Chart, *, y: alt.Y, dash: alt.StrokeDash, clip: bool) -> list[alt.Chart]:
    """Return bands and medians of several runs, over the epochs that all of them have."""
    whole = base.transform_joinaggregate(present="count()", groupby=["part", "epoch"]).transform_filter(
        "datum.runs > 1 && datum.present === datum.runs"
    )
    low, high = _of(y, "low"), alt.Y2("high:Q")
    band = whole.transform_aggregate(low="min(value)", high="max(value)", groupby=["part", "epoch"])
    line = whole.transform_aggregate(value="median(value)", groupby=["part", "epoch"])
    return [
        band.mark_area(fillOpacity=0.13, clip=clip, aria=False).encode(y=low, y2=high),
        line.mark_line(strokeWidth=2.2, clip=clip, aria=False).encode(strokeDash=dash),
    ]


def _of(y: alt.Y, field: str) -> alt.Y:
    """Return the axis for another field. Each layer says the whole scale: what one leaves open, a union fills in."""
    other = y.copy()
    other.shorthand = f"{field}:Q"
    return other


def _quantity(field: str, *, title: str, ends: tuple[float, ...], log: bool | None) -> alt.Y:
    """Return an axis for values between `ends`, logarithmic where that is asked and can be."""
    wanted = figures.is_log(ends) if log is None else log and bool(ends) and min(ends) > 0
    return figures.vertical(field, title=title, span=figures.span(ends, log=wanted), log=wanted)


def _pointer(
    name: str, base: alt.Chart, *, fields: list[str], said: dict[str, str], clip: bool
) -> tuple[alt.Chart, alt.Chart]:
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
    points = base.mark_point(opacity=0, clip=clip, aria=False, tooltip=alt.ExprRef(tooltip)).add_params(nearest)
    dot = base.mark_point(filled=True, size=48, opacity=1, clip=clip, aria=False).transform_filter(nearest)
    # Names are given here because those that altair makes up count on and on: equal runs, equal bytes.
    return points.properties(name=f"{name}_points"), dot


# --- data -----------------------------------------------------------------------------------------------------------


def _named(name: str, mark: str) -> str:
    return name + mark


def _columns(run: labels.Run) -> dict[str, Any]:
    columns = ("epoch", "acc", "val_acc", "loss", "val_loss")
    return {"run": run.label} | {c: [getattr(record, c) for record in run.stored.epochs] for c in columns}


def _crossing(run: labels.Run, target: float) -> list[dict[str, Any]]:
    found = crossing_rules.crossing(run.stored.epochs, target)
    return [{"run": run.label, "epoch": found.epoch, "target": target, "pinned": found.pinned}] if found.reached else []


def _rates(runs: Sequence[labels.Run]) -> list[dict[str, Any]]:
    """Return the rates of `runs`, one record for all the runs that have the same, none for those not known."""
    alike: dict[tuple[float, ...], list[labels.Run]] = {}
    for run in runs:
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


def _ends(values: Sequence[float]) -> tuple[float, ...]:
    return (min(values), max(values)) if values else ()


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
