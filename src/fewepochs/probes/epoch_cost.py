"""What an epoch of a recipe costs on this machine, by batch size and precision, from a few steps of each.

    for number, window in measure(cells, how=..., bench=bench, progress=Progress()):
        ...                      # a window of a cell, round by round

Cells take turns: a round measures each of them once, so that a machine that slows down slows all. For a window the cell
is built anew, does a step that is not counted (first use of memory and kernels), then whole batches of an epoch as a
run trains on them, and evaluates some images. Nothing is kept: no run, no file. Peak memory is set back before each
window and is the process's on a CPU, data set and Python included.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fewepochs import controls
from fewepochs.data import loader
from fewepochs.errors import Problem, RecipeError
from fewepochs.probes import bench as benches
from fewepochs.probes.windows import Cell, Window
from fewepochs.train import environment, loop, replay
from fewepochs.train.step import EVALUATION_BATCH

SELF = Path("/proc/self")


@dataclass(frozen=True)
class How:
    """So many `rounds`; a window has `steps` steps, or (None) those that fit into `seconds`, one at least."""

    rounds: int = 3
    seconds: float = 5.0
    steps: int | None = None


@dataclass
class Progress:
    """`stop` is written by whoever wants the measurement to end: after the step."""

    stop: bool = False


def measure(
    cells: Sequence[Cell], *, how: How, bench: benches.Bench, progress: Progress
) -> Iterator[tuple[int, Window | str]]:
    """Measure each of `cells` once a round; yield its number and its window, or why there is none (memory).

    A window that is stopped is not yielded. Raises RecipeError for a batch larger than the training set.
    """
    for cell in cells:
        if cell.batch_size > len(bench.data.train):
            problem = Problem(
                "--batch-size", "larger than the training set", str(cell.batch_size), f"1 to {len(bench.data.train)}"
            )
            raise RecipeError("command line", (problem,))
    failed: set[int] = set()
    for _ in range(how.rounds):
        for number, cell in enumerate(cells):
            if number in failed:
                continue
            try:
                window = _window(cell, how=how, bench=bench, progress=progress)
            except torch.OutOfMemoryError:
                failed.add(number)
                yield number, "more memory than the device has"
                continue
            if progress.stop:
                return
            yield number, window


def _window(cell: Cell, *, how: How, bench: benches.Bench, progress: Progress) -> Window:
    gc.collect()  # the cell before
    no_peak = forget_peak(bench.device)
    training = loop.Training(
        cell.recipe,
        data=replace(bench.data, validation=_some(bench.data.validation), test=None),
        device=bench.device,
        kernels=bench.kernels,
        allow_code=bench.allow_code,
        recorder=replay.recorder(bench.device),  # as a run's steps are
    )
    _begin(training)
    training.program.step(cell.batch_size)
    stop = training.meter.start()
    _begin(training)
    plan_seconds = stop().seconds
    deadline = None if how.steps is not None else time.monotonic() + how.seconds
    stop, steps = training.meter.start(), 0
    while not progress.stop and (
        steps == 0 or (steps < (how.steps or 0) if deadline is None else time.monotonic() < deadline)
    ):
        if steps and steps % (len(bench.data.train) // cell.batch_size) == 0:
            _begin(training)
        training.program.step(cell.batch_size)
        training.meter.beat()
        steps += 1
    trained = stop()
    part = training.data.validation
    stop = training.meter.start()
    training.program.look(part)
    return Window(
        steps=steps,
        images=steps * cell.batch_size,
        plan_seconds=plan_seconds,
        step_seconds=trained.seconds,
        evaluated=len(part),
        evaluation_seconds=stop().seconds,
        load=None if trained.busy_seconds is None else min(1.0, trained.busy_seconds / trained.seconds),
        load_reason=trained.busy_reason,
        joules=trained.joules,
        joules_reason=trained.reason,
        peak_memory_bytes=None if no_peak else peak(bench.device),
        memory_reason=no_peak,
    )


def _begin(training: loop.Training) -> None:
    """Send the plan of the first epoch, as a run does before it."""
    moved = controls.of_epoch(training.recipe, epoch=1, horizon=training.horizon)
    training.program.begin_epoch(loop.plan(training, epoch=1), controls=moved)


def _some(part: loader.Part) -> loader.Part:
    return loader.Part(part.pixels[:EVALUATION_BATCH], part.labels[:EVALUATION_BATCH])


def forget_peak(device: torch.device) -> str | None:
    """Let the peak of memory begin anew; return why that cannot be had, if it cannot."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return None
    environment.give_back_memory()  # what was kept of a larger cell is not this one's
    try:
        (SELF / "clear_refs").write_text("5")
    except OSError as error:
        return f"the system does not let the peak be set back: {error.strerror or error}"
    return None


def peak(device: torch.device) -> int:
    """Return the peak of memory since it was forgotten, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    words = next(line for line in (SELF / "status").read_text().splitlines() if line.startswith("VmHWM:")).split()
    return int(words[1]) * 1024
