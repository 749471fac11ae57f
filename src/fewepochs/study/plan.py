"""What of a study is done, what is missing, and what the rest will cost.

    done          finished, or diverged: an answer, too
    running       a process holds its run folder
    begun         interrupted or crashed: goes on from its checkpoint
    failed        could not be trained; the reason stands in the study's folder
    missing       not begun

Cost is what cells of the same arm took an epoch, else what other cells of the study took (said so). Where none was
trained there is no estimate, and none is invented.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fewepochs import locks, store
from fewepochs.study import folder, grid
from fewepochs.train import outcome

CellState = Literal["done", "running", "begun", "failed", "missing"]
STATES: tuple[CellState, ...] = ("done", "running", "begun", "failed", "missing")


@dataclass(frozen=True)
class Standing:
    """Where a cell stands: `run` is what is stored of it, `why` the failure."""

    cell: grid.Cell
    state: CellState
    run: store.StoredRun | None
    why: folder.Failure | None = None

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return 0 if self.run is None else len(self.run.epochs)

    @property
    def epochs_left(self) -> int:
        """Epochs to the end of the budget, 0 for a cell that is done: an upper bound where a run may stop early."""
        return 0 if self.state == "done" else self.cell.recipe.budget.epochs - self.epochs

    @property
    def seconds(self) -> float:
        """Seconds spent so far, set-up, compiling and evaluation included."""
        return 0.0 if self.run is None else sum(cost.seconds for cost in self.run.costs)


@dataclass(frozen=True)
class Cost:
    """Seconds an epoch of an arm, evaluation included; `of` says whose: the arm's own cells, or others of the study."""

    seconds_per_epoch: float
    of: Literal["arm", "study"]


@dataclass(frozen=True)
class Plan:
    """A study and where each of its cells stands; `strays` are run folders beside them that are no cell of it."""

    study: grid.Study
    path: Path
    book: folder.Book | None
    standings: tuple[Standing, ...]
    strays: tuple[str, ...]

    def count(self, state: CellState) -> int:
        """Return how many cells are in that state."""
        return sum(standing.state == state for standing in self.standings)

    @property
    def logs(self) -> Path:
        """The folder of what the cells' processes had to say."""
        return self.path / folder.LOGS

    @property
    def seen(self) -> int:
        """How many cells' results may have been seen: those that are done, and those that the grid has no more."""
        return self.count("done") + len(self.strays)

    def course(self) -> folder.Book | None:
        """Return how the study went, up to the grid as it is now, whether a cell has begun since it changed or not."""
        return None if self.book is None else self.book.now(self.study, done=self.seen)

    def of_arm(self, arm: str) -> tuple[Standing, ...]:
        """Return the arm's cells."""
        return tuple(standing for standing in self.standings if standing.cell.arm == arm)

    def runs(self) -> tuple[store.StoredRun, ...]:
        """Return what is stored of the cells, in their order."""
        return tuple(standing.run for standing in self.standings if standing.run is not None)

    def cost(self, arm: str) -> Cost | None:
        """Return what an epoch of `arm` takes, as measured; None where nothing was."""
        own = _median_seconds(self.of_arm(arm))
        if own is not None:
            return Cost(own, "arm")
        others = _median_seconds(self.standings)
        return None if others is None else Cost(others, "study")

    def seconds_left(self) -> float | None:
        """Return the seconds that the missing epochs take, one cell after the other; None if nothing was measured."""
        total = 0.0
        for arm in self.study.arms:
            left, cost = sum(standing.epochs_left for standing in self.of_arm(arm)), self.cost(arm)
            if left and cost is None:
                return None
            total += left * cost.seconds_per_epoch if cost is not None else 0.0
        return total


def make(study: grid.Study, *, out: Path) -> Plan:
    """Return where `study` stands in its folder under `out`; nothing is written. Raises StorageError for damage."""
    path = out / study.name
    wanted = {cell.run_name for cell in study.cells}
    strays = (name.parent.name for name in sorted(path.glob(f"*/{store.RECIPE}"))) if path.is_dir() else ()
    return Plan(
        study=study,
        path=path,
        book=folder.read(path),
        standings=tuple(standing(path, cell, study=study) for cell in study.cells),
        strays=tuple(name for name in strays if name not in wanted),
    )


def standing(path: Path, cell: grid.Cell, *, study: grid.Study) -> Standing:
    """Return where `cell` stands in the study's folder `path`."""
    where, why = path / cell.run_name, folder.failure(path, cell.run_name)
    if not store.is_run(where):
        return Standing(cell, "running" if locks.is_held(where) else "failed" if why else "missing", None, why)
    run = store.read(where)
    if outcome.is_done(run, stop=study.rules.stop):
        return Standing(cell, "done", run)
    return Standing(cell, "running" if locks.is_held(where) else "failed" if why else "begun", run, why)


def _median_seconds(standings: Sequence[Standing]) -> float | None:
    taken = [cost.seconds for one in standings if one.run is not None for cost in one.run.costs]
    return statistics.median(taken) if taken else None
