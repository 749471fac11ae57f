"""When a checkpoint is written.

    at the end of an epoch   unless writing has just taken more than 1% of the time since: then a later epoch's end
    in mid-epoch             after so many seconds without one
    always                   when the loop has ended: by its budget, its target, a signal
    for good                 at the ends of the epochs that were asked for, whatever it takes

The best state so far waits in memory for the next write. Whoever is killed goes on from the last checkpoint and meets
the same best again, so nothing is lost. The clock decides when a state is written, never what is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from fewepochs import store
from fewepochs.train import checkpoint

SHARE = 0.01
"""Of the time between two epochs' ends that are saved, at most so much is spent on writing."""
DEFAULT_SECONDS = 600.0


class Source(Protocol):
    """What can be saved."""

    def snapshot(self) -> checkpoint.Snapshot:
        """Return the whole state; the host waits for the device here."""


class Saves:
    """The checkpoints of a run at work: `every_seconds` in mid-epoch, and not much more often between epochs."""

    def __init__(
        self, folder: store.RunFolder, *, every_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._every = every_seconds
        self._clock = clock
        self._last, self._took = clock(), 0.0
        self._best: checkpoint.Snapshot | None = None
        self._written: checkpoint.Facts | None = None

    @property
    def due(self) -> float:
        """The time of the clock from which a checkpoint is due in mid-epoch."""
        return self._last + self._every

    def after_epoch(self, source: Source, *, best: bool, kept: bool = False) -> None:
        """Remember the state after an epoch if it is the best so far; write if that costs little, or is to be `kept`.

        What is kept goes first: whoever is killed after it goes on from before and writes it again.
        """
        if best or kept:
            snapshot = source.snapshot()
            self._best = snapshot if best else self._best
            if kept:
                self._folder.require_held()
                checkpoint.save_epoch(self._folder.checkpoints, snapshot)
        if self._clock() >= self._last + min(self._every, self._took / SHARE):
            self.write(source)

    def end_without(self) -> None:
        """Write the best so far, if it was not written yet, and no other state: the one now is not worth keeping."""
        if self._best is not None:
            self._folder.require_held()
            checkpoint.save_best(self._folder.checkpoints, self._best)
            self._best = None

    def write(self, source: Source) -> None:
        """Write a checkpoint now, and the best so far if it was not written yet; what is written stays as it is."""
        begin = self._clock()
        snapshot = source.snapshot()
        if self._best is not None or snapshot.facts != self._written:
            self._folder.require_held()
            checkpoint.save(self._folder.checkpoints, snapshot, best=self._best)
            self._written, self._best = snapshot.facts, None
        self._last = self._clock()
        self._took = self._last - begin
