"""A run and its folder: opened or continued, trained epoch by epoch, and left in a state that can be gone on with.

The loop yields; this is the caller that stores what it yields, shows it, saves checkpoints, and writes down how it
ended. Whoever watches is told through `Watcher` and asks nothing of the device.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.data import sources
from fewepochs.errors import CheckpointError, DivergedError, FewEpochsError
from fewepochs.records import CostRecord, EpochRecord, RunState, RunStatus
from fewepochs.stats import target as crossing_rules
from fewepochs.train import checkpoint, environment, interrupt, loop


class Watcher(Protocol):
    """Who is told what happens."""

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: loop.Progress) -> None:
        """A run begins, or goes on after the epochs `done`."""

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """An epoch has ended."""


def open_folder(
    path: Path,
    training: loop.Training,
    *,
    known: store.StoredRun | None,
    dataset: sources.DataSet,
    where: str | None,
    say: Callable[[str], None],
) -> store.RunFolder:
    """Return the run's folder: a new one, or a known one with `training` brought to where it stopped.

    `where` is the path that the user gave for the data; a resumed run looks there again. `say` hears warnings. Raises
    CheckpointError where what is there cannot be gone on with; nothing is deleted.
    """
    now = environment.collect(
        device=training.device, kernels=training.kernels, data_digest=dataset.digest, data_origin=dataset.origin
    )
    now["data"]["verified"] = dataset.verified
    now["data"]["where"] = where
    if known is None:
        return store.create(path, recipe=training.recipe, environment=now, status=_status(training, (), "running"))
    folder = store.RunFolder(path)
    snapshot, warnings = checkpoint.load_newest(folder.checkpoints)
    for warning in warnings:
        say(f"warning: {warning}; falling back to the checkpoint before it")
    if snapshot is not None:
        training.restore(snapshot)
    elif known.epochs:
        say(f"warning: {folder.checkpoints} is empty; training anew from the first epoch")
    if len(known.epochs) < training.epochs:
        raise CheckpointError(
            f"{path}: the checkpoint has {training.epochs} epochs, {store.EPOCHS} only {len(known.epochs)}. "
            "Nothing was changed. Restore the file, or delete the run folder and train again."
        )
    folder.keep(training.epochs)
    folder.write_environment(_with_resume(known.environment, now, epochs=training.epochs))
    return folder


def _with_resume(first: Mapping[str, Any], now: Mapping[str, Any], *, epochs: int) -> dict[str, Any]:
    """Return the first environment with what differs now noted under "resumed"."""
    compared = ("command", "packages", "source", "system", "cpu", "threads", "device", "kernels", "gpu")
    changed = {key: now[key] for key in compared if now[key] != first.get(key)}
    return {**first, "resumed": [*first.get("resumed", ()), {"after_epoch": epochs, **changed}]}


def train(
    training: loop.Training, *, folder: store.RunFolder, view: Watcher, stop_at_target: float | None
) -> int | None:
    """Run the loop, storing and showing each epoch; return the signal that ended it, if one did."""
    progress = loop.Progress()
    records = list(store.read(folder.path).epochs)
    view.start(training.recipe, name=folder.path.name, done=tuple(records), progress=progress)
    folder.write_status(_status(training, records, "running"))
    with interrupt.catching(progress) as caught:
        try:
            for record, cost in loop.run(training, progress=progress):
                best = crossing_rules.best(records)
                records.append(record)
                folder.append(record, cost)
                checkpoint.save(
                    folder.checkpoints, training.snapshot(), best=best is None or record.val_acc > best.val_acc
                )
                view.epoch(record, cost)
                if stop_at_target is not None and record.val_acc >= stop_at_target:
                    folder.write_status(
                        _status(training, records, "finished", reason=f"stopped at target {stop_at_target:g}")
                    )
                    return None
                folder.write_status(_status(training, records, "running"))
        except DivergedError as error:
            folder.write_status(_status(training, records, "diverged", reason=str(error)))
            return None
        except FewEpochsError:
            raise
        except KeyboardInterrupt:  # the second one: what the epoch in progress has done so far is lost
            folder.write_status(_status(training, records, "interrupted", reason="stopped at once by a signal"))
            raise
        except BaseException as error:
            folder.write_status(_status(training, records, "crashed", reason=f"{type(error).__name__}: {error}"))
            raise
        return _end(training, folder=folder, records=records, signal=caught.signal)


def _end(
    training: loop.Training, *, folder: store.RunFolder, records: Sequence[EpochRecord], signal: int | None
) -> int | None:
    """Record how the loop ended; an interrupted epoch is saved where it stands."""
    if training.epochs >= training.recipe.budget.epochs:
        folder.write_status(_status(training, records, "finished"))
        return None
    checkpoint.save(folder.checkpoints, training.snapshot())
    folder.write_status(_status(training, records, "interrupted", reason="stopped by a signal"))
    return signal


def _status(
    training: loop.Training, records: Sequence[EpochRecord], state: RunState, *, reason: str | None = None
) -> RunStatus:
    recipe = training.recipe
    return RunStatus(
        state=state,
        epochs=len(records),
        budget=recipe.budget.epochs,
        reason=reason,
        crossings=crossing_rules.crossings(records, recipe.targets, hold=recipe.hold),
        best=crossing_rules.best(records),
        host=socket.gethostname(),
        pid=os.getpid(),
        heartbeat=store.now(),
    )
