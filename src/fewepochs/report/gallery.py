"""The figures of runs by name: the same ones as on the report's page, for papers, notebooks and slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never, get_args

from fewepochs import store
from fewepochs.errors import Problem, RecipeError
from fewepochs.report import (
    comparison,
    comparison_figure,
    cost_figure,
    curves_figure,
    figures,
    labels,
    noise_figure,
    summary,
)

Kind = Literal["survival", "curves", "cost", "noise"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def build(
    kind: Kind, runs: Sequence[store.StoredRun], *, targets: Sequence[float] = (), live: bool = False
) -> figures.Figure:
    """Return the figure `kind` of `runs`; `targets` are the recipes' where none are given.

    `live` adds to curves what answers to a pointer. Raises RecipeError where there is nothing to draw.
    """
    found = comparison.build(runs, targets=targets)
    groups = labels.group(labels.label(runs))
    match kind:
        case "survival":
            drawn = comparison_figure.figure(found) if comparison_figure.drawable(found) else None
            why = "no recipe has a target and two runs"
        case "curves":
            begun = any(run.epochs for run in runs)
            drawn = curves_figure.figure(groups, targets=found["targets"], live=live) if begun else None
            why = "no run has done an epoch"
        case "cost":
            drawn = cost_figure.figure(summary.build(runs, targets=found["targets"]), found)
            why = "no run whose cost is known has reached a target"
        case "noise":
            drawn = noise_figure.figure(noise_figure.build(groups))
            why = "no run has a phase of constant rate that is long enough, 20 epochs"
        case unknown:
            assert_never(unknown)
    if drawn is None:
        raise RecipeError("command line", (Problem(kind, f"nothing to draw: {why}"),))
    return drawn
