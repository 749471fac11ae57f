"""Runs go to TensorBoard, MLflow or Weights & Biases: what is stored, or what comes as well."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from fewepochs.trackers import follow, tracker
from fewepochs.train import interrupt


class Pace:
    """Waits between two looks; `stop`, which a signal may set, ends the waiting at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop = threading.Event()

    @property
    def stop(self) -> bool:
        """Whether there shall be no more looks."""
        return self._stop.is_set()

    @stop.setter
    def stop(self, wish: bool) -> None:
        if wish:
            self._stop.set()

    def wait(self) -> bool:
        """Return when it is time for the next look, False if there shall be none."""
        return not self._stop.wait(self._seconds)


def track(
    kind: tracker.Kind,
    paths: Sequence[Path],
    *,
    to: str,
    say: Callable[[str], object],
    follow_seconds: float | None,
    caught: interrupt.Caught,
) -> Generator[follow.Sent]:
    """Send the runs in `paths` to the tracker at `to`, and yield what was sent, run by run.

    `follow_seconds` between looks go by until all runs have ended; None looks once. A signal ends it after the run
    that is being sent, and is in `caught` then. Raises RecipeError for a library that is not installed, StorageError
    for a tracker that fails.
    """
    pace = Pace(follow_seconds or 0.0)
    with interrupt.catching(pace) as signalled, tracker.opened(kind, to=to) as place:
        if follow_seconds is None:
            yield from follow.once(paths, to=place, say=say, stopped=lambda: pace.stop)
        else:
            yield from follow.follow(paths, to=place, say=say, wait=pace.wait)
        caught.signal = signalled.signal
