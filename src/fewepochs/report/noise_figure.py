"""Settled noise of the validation loss, phase by phase of the schedule: how restless a run is at each learning rate.

A dot is a run in a phase of constant rate, a line goes through the medians of a recipe; see `stats.noise`. Phases too
short to tell, and rates that move from step to step, have no dot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from fewepochs.report import figures, labels
from fewepochs.stats import noise

HEIGHT = 200
RUNS = "noise"


def build(groups: Sequence[labels.Group]) -> list[dict[str, Any]]:
    """Return a row for each run and phase that is long enough: its epochs, rate and noise."""
    return [
        {
            "arm": group.label,
            "run": run.label,
            "first": phase[0].epoch,
            "last": phase[-1].epoch,
            "rate": phase[0].lr_first,
            "noise": found,
        }
        for group in groups
        for run in group.runs
        for phase in noise.phases(run.stored.own_epochs)
        if (found := noise.of_phase(phase)) is not None
    ]


def figure(rows: Sequence[dict[str, Any]]) -> figures.Figure | None:
    """Return the noise over the learning rate; None where no phase was long enough."""
    drawn = [row for row in rows if row["rate"] > 0]  # a rate of zero has no place on a logarithmic axis
    if not drawn:
        return None
    arms = ", ".join(dict.fromkeys(row["arm"] for row in drawn))
    least, most = (f(row["noise"] for row in drawn) for f in (min, max))
    return figures.Figure(
        name="noise",
        title="Settled noise of the validation loss",
        alternative=f"Noise of the validation loss over the learning rate, {least:.3g} to {most:.3g}, of {arms}.",
        chart=lambda ink: _chart(drawn, ink=ink),
        table=(RUNS,),
    )


def _chart(rows: Sequence[dict[str, Any]], *, ink: figures.Ink) -> alt.VConcatChart:
    names = list(dict.fromkeys(row["arm"] for row in rows))
    colour, dash = figures.arms(names)
    low, high = figures.span([row["rate"] for row in rows], log=True)
    ticks = figures.log_ticks((low, high))
    axis = alt.Axis(values=ticks or sorted({row["rate"] for row in rows}), format="~g" if low >= 1e-4 else "~e")
    x = alt.X("rate:Q", title="learning rate", scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=axis)
    values = [row["noise"] for row in rows]
    log = figures.is_log(values)
    y = figures.vertical("noise", title="noise of val_loss", span=figures.span(values, log=log), log=log)
    base = alt.Chart(alt.NamedData(RUNS)).transform_filter(figures.SHOWN).encode(x=x, y=y, color=colour)
    middle = base.transform_aggregate(noise="median(noise)", groupby=["arm", "rate"])
    layers = [
        middle.mark_line(strokeWidth=1.6, aria=False).encode(strokeDash=dash),
        base.mark_point(filled=True, size=40, opacity=0.75, aria=False),
    ]
    plot = alt.LayerChart(layer=layers, width=figures.WIDTH, height=HEIGHT)
    chart = figures.can_hide(figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink, names=names))
    chart.datasets = {RUNS: list(rows)}
    return chart
