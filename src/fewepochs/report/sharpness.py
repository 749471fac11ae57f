"""Sharpness over a run as a table and a figure: what Lanczos found, its error, and the edge that the rate allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import altair as alt

from fewepochs.probes.edge import Eigenvalue, Measurement, Row
from fewepochs.report import figures, table_text

HEIGHT = 220
ROWS = "sharpness"
EDGE = "edge: what the rate allows"
HEADS = ("epoch", "lr", "training", "+-", "validation", "+-", "2 / lr", "Adam's", "edge")


def page(found: Measurement) -> table_text.Page:
    """Return eigenvalues, errors and thresholds of each moment as a table, with what a reader must know."""
    settings = found.settings
    table = table_text.Table(
        title=f"{found.run}: largest eigenvalue of the Hessian, {_on(found)}",
        heads=HEADS,
        rows=tuple(_cells(row) for row in found.rows),
        data=tuple(record(row) for row in found.rows),
    )
    asked = {
        "run": found.run,
        "recipe": found.recipe.name,
        "settings": asdict(settings),
        "images": dict(found.images),
        "penalty_adds_at_most": found.penalty_adds,
        "products": sum(row["products"] for row in table.data),
        "seconds": found.seconds,
    }
    return table_text.Page("sharpness", (table,), notes=tuple(_notes(found)), asked=asked)


def record(row: Row) -> dict[str, Any]:
    """Return the numbers of a moment."""
    seen = row.preconditioned
    each = [one for one in (row.training, row.validation, seen) if one is not None]
    return {
        "epoch": row.epoch,
        "steps": row.steps,
        "lr": row.lr,
        "momentum": row.momentum,
        "training": row.training.value,
        "training_error": row.training.error,
        "training_lowest": row.training.lowest,
        "validation": row.validation.value,
        "validation_error": row.validation.error,
        "validation_lowest": row.validation.lowest,
        "two_over_lr": 2 / row.lr if row.lr > 0 else None,
        "preconditioned": None if seen is None else seen.value,
        "preconditioned_error": None if seen is None else seen.error,
        "edge": row.threshold.value,
        "edge_of": row.threshold.of,
        "edge_rule": row.threshold.rule,
        "edge_reason": row.threshold.reason,
        "settled": all(one.settled for one in each),
        "products": sum(one.products for one in each),
    }


def _on(found: Measurement) -> str:
    told = " and ".join(f"{count:,} {name}" for name, count in found.images.items())
    how = "stored statistics" if found.settings.statistics == "stored" else "each batch's own statistics"
    return f"{told} images, BN with {how}, {'with' if found.settings.penalty else 'without'} the L2 penalty"


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
    if not all(record(row)["settled"] for row in rows):
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
    elif found.settings.statistics == "stored":
        told.append("The edge is about the loss that training descends, with batch statistics: --statistics batch.")
    return told


# --- the figure ---------------------------------------------------------------------------------------------------


def figure(found: Measurement) -> figures.Figure:
    """Return eigenvalues and edges over epochs, on a logarithmic axis."""
    last = found.rows[-1]
    return figures.Figure(
        name="sharpness",
        title=f"{found.run}: sharpness",
        alternative=f"Largest Hessian eigenvalue over epochs, {_on(found)}; at epoch {last.epoch} "
        f"{last.training.value:.3g} on training and {last.validation.value:.3g} on validation images.",
        chart=lambda ink: _chart(found, ink=ink),
        table=(ROWS,),
    )


def _chart(found: Measurement, *, ink: figures.Ink) -> alt.VConcatChart:
    rows = [record(row) for row in found.rows]
    plots = [_plot(rows, {"training": "training", "validation": "validation", "2 / lr": "two_over_lr"}, ink=ink)]
    if any(row["preconditioned"] is not None for row in rows):
        plots.append(_plot(rows, {"as Adam sees it": "preconditioned", EDGE: "edge"}, ink=ink))
    title = figures.heading(f"{found.run}: largest Hessian eigenvalue", ink=ink)
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
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700, symbolOpacity=1)
    names = list(parts)
    colour = alt.Color(
        "part:N", scale=alt.Scale(domain=names, range=[colours.get(n, ink.text) for n in names]), legend=legend
    )
    dashes = [[5, 2] if n in ("training", "as Adam sees it") else [1, 0] if n in colours else [1, 3] for n in names]
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    axis = alt.Axis(tickMinStep=1, tickCount=10, format="d", grid=True)
    x = alt.X("epoch:Q", title="epochs done", scale=alt.Scale(domain=[0, rows[-1]["epoch"]], nice=False), axis=axis)
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
