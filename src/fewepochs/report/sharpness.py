"""Sharpness over a run as a table and a figure: what Lanczos found, its error, and the edge that the rate allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import altair as alt

from fewepochs import recipe as recipes
from fewepochs.probes.edge import Eigenvalue, Measurement, Row, Settings
from fewepochs.records import Finite
from fewepochs.report import figures, probed, table_text, visible

HEIGHT = 220
ROWS = "sharpness"
EDGE = "edge: what the rate allows"
HEADS = ("epoch", "lr", "training", "+-", "validation", "+-", "2 / lr", "Adam's", "edge")


STATISTICS: Mapping[str, str] = {
    "stored": "stored statistics",
    "recomputed": "statistics recomputed on all training images",
    "batch": "each batch's own statistics",
}


class State(probed.Row):
    """The numbers of a moment."""

    epoch: probed.Epoch
    steps: int
    lr: Finite
    momentum: Finite
    training: Finite
    training_error: Finite
    training_lowest: Finite
    validation: Finite
    validation_error: Finite
    validation_lowest: Finite
    two_over_lr: Finite | None
    preconditioned: Finite | None
    preconditioned_error: Finite | None
    edge: Finite | None
    edge_of: Literal["hessian", "preconditioned"]
    edge_rule: probed.Text
    edge_reason: probed.Text | None
    settled: bool
    products: int


class Sharpness(probed.Probed):
    """What `fewepochs sharpness` found in a run: a moment or more, in rising order."""

    probe: Literal["sharpness"]
    settings: Settings
    images: Mapping[probed.Text, int]
    tables: tuple[probed.Filled[State]]

    @property
    def states(self) -> tuple[State, ...]:
        """The numbers of all moments."""
        return self.tables[0].data


def page(found: Measurement) -> table_text.Page:
    """Return eigenvalues, errors and thresholds of each moment as a table, with what a reader must know."""
    settings = found.settings
    table = table_text.Table(
        title=f"{visible.shown(found.run)}: largest eigenvalue of the Hessian, {_on(found.images, found.settings)}",
        heads=HEADS,
        rows=tuple(_cells(row) for row in found.rows),
        data=tuple(record(row).model_dump() for row in found.rows),
    )
    asked = {
        **probed.header("sharpness", probed.Run(name=found.run, digest=recipes.digest(found.recipe))),
        "recipe": found.recipe.name,
        "settings": asdict(settings),
        "images": dict(found.images),
        "penalty_adds_at_most": found.penalty_adds,
        "products": sum(row["products"] for row in table.data),
        "seconds": found.seconds,
    }
    return table_text.Page("sharpness", (table,), notes=tuple(_notes(found)), asked=asked)


def record(row: Row) -> State:
    """Return the numbers of a moment."""
    seen = row.preconditioned
    each = [one for one in (row.training, row.validation, seen) if one is not None]
    return State(
        epoch=row.epoch,
        steps=row.steps,
        lr=row.lr,
        momentum=row.momentum,
        training=row.training.value,
        training_error=row.training.error,
        training_lowest=row.training.lowest,
        validation=row.validation.value,
        validation_error=row.validation.error,
        validation_lowest=row.validation.lowest,
        two_over_lr=2 / row.lr if row.lr > 0 else None,
        preconditioned=None if seen is None else seen.value,
        preconditioned_error=None if seen is None else seen.error,
        edge=row.threshold.value,
        edge_of=row.threshold.of,
        edge_rule=row.threshold.rule,
        edge_reason=row.threshold.reason,
        settled=all(one.settled for one in each),
        products=sum(one.products for one in each),
    )


def _on(images: Mapping[str, int], settings: Settings) -> str:
    told = " and ".join(f"{count:,} {name}" for name, count in images.items())
    penalty = "with" if settings.penalty else "without"
    return f"{told} images, BN with {STATISTICS[settings.statistics]}, {penalty} the L2 penalty"


def _cells(row: Row) -> tuple[str, ...]:
    def both(one: Eigenvalue) -> tuple[str, str]:
        return _short(one.value) + ("" if one.settled else "*"), f"{one.error:.1g}"

    seen, limit = row.preconditioned, row.threshold.value
    return (
        str(row.epoch),
        f"{row.lr:.3g}",
        *both(row.training),
        *both(row.validation),
        _short(2 / row.lr) if row.lr > 0 else "-",
        "-" if seen is None else both(seen)[0],
        "-" if limit is None else _short(limit),
    )


def _short(value: float) -> str:
    """Return a number with three digits, written out where that is short."""
    return f"{value:.3g}" if abs(value) < 1000 or abs(value) >= 1e5 else f"{value:,.0f}"


def _notes(found: Measurement) -> list[str]:
    rows, told = found.rows, []
    if found.penalty_adds:
        told.append(f"The L2 penalty adds between 0 and {found.penalty_adds:g} to an eigenvalue of the Hessian.")
    told.append("+-: an eigenvalue lies so near (measured residual); whether it is the largest no residual says.")
    if not all(record(row).settled for row in rows):
        told.append("* stopped before the error had fallen to the tolerance: too low rather than too high.")
    rules = dict.fromkeys(row.threshold.rule for row in rows if row.threshold.value is not None)
    told += [
        f"edge = {rule}: full-batch steps of constant rate stay bounded on a quadratic below it." for rule in rules
    ]
    told += dict.fromkeys(row.threshold.reason for row in rows if row.threshold.reason)
    if any(row.preconditioned is not None for row in rows):
        told.append(
            "Adam's (as Adam sees it): D^-1/2 H D^-1/2 of the training loss with its divisor D of the moment, BN with "
            "each batch's own statistics and the penalty included; this is what its edge is about, not 2 / lr."
        )
    elif found.settings.statistics != "batch":
        told.append("The edge is about the loss that training descends, with batch statistics: --statistics batch.")
    return told


# --- what is to be seen -------------------------------------------------------------------------------------------


def sentences(found: Sharpness) -> Iterator[str]:
    """Yield on which side of 2 / lr the sharpness lies and where, and the same of the rule's own edge if it differs."""
    states = found.states
    yield from _against(
        "the largest eigenvalue", "2 / lr", [(one.epoch, one.training, one.two_over_lr) for one in states]
    )
    if any(one.preconditioned is not None for one in states):
        seen = [(one.epoch, one.preconditioned, one.edge) for one in states]
        yield from _against("as Adam sees it, it", "the edge of Adam", seen)
    elif any(one.edge != one.two_over_lr for one in states):
        rules = " or ".join(dict.fromkeys(one.edge_rule for one in states if one.edge is not None))
        own = [(one.epoch, one.training, one.edge) for one in states if one.edge_of == "hessian"]
        yield from _against("it", f"the edge of its rule, {rules}", own)


def _against(what: str, limit: str, seen: Sequence[tuple[int, float | None, float | None]]) -> Iterator[str]:
    """Yield where the value in `seen` (epoch, value, edge) lies above its edge; nothing where no edge is known."""
    shares = {epoch: value / edge for epoch, value, edge in seen if value is not None and edge is not None}
    if not shares:
        return
    above = [epoch for epoch, share in shares.items() if share > 1]
    top = max(shares, key=lambda epoch: shares[epoch])
    most = f"most after epoch {top}: {shares[top]:.2g} of it"
    if above:
        where = f"lies above {limit} at {len(above)} of {len(shares)} states, {most}"
    else:
        where = f"stays below {limit} at {'the one state' if len(shares) == 1 else f'all {len(shares)} states'}, {most}"
    yield f"On training images {what} {where}."


# --- the figure ---------------------------------------------------------------------------------------------------


def figure(found: Sharpness) -> figures.Figure:
    """Return eigenvalues and edges over epochs, on a logarithmic axis."""
    last = found.states[-1]
    return figures.Figure(
        name="sharpness",
        title=f"{visible.shown(found.run)}: sharpness",
        alternative=f"Largest Hessian eigenvalue over epochs, {_on(found.images, found.settings)}; at epoch "
        f"{last.epoch} {last.training:.3g} on training and {last.validation:.3g} on validation images.",
        chart=lambda ink: _chart(found, ink=ink),
        table=(ROWS,),
    )


def _chart(found: Sharpness, *, ink: figures.Ink) -> alt.VConcatChart:
    rows = [one.model_dump() for one in found.states]
    plots = [_plot(rows, {"training": "training", "validation": "validation", "2 / lr": "two_over_lr"}, ink=ink)]
    if any(row["preconditioned"] is not None for row in rows):
        plots.append(_plot(rows, {"as Adam sees it": "preconditioned", EDGE: "edge"}, ink=ink))
    title = figures.heading(f"{visible.shown(found.run)}: largest Hessian eigenvalue", ink=ink)
    chart = figures.finished(alt.VConcatChart(vconcat=plots, spacing=24, title=title), ink=ink)
    chart.datasets = {ROWS: rows}
    chart.resolve = alt.Resolve(scale=alt.ScaleResolveMap(color="independent", strokeDash="independent"))
    return chart


def _plot(rows: list[dict[str, Any]], parts: Mapping[str, str], *, ink: figures.Ink) -> alt.LayerChart:
    values = [row[field] for row in rows for field in parts.values() if row[field] is not None and row[field] > 0]
    # Towards a budget's end rates may fall by decades: the edge then leaves the plot rather than flatten it.
    measured = [row[field] for row in rows for field in list(parts.values())[:-1] if row[field] and row[field] > 0]
    high = min(max(values, default=1.0), 100.0 * max(measured, default=1.0))
    span = figures.span([min(values, default=0.1), high], log=True)
    colours = {"training": ink.training, "validation": ink.validation, "as Adam sees it": ink.training}
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700, symbolOpacity=1, labelLimit=400)
    names = list(parts)
    colour = alt.Color(
        "part:N", scale=alt.Scale(domain=names, range=[colours.get(n, ink.text) for n in names]), legend=legend
    )
    dashes = [[5, 2] if n in ("training", "as Adam sees it") else [1, 0] if n in colours else [1, 3] for n in names]
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    x = figures.epochs("epoch", title="epochs done", last=rows[-1]["epoch"])
    base = (
        alt.Chart(alt.NamedData(ROWS))
        .transform_fold(list(parts.values()), as_=["field", "value"])
        .transform_calculate(part=_named(parts))
        .transform_filter("isValid(datum.value) && datum.value > 0")
        .encode(x=x, y=figures.vertical("value", title="eigenvalue", span=span, log=True), color=colour)
    )
    line = base.mark_line(strokeWidth=1.6, clip=True, aria=False).encode(strokeDash=dash)
    dots = base.transform_filter("datum.field != 'two_over_lr' && datum.field != 'edge'")
    return alt.LayerChart(
        layer=[line, dots.mark_point(filled=True, size=30, opacity=1, aria=False)],
        width=figures.WIDTH,
        height=HEIGHT,
    )


def _named(parts: Mapping[str, str]) -> str:
    """Return the expression that names the part of a field."""
    told = [f"datum.field === '{field}' ? '{name}' : " for name, field in parts.items()]
    return "".join(told) + "''"
