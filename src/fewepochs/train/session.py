"""A run and its folder: opened or continued, trained epoch by epoch, and left in a state that can be gone on with.

The loop yields; this is the caller that stores what it yields, shows it, saves checkpoints, and writes down how it
ended. Whoever watches is told through `Watcher` and asks nothing of the device.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from fewepochs import locks, store
from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.data import sources
from fewepochs.errors import CheckpointError, DivergedError, StorageError
from fewepochs.records import CostRecord, EpochRecord, EvaluationRecord, RunState, RunStatus, Stopped
from fewepochs.stats import stopping
from fewepochs.stats import target as crossing_rules
from fewepochs.train import checkpoint, environment, interrupt, loop, saves
from fewepochs.train.step import EvaluationStoppedError


class Watcher(Protocol):
    """Who is told what happens."""

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: loop.Progress) -> None:
        """A run begins, or goes on after the epochs `done`."""

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """An epoch has ended."""


# --- opening ------------------------------------------------------------------------------------------------------


def open_folder(
    held: locks.Held,
    training: loop.Training,
    *,
    known: store.StoredRun | None,
    dataset: sources.DataSet,
    where: str | None,
    say: Callable[[str], None],
    strict: bool = False,
    snapshots: str = "",
    evaluate_every: int | None = None,
) -> store.RunFolder:
    """Return the run's folder, which is `held`: a new one, or a known one with `training` brought to where it stopped.

    `where` is the path that the user gave for the data, `snapshots` the epochs whose state is kept, `evaluate_every`
    the steps between evaluations on request; a resumed run takes all three from here. `say` hears warnings; `strict`
    refuses to go on where the bits would not be those of an undisturbed run. Raises StorageError, DataError or
    CheckpointError where there is no room, the data has changed, or what is there cannot be gone on with; nothing is
    deleted.
    """
    asked = {"snapshots": snapshots or None, "evaluate_every": evaluate_every}
    now = {**_environment(training, dataset=dataset, where=where), **asked}
    folder = store.RunFolder(held.path, held=held)
    kept = runtimes.kept_epochs(snapshots, budget=training.recipe.budget.epochs)
    folder.require_space(checkpoint.most_bytes(training.program.state(), kept=len(kept)))
    if known is None:
        status = _status(training, (), "running")
        return store.create(held.path, recipe=training.recipe, environment=now, status=status, held=held)
    _refuse_other_data(known.environment, now)
    doubts = environment.doubts(known.environment, now)
    if doubts and strict:
        raise CheckpointError(
            f"{held.path}: not bit-exact from here: {'; '.join(doubts)}. Leave --strict out to go on."
        )
    for doubt in doubts:
        say(f"warning: {doubt}: not bit-exact from here")
    _go_on(training, folder=folder, logged=min(len(known.epochs), len(known.costs)), say=say)
    folder.sweep()
    checkpoint.prune(folder.checkpoints)
    folder.keep(training.epochs, steps=training.steps)
    changed = {key: now[key] for key in environment.COMPARED if now[key] != known.environment.get(key)}
    before = known.environment.get("resumed")
    entry = {"after_epoch": training.epochs, "after_step": training.steps, "bit_exact": not doubts, **changed}
    resumed = [*(before if isinstance(before, list) else ()), entry]
    folder.write_environment({**known.environment, **asked, "resumed": resumed})
    return folder


def _environment(training: loop.Training, *, dataset: sources.DataSet, where: str | None) -> dict[str, Any]:
    """Return where `training` runs, and on which data."""
    found = environment.collect(
        device=training.device,
        kernels=training.kernels,
        graphs=training.recorded,
        data_digest=dataset.digest,
        data_origin=dataset.origin,
    )
    found["data"] |= {"verified": dataset.verified, "where": where}
    return {**found, "together": training.together}


def _refuse_other_data(first: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise DataError if the run began with other data; its checkpoint says so, too, where there is one."""
    began = first.get("data")
    digest = began.get("digest") if isinstance(began, dict) else None
    if isinstance(digest, str) and digest != now["data"]["digest"]:
        raise loop.other_data(now["data"]["digest"], digest)


def _go_on(training: loop.Training, *, folder: store.RunFolder, logged: int, say: Callable[[str], None]) -> None:
    """Bring `training` to the newest usable checkpoint; those passed over are set aside under another name.

    `logged` epochs have both their lines, so that the logs can be cut back to where it stands.
    """
    snapshot, passed_over = checkpoint.load_newest(folder.checkpoints, most_epochs=logged)
    if snapshot is not None:
        training.restore(snapshot)
    elif logged:
        say(f"warning: {folder.checkpoints} is empty; training anew from the first epoch")
    for path, reason in passed_over.items():
        say(f"warning: {reason}; falling back to the checkpoint before it")
        folder.set_aside(path)


# --- training -----------------------------------------------------------------------------------------------------


def train(
    training: loop.Training,
    *,
    folder: store.RunFolder,
    view: Watcher,
    stop: stopping.Stop = stopping.NEVER,
    until: int | None = None,
    checkpoint_seconds: float = saves.DEFAULT_SECONDS,
    snapshots: str = "",
    evaluate_every: int | None = None,
) -> int | None:
    """Run the loop, storing and showing each epoch; return the signal that ended it, if one did.

    After `until` epochs the run is left, to be gone on with or not. In mid-epoch a checkpoint is written on SIGUSR1
    and after `checkpoint_seconds` without one. `snapshots` and `evaluate_every` are those of a `Runtime`.
    """
    progress = loop.Progress(halt_every=evaluate_every)
    known = store.read(folder.path)
    work = _Work(
        training,
        folder=folder,
        view=view,
        progress=progress,
        saves=saves.Saves(folder, every_seconds=checkpoint_seconds),
        records=list(known.own_epochs),
        kept=runtimes.kept_epochs(snapshots, budget=training.recipe.budget.epochs),
        evaluated=known.evaluations[-1].step if known.evaluations else 0,
    )
    also = {signal.SIGUSR1: work.save_soon, signal.SIGCONT: training.meter.woken}
    with interrupt.catching(progress, also=also) as caught:
        try:
            view.start(training.recipe, name=folder.path.name, done=tuple(work.records), progress=progress)
            work.note("running")
            finished = work.until_the_end(stop, until=until)
        except DivergedError as error:
            work.saves.end_without()
            work.note("diverged", reason=str(error))
            return None
        except KeyboardInterrupt:  # the second one: what was done since the last checkpoint is done again
            work.note("interrupted", reason="stopped at once by a signal")
            raise
        except BaseException as error:
            with suppress(StorageError):  # on a full disk this cannot be written either
                work.note("crashed", reason=f"{type(error).__name__}: {error}")
            raise
        if finished:
            work.conclude(stop, until=until)
            return None
        work.note("interrupted", reason="asked to stop" if caught.signal is None else "stopped by a signal")
        return caught.signal


@dataclass
class _Work:
    """A run that is being trained."""

    training: loop.Training
    folder: store.RunFolder = field(kw_only=True)
    view: Watcher = field(kw_only=True)
    progress: loop.Progress = field(kw_only=True)
    saves: saves.Saves = field(kw_only=True)
    records: list[EpochRecord] = field(kw_only=True)
    kept: frozenset[int] = field(kw_only=True)
    evaluated: int = field(kw_only=True)
    """The step of the last evaluation on request that was stored."""

    def paused(self, until: int | None) -> bool:
        """Return whether the run has done the epochs that were asked for, and has more to do."""
        return until is not None and until <= self.training.epochs < self.training.recipe.budget.epochs

    def until_the_end(self, stop: stopping.Stop, *, until: int | None) -> bool:
        """Train until the budget, the rule or `until` epochs end the run; return False where a signal came first.

        Whenever the loop has ended its state is saved, in mid-epoch, too.
        """
        training, progress = self.training, self.progress
        if stopping.verdict(stop, self.records) is not None or self.paused(until):
            return True
        while not progress.stop and training.epochs < training.recipe.budget.epochs:
            self._evaluate()
            progress.pause_at = self.saves.due
            for record, cost in loop.run(training, progress=progress):
                self._store(record, cost)
                if stopping.verdict(stop, self.records) is not None or self.paused(until):
                    self.saves.write(training)
                    return True
            if self._halted and not progress.ended:
                continue
            progress.pause = False
            self.saves.write(training)
            self.note("running")
        return training.epochs >= training.recipe.budget.epochs

    def conclude(self, stop: stopping.Stop, *, until: int | None) -> None:
        """Write down by what the run ended: its rule, a pause, its budget."""
        ended_by = stopping.verdict(stop, self.records)
        if ended_by is not None:
            self.note("finished", reason=ended_by.reason, stopped=ended_by.ending)
        elif self.paused(until):
            self.note("interrupted", reason=f"paused after {until} epochs", stopped="paused")
        else:
            self.note("finished")

    def save_soon(self) -> None:
        """Let a checkpoint be written after the step."""
        self.progress.pause = True

    def note(self, state: RunState, *, reason: str | None = None, stopped: Stopped | None = None) -> None:
        """Write down where the run stands."""
        self.folder.write_status(_status(self.training, self.records, state, reason=reason, stopped=stopped))

    @property
    def _halted(self) -> bool:
        """Whether the run stands in mid-epoch where an evaluation was asked for."""
        training = self.training
        within = 0 < training.epoch_steps < (*training.horizon.epoch_steps, 0)[training.epochs]
        return within and self.progress.halts(training.steps)

    def _evaluate(self) -> None:
        """Evaluate and store, if that was asked for here and is not done; an evaluation that is stopped comes later."""
        if self._halted and self.evaluated < self.training.steps:
            with suppress(EvaluationStoppedError):
                found = loop.evaluate(self.training, progress=self.progress)
                if found is not None:
                    self._store_evaluation(found)

    def _store_evaluation(self, found: EvaluationRecord) -> None:
        if self.evaluated < found.step:
            self.folder.append_evaluation(found)
            self.evaluated = found.step

    def _store(self, record: EpochRecord, cost: CostRecord) -> None:
        best = crossing_rules.best(self.records)
        if self.progress.halts(record.step):  # the epoch's own evaluation is the one that was asked for
            self._store_evaluation(
                EvaluationRecord(step=record.step, epoch=record.epoch, val_loss=record.val_loss, val_acc=record.val_acc)
            )
        self.folder.append(record, cost)
        self.records.append(record)
        is_best = best is None or record.val_acc > best.val_acc
        self.saves.after_epoch(self.training, best=is_best, kept=record.epoch in self.kept)
        self.progress.pause_at = self.saves.due
        self.view.epoch(record, cost)
        self.note("running")


def _status(
    training: loop.Training,
    records: Sequence[EpochRecord],
    state: RunState,
    *,
    reason: str | None = None,
    stopped: Stopped | None = None,
) -> RunStatus:
    recipe = training.recipe
    return RunStatus(
        state=state,
        epochs=len(records),
        budget=recipe.budget.epochs,
        reason=reason,
        stopped=stopped,
        crossings=crossing_rules.crossings(records, recipe.targets, hold=recipe.hold),
        best=crossing_rules.best(records),
        host=socket.gethostname(),
        pid=os.getpid(),
        heartbeat=store.now(),
    )
