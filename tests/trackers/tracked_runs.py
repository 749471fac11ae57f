"""Run folders that grow, made of numbers alone, and a tracker that remembers what it was told."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import report_runs
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.records import RunState
from fewepochs.trackers import story, tracker

NUMBERS = ("loss", "acc", "val_loss", "val_acc", "test_acc", "train_seconds", "joules")


@dataclass
class Growing:
    """A run folder that holds the first epochs of `run`, and gets more of them."""

    run: store.StoredRun
    out: Path
    done: int = 0
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.out / self.run.name
        recipe = cast(recipes.Recipe, self.run.recipe)
        store.create(self.path, recipe=recipe, environment=self.run.environment, status=self._status("running"))

    def grow(self, epochs: int, *, state: RunState = "running", **said: Any) -> Growing:
        """Append epochs until there are so many, and say where the run stands."""
        folder = store.RunFolder(self.path)
        for epoch, cost in list(zip(self.run.own_epochs, self.run.costs, strict=True))[self.done : epochs]:
            folder.append(epoch, cost)
        self.done = epochs
        folder.write_status(self._status(state, **said))
        return self

    def _status(self, state: RunState, **said: Any) -> Any:
        return self.run.status.model_copy(update={"state": state, "epochs": self.done, "reason": None, **said})


def write(run: store.StoredRun, *, out: Path) -> Path:
    """Write `run` whole below `out`, and return its folder."""
    return Growing(run, out).grow(len(run.epochs), state=run.status.state).path


def beginning(run: store.StoredRun, epochs: int) -> store.StoredRun:
    """Return `run` as it was after so many epochs, still running."""
    status = run.status.model_copy(update={"state": "running", "epochs": epochs})
    return store.StoredRun(run.path, run.recipe, status, run.epochs[:epochs], run.costs[:epochs], run.environment)


def expected(run: store.StoredRun) -> dict[str, dict[int, float]]:
    """Return what trackers should show of the records of `run`, by name and epoch; what is absent is not there."""
    by_epoch = {cost.epoch: cost for cost in run.costs}
    found: dict[str, dict[int, float]] = {}
    for record in run.epochs:
        told = {**(by_epoch[record.epoch].model_dump() if record.epoch in by_epoch else {}), **record.model_dump()}
        for name in NUMBERS:
            if told.get(name) is not None:
                found.setdefault(name, {})[record.epoch] = told[name]
        rate = told.get("lr_last", told.get("lr_logged"))
        if rate is not None:
            found.setdefault("lr", {})[record.epoch] = rate
    return found


def costly(**said: Any) -> store.StoredRun:
    """Return a run with everything that can be known, whose first crossing is pinned."""
    return report_runs.make_run(joules=31.25, test=True, drop_after=6, **said)


@dataclass
class Remembering:
    """A tracker that remembers what it was told, and fails as often as `fails` says."""

    fails: int = 0
    told: list[tuple[str, int, str, bool]] = field(default_factory=list)

    def send(self, told: story.Story, *, later: bool = False) -> int:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("nobody listens\nat all")
        before = max((epochs for name, epochs, _, _ in self.told if name == told.name), default=0)
        self.told.append((told.name, len(told.points), told.state, later))
        return len(told.points) - before

    def close(self) -> None:
        pass

    def place(self) -> tracker.Place:
        return tracker.Place("mlflow", "there", self)


def here(**said: Any) -> dict[str, Any]:
    """Return a status's words for a process on this host."""
    return {"host": socket.gethostname(), **said}


def nothing(_: str) -> None:
    """Say nothing."""
