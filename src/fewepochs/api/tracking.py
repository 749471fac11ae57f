"""Runs go to TensorBoard, MLflow or Weights & Biases: what is stored, or what comes as well."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from fewepochs.api import pace as paces
from fewepochs.trackers import follow, tracker
from fewepochs.train import interrupt


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
    pace = paces.Pace(follow_seconds or 0.0)
    with interrupt.catching(pace) as signalled, tracker.opened(kind, to=to) as place:
        if follow_seconds is None:
            yield from follow.once(paths, to=place, say=say, stopped=lambda: pace.stop)
        else:
            yield from follow.follow(paths, to=place, say=say, wait=pace.wait)
        caught.signal = signalled.signal
