"""What is missing of a study is trained: which cell next, what becomes of one that failed, when to stop.

Cells begin seed by seed, all arms of a seed before the next seed: whenever one looks, the arms are equally far, and
pairs are whole. A cell that crashed is begun again, from its checkpoint, as long as it got further or has retries left.
A recipe or data set that cannot be used fails its whole arm. A cell that another process holds is left to it, and
looked at again later: two executions of one study share its cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from fewepochs import errors, locks, store
from fewepochs import runtime as runtimes
from fewepochs.errors import DataError, RecipeError, StorageError
from fewepochs.study import cell as cells
from fewepochs.study import folder, grid, plan

LOOK_SECONDS = 1.0
"""How long to wait for a cell to end before the view is given a look."""

ARM_FAILS = (RecipeError.exit_code, DataError.exit_code)
FAILS = tuple(kind.exit_code for kind in errors.KINDS)

EventKind = Literal["began", "done", "retried", "failed", "left", "look"]


@dataclass(frozen=True)
class Event:
    """Something that happened: a cell began, is done, crashed and begins again, failed, or was left after a signal.

    "look" is no news: time for the view to see how far the cells are.
    """

    kind: EventKind
    cell: grid.Cell | None = None
    text: str = ""


class Place(Protocol):
    """Where cells are trained."""

    @property
    def free(self) -> int:
        """How many cells more may begin now."""

    @property
    def together(self) -> int:
        """How many cells may share a device, a GPU or a machine's processors, at a time."""

    def begin(self, name: str, job: cells.Job) -> None:
        """Start the cell `name`."""

    def ended(self, *, seconds: float) -> list[tuple[str, cells.Ending]]:
        """Return the cells that have ended, waiting up to `seconds` for one that does."""

    def stop(self) -> None:
        """Ask all cells to save and leave."""

    def close(self) -> None:
        """End what is still at work, at once."""


@dataclass
class Wish:
    """Becomes true when a signal asks to stop."""

    stop: bool = False


@dataclass
class _Attempts:
    """How often a cell was begun since it last got further; `mark` is how far it had got."""

    count: int = 0
    mark: str = ""


@dataclass
class Execution:
    """One carrying out of what is missing; `run` does it. With `until` cells are left after so many epochs."""

    study: grid.Study
    path: Path = field(kw_only=True)
    place: Place = field(kw_only=True)
    runtime: runtimes.Runtime = field(kw_only=True)
    retries: int = field(kw_only=True)
    wish: Wish = field(kw_only=True)
    until: int | None = field(kw_only=True, default=None)
    _running: dict[str, grid.Cell] = field(default_factory=dict, init=False)
    _attempts: dict[str, _Attempts] = field(default_factory=dict, init=False)
    _failed_arms: dict[str, cells.Ending] = field(default_factory=dict, init=False)
    _queue: list[grid.Cell] = field(default_factory=list, init=False)

    def run(self, chosen: Sequence[grid.Cell]) -> Iterator[Event]:
        """Train what is not done of `chosen`; yield what happens, and at least every second a look.

        After a signal (`wish`) the cells at work are saved and left. Raises FewEpochsError where nothing can go on.
        """
        self._queue = in_order(chosen)
        try:
            while self._queue or self._running:
                if self.wish.stop:
                    self._queue.clear()
                    self.place.stop()
                yield from self._begin()
                for name, ending in self.place.ended(seconds=LOOK_SECONDS):
                    yield self._settle(self._running.pop(name), ending)
                yield Event("look")
        finally:
            self.place.close()

    def _begin(self) -> Iterator[Event]:
        """Begin what there is room for; what another process holds stays in the queue."""
        for cell in list(self._queue):
            if self.place.free <= 0:
                return
            if cell.arm in self._failed_arms:
                self._queue.remove(cell)
                yield self._fail(cell, self._failed_arms[cell.arm])
                continue
            if locks.is_held(self.path / cell.run_name):
                continue
            self._queue.remove(cell)
            if plan.standing(self.path, cell, study=self.study).state == "done":  # by another process, meanwhile
                yield Event("done", cell)
                continue
            self._attempts.setdefault(cell.run_name, _Attempts()).count += 1
            self._running[cell.run_name] = cell
            self.place.begin(cell.run_name, self._job(cell))
            yield Event("began", cell)

    def _job(self, cell: grid.Cell) -> cells.Job:
        return cells.Job(
            recipe=cell.recipe,
            path=self.path / cell.run_name,
            runtime=self.runtime,
            stop=self.study.rules.stop,
            until=self.until,
        )

    def _settle(self, cell: grid.Cell, ending: cells.Ending) -> Event:
        """Return what becomes of a cell that has ended: done, left, once more, or failed."""
        if ending.exit_code == 0:
            folder.note_failure(self.path, cell.run_name, None)
            return Event("done", cell)
        if self.wish.stop:
            return Event("left", cell)
        if ending.exit_code == StorageError.exit_code and locks.is_held(self.path / cell.run_name):
            self._queue.append(cell)  # another process was faster
            return Event("retried", cell, "another process works on it")
        if ending.exit_code in ARM_FAILS:
            self._failed_arms[cell.arm] = ending
        if ending.exit_code in FAILS or not self._may_retry(cell):
            return self._fail(cell, ending)
        self._queue.insert(0, cell)
        return Event("retried", cell, ending.message)

    def _may_retry(self, cell: grid.Cell) -> bool:
        attempts, mark = self._attempts[cell.run_name], _mark(self.path / cell.run_name)
        if mark > attempts.mark:
            attempts.count, attempts.mark = 1, mark
        return attempts.count <= self.retries

    def _fail(self, cell: grid.Cell, ending: cells.Ending) -> Event:
        count = self._attempts.get(cell.run_name, _Attempts()).count
        why = folder.Failure(
            exit_code=ending.exit_code, attempts=max(1, count), reason=ending.message, problem=ending.problem
        )
        folder.note_failure(self.path, cell.run_name, why)
        return Event("failed", cell, ending.message)


def in_order(chosen: Sequence[grid.Cell]) -> list[grid.Cell]:
    """Return the cells seed by seed, the arms of each seed in the study's order."""
    seeds = {seed: k for k, seed in enumerate(dict.fromkeys(cell.seed for cell in chosen))}
    return sorted(chosen, key=lambda cell: seeds[cell.seed])


def _mark(path: Path) -> str:
    """Return how far a run has got: its newest checkpoint's name, in which the steps stand; "" without one."""
    return max((file.name for file in (path / store.CHECKPOINTS).glob("step-*.ckpt")), default="")
