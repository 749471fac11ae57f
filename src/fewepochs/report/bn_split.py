"""The split of BN's statistics as a table and as a figure: val_loss of the same weights under three kinds.

Every number that is printed or drawn is one of the table's. Blue is validation, its dash the kind of statistics; the
training loss, as the run logged it, is red.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from fewepochs.probes.scores import STATISTICS, BnSplit, Statistics
from fewepochs.report import figures, labels
from fewepochs.report.table_text import Page, Table

HEIGHT = 220
LINES = "lines"
TRAINING = "training, as logged"
MEANINGS: dict[Statistics, str] = {
    "moving": "moving statistics",
    "recomputed": "recomputed on training images",
    "batch": "of the validation batch",
}


def page(name: str, found: Sequence[BnSplit], *, augmented: bool, batch_size: int, averaged: bool) -> Page:
    """Return the tables of the run `name`, a row for each moment; the data of the first are all numbers."""
    losses = tuple(
        (
            str(one.epoch),
            _number(one.lr, ".3g"),
            _number(one.train_loss, ".4f"),
            *(f"{one.score(kind).loss:.4f}" for kind in STATISTICS),
            f"{one.moving.loss - one.recomputed.loss:+.4f}",
        )
        for one in found
    )
    accuracies = tuple(
        (
            str(one.epoch),
            *(f"{one.score(kind).accuracy:.4f}" for kind in STATISTICS),
            f"{one.mean_shift:.3g}",
            f"{one.variance_ratio:.3g}",
        )
        for one in found
    )
    shown = labels.shown(name)
    first = Table(
        f"{shown}: val_loss under three kinds of BN statistics",
        ("epoch", "lr", "train loss", *STATISTICS, "stale"),
        losses,
        tuple(row(one) for one in found),
    )
    second = Table(
        "val_acc under them, and how far the moving statistics are from the recomputed ones",
        ("epoch", *STATISTICS, "shift", "variance"),
        accuracies,
        (),
    )
    kind = "augmented" if augmented else "unaugmented"
    notes = [
        f"recomputed: mean and variance over all training images, {kind}; batch: of validation batches of {batch_size}",
        "stale: val_loss under moving statistics minus val_loss under recomputed ones; shift: of the moving means, in "
        "standard deviations, root mean square over channels; variance: moving over recomputed, median over channels",
        f"{sum(one.images for one in found):,} images went forward",
    ]
    if averaged:
        notes.append("the recipe averages weights: what is logged is the average's val_loss, what is split here is not")
    return Page("bn-split", (first, second), tuple(notes))


def row(one: BnSplit) -> dict[str, Any]:
    """Return the numbers of a moment."""
    scores = {
        f"{name}_{kind}": value
        for kind in STATISTICS
        for name, value in (("val_loss", one.score(kind).loss), ("val_acc", one.score(kind).accuracy))
    }
    return {
        "epoch": one.epoch,
        "step": one.steps,
        "lr": one.lr,
        "loss": one.train_loss,
        "val_loss_logged": one.logged,
        **scores,
        "penalty": one.moving.penalty,
        "stale": one.moving.loss - one.recomputed.loss,
        "mean_shift": one.mean_shift,
        "variance_ratio": one.variance_ratio,
        "images": one.images,
    }


def figure(name: str, found: Sequence[BnSplit]) -> figures.Figure:
    """Return the losses over epochs, a line for each kind and one for training."""
    worst = max(found, key=lambda one: one.moving.loss - one.recomputed.loss)
    told = (
        f"at most {worst.moving.loss - worst.recomputed.loss:.3g} of it is stale statistics, after epoch {worst.epoch}"
    )
    return figures.Figure(
        name="bn-split",
        title=f"{labels.shown(name)}: val_loss under three kinds of BN statistics",
        alternative=f"Validation loss of the same weights under three kinds of BN statistics over epochs: {told}.",
        chart=lambda ink: _chart(found, ink=ink),
        table=(LINES,),
    )


def _chart(found: Sequence[BnSplit], *, ink: figures.Ink) -> alt.VConcatChart:
    losses = [(one.epoch, MEANINGS[kind], one.score(kind).loss) for one in found for kind in STATISTICS]
    losses += [(one.epoch, TRAINING, one.train_loss) for one in found if one.train_loss is not None]
    rows = [{"epoch": epoch, "kind": kind, "loss": loss} for epoch, kind, loss in losses]
    names = [*MEANINGS.values(), TRAINING]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700, labelLimit=400, columns=2)
    colour = alt.Scale(domain=names, range=[*[ink.validation] * 3, ink.training])
    dash = alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]])
    values = [loss for _, _, loss in losses]
    log = figures.is_log(values)
    last = max(one.epoch for one in found)
    x = alt.X("epoch:Q", title="epoch", scale=alt.Scale(domain=[0, last], nice=False), axis=alt.Axis(format="d"))
    base = alt.Chart(alt.NamedData(LINES)).encode(
        x=x,
        y=figures.vertical("loss", title="loss", span=figures.span(values, log=log), log=log),
        color=alt.Color("kind:N", scale=colour, legend=legend),
    )
    layers = [
        base.mark_line(strokeWidth=1.8, aria=False).encode(
            strokeDash=alt.StrokeDash("kind:N", scale=dash, legend=legend)
        ),
        base.mark_point(filled=True, size=22, aria=False),
    ]
    plot = alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)
    chart = figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink)
    chart.datasets = {LINES: rows}
    return chart


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
