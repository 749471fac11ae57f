"""The split of BN's statistics as a table and as a figure: val_loss of the same weights under three kinds.

Every number that is printed or drawn is one of the table's. Blue is validation, its dash the kind of statistics; the
training loss, as the run logged it, is red.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import altair as alt

from fewepochs.probes import scores
from fewepochs.probes.scores import STATISTICS, Statistics
from fewepochs.records import Finite
from fewepochs.report import figures, probed, visible
from fewepochs.report.table_text import Page, Table

HEIGHT = 220
LINES = "lines"
TRAINING = "training, as logged"
MEANINGS: dict[Statistics, str] = {
    "moving": "moving statistics",
    "recomputed": "recomputed on training images",
    "batch": "of the validation batch",
}


class Moment(probed.Row):
    """The numbers of a moment; `stale` is val_loss under moving statistics less that under recomputed ones."""

    epoch: probed.Epoch
    step: int
    lr: Finite | None
    loss: Finite | None
    val_loss_logged: Finite | None
    val_loss_moving: Finite | None
    val_acc_moving: Finite
    val_loss_recomputed: Finite | None
    val_acc_recomputed: Finite
    val_loss_batch: Finite | None
    val_acc_batch: Finite
    penalty: Finite | None
    stale: Finite | None
    mean_shift: Finite | None
    variance_ratio: Finite | None
    images: int

    def val_loss(self, kind: Statistics) -> float | None:
        """Return val_loss under statistics of that kind."""
        found = {"moving": self.val_loss_moving, "recomputed": self.val_loss_recomputed, "batch": self.val_loss_batch}
        return found[kind]


class BnSplit(probed.Probed):
    """What `fewepochs bn-split` found in a run: a moment or more, in rising order."""

    probe: Literal["bn-split"]
    tables: tuple[probed.Filled[Moment], probed.Table[probed.Row]]

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The numbers of all moments."""
        return self.tables[0].data


def page(run: probed.Run, found: Sequence[scores.BnSplit], *, augmented: bool, batch_size: int, averaged: bool) -> Page:
    """Return the tables of a run, a row for each moment; the data of the first are all numbers."""
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
    first = Table(
        f"{visible.shown(run.name)}: val_loss under three kinds of BN statistics",
        ("epoch", "lr", "train loss", *STATISTICS, "stale"),
        losses,
        tuple(row(one).model_dump() for one in found),
    )
    second = Table(
        "val_acc under them, and how far the moving statistics are from the recomputed ones",
        ("epoch", *STATISTICS, "shift", "variance"),
        accuracies,
        (),
    )
    notes = _notes(found, augmented=augmented, batch_size=batch_size, averaged=averaged)
    return Page("bn-split", (first, second), tuple(notes), asked=probed.header("bn-split", run))


def _notes(found: Sequence[scores.BnSplit], *, augmented: bool, batch_size: int, averaged: bool) -> Iterator[str]:
    kind = "augmented" if augmented else "unaugmented"
    yield (
        f"recomputed: mean and variance over all training images, {kind}; batch: of validation batches of {batch_size}"
    )
    yield (
        "stale: val_loss under moving statistics minus val_loss under recomputed ones; shift: of the moving means, in "
        "standard deviations, root mean square over channels; variance: moving over recomputed, median over channels"
    )
    yield f"{sum(one.images for one in found):,} images went forward"
    if averaged:
        yield "the recipe averages weights: what is logged is the average's val_loss, what is split here is not"


def row(one: scores.BnSplit) -> Moment:
    """Return the numbers of a moment."""
    losses: dict[str, Any] = {f"val_loss_{kind}": probed.finite(one.score(kind).loss) for kind in STATISTICS}
    accuracies: dict[str, Any] = {f"val_acc_{kind}": one.score(kind).accuracy for kind in STATISTICS}
    return Moment(
        epoch=one.epoch,
        step=one.steps,
        lr=one.lr,
        loss=one.train_loss,
        val_loss_logged=one.logged,
        **losses,
        **accuracies,
        penalty=probed.finite(one.moving.penalty),
        stale=probed.finite(one.moving.loss - one.recomputed.loss),
        mean_shift=probed.finite(one.mean_shift),
        variance_ratio=probed.finite(one.variance_ratio),
        images=one.images,
    )


def sentences(found: BnSplit) -> Iterator[str]:
    """Yield what is to be seen: how often val_loss rises under either kind of statistics, and where they differ most.

    Of moments whose losses are not finite nothing is said.
    """
    known = [one for one in found.moments if None not in (one.val_loss_moving, one.val_loss_recomputed, one.stale)]
    steps = len(known) - 1
    if steps > 0:
        fresh, moving = (_rises([one.val_loss(kind) or 0.0 for one in known]) for kind in ("recomputed", "moving"))
        states = "epoch to epoch" if known[-1].epoch - known[0].epoch == steps else "one kept state to the next"
        yield (
            f"From {states}, val_loss with recomputed statistics rises at {fresh} of {steps} "
            f"{'step' if steps == 1 else 'steps'}, with moving ones at {moving}."
        )
    if known:
        worst = max(known, key=lambda one: one.stale or 0.0)
        where = f"after epoch {worst.epoch}: {worst.val_loss_moving:.4f} with moving statistics"
        told = f"{where}, {worst.val_loss_recomputed:.4f} with recomputed ones."
        most = "Stale statistics cost most" if steps else "What stale statistics cost"
        yield f"{most} {told}" if (worst.stale or 0.0) > 0 else f"Stale statistics cost nothing, least {told}"


def _rises(values: Sequence[float]) -> int:
    return sum(later > earlier for earlier, later in itertools.pairwise(values))


def figure(found: BnSplit) -> figures.Figure:
    """Return the losses over epochs, a line for each kind and one for training."""
    worst = max(found.moments, key=lambda one: one.stale or 0.0)
    told = f"at most {worst.stale or 0.0:.3g} of it is stale statistics, after epoch {worst.epoch}"
    return figures.Figure(
        name="bn-split",
        title=f"{visible.shown(found.run)}: val_loss under three kinds of BN statistics",
        alternative=f"Validation loss of the same weights under three kinds of BN statistics over epochs: {told}.",
        chart=lambda ink: _chart(found.moments, ink=ink),
        table=(LINES,),
    )


def _chart(found: Sequence[Moment], *, ink: figures.Ink) -> alt.VConcatChart:
    told = [(one.epoch, MEANINGS[kind], one.val_loss(kind)) for one in found for kind in STATISTICS]
    told += [(one.epoch, TRAINING, one.loss) for one in found]
    losses = [(epoch, kind, loss) for epoch, kind, loss in told if loss is not None]
    rows = [{"epoch": epoch, "kind": kind, "loss": loss} for epoch, kind, loss in losses]
    names = [*MEANINGS.values(), TRAINING]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=700, labelLimit=400)
    colour = alt.Scale(domain=names, range=[*[ink.validation] * 3, ink.training])
    dash = alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]])
    values = [loss for _, _, loss in losses]
    log = figures.is_log(values)
    x = figures.epochs("epoch", title="epoch", last=max(one.epoch for one in found))
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
    chart = figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink, names=names)
    chart.datasets = {LINES: rows}
    return chart


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
