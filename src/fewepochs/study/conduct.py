"""A study carried out from beginning to end: its rules written down, its missing cells trained, its signals heeded."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from fewepochs import runtime as runtimes
from fewepochs.errors import Problem, RecipeError
from fewepochs.study import execute, folder, grid, local, on_ray, plan
from fewepochs.train import interrupt


@dataclass(frozen=True)
class How:
    """How cells are trained: `jobs` at a time (None: one a core, one a GPU), begun again up to `retries` times.

    A process without a sign of life for `stall_minutes` is ended. `cluster` is where; None is this machine.
    """

    runtime: runtimes.Runtime
    jobs: int | None = None
    retries: int = 2
    stall_minutes: float = 60.0
    cluster: on_ray.Cluster | None = None


@dataclass(frozen=True)
class Conducted:
    """The study as it stands now, and the signal that stopped it, if one did."""

    plan: plan.Plan
    signal: signal.Signals | None


class View(Protocol):
    """Who is told what happens."""

    def begin(self, planned: plan.Plan, *, jobs: int) -> None:
        """An execution begins with the study as it stands."""

    def event(self, kind: str, cell: grid.Cell, text: str) -> None:
        """A cell began, is done, begins again, failed or was left."""

    def look(self) -> None:
        """Time for a look at the cells."""


def conduct(
    study: grid.Study, *, out: Path, how: How, view: View, only: Sequence[int] | None = None, until: int | None = None
) -> Conducted:
    """Train what is missing of `study` in its folder under `out`. Raises FewEpochsError's family.

    With `until` cells are left after so many epochs. Threads a cell are settled when a study begins, and stay: they
    decide how sums are rounded.
    """
    planned = plan.make(study, out=out)
    chosen = [planned.standings[k].cell for k in numbers(study, only) if planned.standings[k].state != "done"]
    room = _room(how, cells=len(study.cells))
    book = folder.begin(planned.path, study, threads=room.threads, done=planned.seen)
    threads = how.runtime.threads or book.threads
    place = _place(how, room=room, threads=threads, path=planned.path)
    execution = execute.Execution(
        study,
        path=planned.path,
        place=place,
        runtime=for_cells(how.runtime, threads=threads, together=min(place.together, max(1, len(chosen)))),
        retries=how.retries,
        wish=execute.Wish(),
        until=until,
    )
    view.begin(planned, jobs=place.free)
    stopped = carry_out(execution, chosen, view=view)
    return Conducted(plan.make(study, out=out), stopped)


def carry_out(execution: execute.Execution, chosen: Sequence[grid.Cell], *, view: View) -> signal.Signals | None:
    """Train `chosen`, telling `view` what happens; return the signal that stopped it, if one did."""
    with interrupt.catching(execution.wish) as caught:
        for event in execution.run(chosen):
            if event.cell is None:
                view.look()
            else:
                view.event(event.kind, event.cell, event.text)
    return caught.signal


@dataclass(frozen=True)
class _Room:
    """What this machine has for cells: so many at a time, on these GPUs; the threads that a new study gives each."""

    jobs: int
    gpus: tuple[str, ...]
    threads: int | None


def _room(how: How, *, cells: int) -> _Room:
    if how.cluster is not None:
        return _Room(0, (), how.runtime.threads or (None if how.cluster.gpus else max(1, int(how.cluster.cpus or 1))))
    gpus = gpus_for(how.runtime.device)
    jobs = how.jobs or min(len(gpus) or local.cores(), cells)
    return _Room(jobs, gpus, how.runtime.threads or (None if gpus else max(1, local.cores() // jobs)))


def _place(how: How, *, room: _Room, threads: int | None, path: Path) -> execute.Place:
    """Return where cells are trained. Raises RecipeError where a cluster cannot be had, or has no room."""
    stall_seconds = 60 * how.stall_minutes
    if how.cluster is None:
        return local.Local(slots=room.jobs, logs=folder.logs(path), stall_seconds=stall_seconds, gpus=room.gpus)
    cpus = how.cluster.cpus or float(threads or 1)
    return on_ray.OnRay(how.cluster, slots=how.jobs, cpus=cpus, stall_seconds=stall_seconds)


def for_cells(runtime: runtimes.Runtime, *, threads: int | None, together: int = 1) -> runtimes.Runtime:
    """Return what cells are told of their machine: a process that sees one GPU calls it cuda:0."""
    where = None if runtime.data is None else runtime.data.resolve()
    device = runtime.device.partition(":")[0]
    return replace(runtime, threads=threads, device=device, data=where, together=together)


def numbers(study: grid.Study, only: Sequence[int] | None) -> Sequence[int]:
    """Return the numbers of the cells to train. Raises RecipeError for one that the study does not have."""
    if only is None:
        return range(len(study.cells))
    for number in only:
        if number >= len(study.cells):
            problem = Problem("--cells", "no such cell", str(number), f"0 to {len(study.cells) - 1}")
            raise RecipeError("command line", (problem,))
    return only


def gpus_for(device: str) -> tuple[str, ...]:
    """Return the GPUs that `device` means: none for "cpu", one for "cuda:1", all there are for "cuda" and "auto"."""
    kind, _, index = device.partition(":")
    return () if kind == "cpu" else (index,) if index else local.gpus()
