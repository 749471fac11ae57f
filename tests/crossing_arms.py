"""Arms of runs that reach a target at the epochs one asks for, as the statistics take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewepochs.records import CostRecord, EpochRecord, RunState
from fewepochs.stats import arms

LOW, HIGH, TARGET = 0.5, 0.95, 0.9


def run(
    crossing: int | None,
    *,
    seed: int = 0,
    epochs: int = 20,
    budget: int = 20,
    state: RunState = "finished",
    seconds: float | None = 2.0,
    joules: float | None = 3.0,
    gap: float | None = None,
    drop_after: int | None = None,
    low: float = LOW,
) -> arms.Run:
    """Return a run that is above the target from epoch `crossing` on, and costs the same each epoch."""
    accuracies = [HIGH if crossing is not None and e >= crossing else low for e in range(1, epochs + 1)]
    rates = [0.1 if drop_after is not None and e > drop_after else 1.0 for e in range(1, epochs + 1)]
    curve = tuple(
        EpochRecord(
            epoch=e,
            step=e,
            loss=1.0,
            acc=0.5,
            val_loss=1.0,
            val_acc=accuracy,
            test_acc=None if gap is None else accuracy - gap,
            penalty=0.0,
            lr_first=rate,
            lr_last=rate,
            lr_logged=rate,
        )
        for e, (accuracy, rate) in enumerate(zip(accuracies, rates, strict=True), start=1)
    )
    costs = tuple(
        CostRecord(
            epoch=e,
            setup_seconds=9.0,
            train_seconds=seconds,
            evaluation_seconds=9.0,
            images_per_second=1.0,
            joules=joules,
        )
        for e in range(1, epochs + 1)
        if seconds is not None
    )
    return arms.Run(f"run {seed}", (seed,) * 4, curve, costs, budget, state)


def arm(label: str, crossings: Sequence[int | None], *, first_seed: int = 0, **rest: Any) -> arms.Arm:
    return arms.Arm(label, tuple(run(c, seed=first_seed + k, **rest) for k, c in enumerate(crossings)))
