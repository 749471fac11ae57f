"""Runs and studies while they grow, in a terminal: a row a run at work, what is left, how far the next target is.

      run                      epoch  val_acc   left    best, next target
    > digits-step-s1-1a8ef028  12/20  ▁▃▅▆▇▇▆█  8.2 s   0.9633 @11, 0.0067 to 0.97
    # digits-step-s0-00317394  20/20  ▁▄▅▆▇▇▇█          0.9833 @18, all targets reached

Marks are those of a study's cells. Lines are cut at the terminal's width, so that nothing wraps and jumps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from fewepochs import store
from fewepochs.report import console, study_console, table_text, visible
from fewepochs.study import plan

MARKS = {"running": ">", "finished": "#", "interrupted": "~", "crashed": "x", "diverged": "x"}
HEADS = ("  run", "epoch", "val_acc", "left", "best, next target")

WIDE = 100
"""From so many columns on there is room for longer curves."""

RECENT = 5
"""The time left is reckoned by the median of so many epochs: a machine may have got busier."""


def lines(runs: Sequence[store.StoredRun], *, planned: plan.Plan | None, width: int, height: int) -> list[str]:
    """Return what is to be seen now, in `height` lines of `width` columns: of a study its cells, then runs at work."""
    told: list[str] = []
    if planned is not None:
        told = [*study_console.plan_lines(planned), ""]
        told += study_console.at_work([one for one in planned.standings if one.state == "running"])
    else:
        order = sorted(runs, key=lambda run: run.state != "running")  # those at work first
        told = table_text.aligned([HEADS, *(_row(run, sparks=16 if width >= WIDE else 8) for run in order)])
    shown = [line[:width] for line in told]
    if len(shown) > height:
        shown = [*shown[: height - 1], f"... and {len(shown) - height + 1} lines more"[:width]]
    return shown


def news(before: Mapping[str, int], runs: Sequence[store.StoredRun]) -> list[str]:
    """Return a line for each epoch that is new since `before`, which has the epochs done of each run's digest."""
    told = []
    for run in runs:
        for k in range(before.get(run.digest, 0), len(run.epochs)):
            records = run.epochs[: k + 1]
            standing = console.standing(records, targets=run.recipe.targets)
            where = f"epoch {records[-1].epoch}/{run.recipe.budget.epochs}"
            told.append(f"{visible.shown(run.name)}: {where}  val_acc {records[-1].val_acc:.4f}  {standing}")
    return told


def events(before: Mapping[str, int], runs: Sequence[store.StoredRun]) -> list[str]:
    """Return the same as one JSON object a line: {"event": "epoch", "run": ..., "state": ..., "record": {...}}."""
    return [json.dumps(_event(run, k)) for run in runs for k in range(before.get(run.digest, 0), len(run.epochs))]


def done(runs: Sequence[store.StoredRun]) -> dict[str, int]:
    """Return how many epochs each run has done, by its digest."""
    return {run.digest: len(run.epochs) for run in runs}


def _event(run: store.StoredRun, k: int) -> dict[str, Any]:
    return {
        "event": "epoch",
        "run": run.name,
        "state": run.state,
        "budget": run.recipe.budget.epochs,
        "record": run.epochs[k].model_dump(mode="json"),
    }


def _row(run: store.StoredRun, *, sparks: int) -> tuple[str, ...]:
    values = [record.val_acc for record in run.epochs]
    return (
        f"{MARKS[run.state]} {visible.shown(run.name)}",
        f"{len(values)}/{run.recipe.budget.epochs}",
        study_console.spark(values, width=sparks),
        _left(run),
        console.standing(run.epochs, targets=run.recipe.targets).removeprefix("best "),
    )


def _left(run: store.StoredRun) -> str:
    if run.state != "running":
        return "" if run.state == "finished" else run.state
    took = [cost.train_seconds + cost.evaluation_seconds for cost in run.costs[-RECENT:]]
    rest = run.recipe.budget.epochs - len(run.epochs)
    return console.duration(rest * median(took)) if took and rest else "..."
