"""Foreign runs made of numbers alone, for tests of whatever stores or shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import ForeignEpoch, RunState, RunStatus
from fewepochs.specs import rates

SHA256 = "5" * 64


def origin(
    *,
    name: str = "my-keras",
    seed: int = 0,
    budget: int = 20,
    file: str = "log.csv",
    validation: foreign_runs.Validation | None = None,
    described: recipes.Recipe | None = None,
    targets: tuple[float, ...] = (),
) -> foreign_runs.Foreign:
    return foreign_runs.Foreign(
        name=name,
        seed=seed,
        budget=rates.Budget(epochs=budget),
        validation=validation,
        described=described,
        targets=targets,
        source=foreign_runs.Source(kind="keras-csv", file=file, sha256=SHA256),
    )


def curve(
    accuracies: Sequence[float], *, rates: Sequence[float] | None = None, full: bool = True
) -> tuple[ForeignEpoch, ...]:
    """Return the epochs of a file that has a rate an epoch, or none; `full` adds losses and training accuracy."""
    return tuple(
        ForeignEpoch(
            epoch=number,
            loss=1 / number if full else None,
            acc=accuracy / 2 if full else None,
            val_loss=2 / number if full else None,
            val_acc=accuracy,
            lr_logged=None if rates is None else rates[number - 1],
        )
        for number, accuracy in enumerate(accuracies, start=1)
    )


RISING = tuple(min(0.99, 0.1 + 0.1 * epoch) for epoch in range(1, 21))
"""0.2, 0.3, ...: an accuracy of 0.9 at epoch 8, 20 epochs in all."""


def make(
    accuracies: Sequence[float] = RISING,
    *,
    rates: Sequence[float] | None = None,
    full: bool = True,
    state: RunState = "finished",
    notes: Sequence[str] = (),
    **said: Any,
) -> store.StoredRun:
    """Return a foreign run as a store would read it."""
    what = origin(**said)
    epochs = curve(accuracies, rates=rates, full=full)
    status = RunStatus(
        state=state, epochs=len(epochs), budget=what.budget.epochs, heartbeat="2026-01-01T00:00:00+00:00"
    )
    environment = {"imported_by": "fewepochs", "notes": list(notes)}
    return store.StoredRun(Path("runs") / store.run_name(what), what, status, epochs, (), environment)


def write(run: store.StoredRun, *, out: Path) -> Path:
    """Write `run` below `out`, and return its folder."""
    assert isinstance(run.recipe, foreign_runs.Foreign)
    epochs = [record for record in run.epochs if isinstance(record, ForeignEpoch)]
    path = out / run.name
    with store.hold(path):
        store.bring_in(path, foreign=run.recipe, epochs=epochs, environment=run.environment, status=run.status)
    return path
