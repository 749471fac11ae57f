"""Seeds of a recipe side by side in the folder that runs lie in: a process each on cores of its own, or all on one GPU.

It is a study of one recipe without a question: the same cells, begun, ended and begun again by the same hands
(`execute`, `local`), without rules to be written down. Left to itself ("auto") it takes

    processes = min(cores, seeds)          of a CPU; as many as there are GPUs where those are used
    threads   = cores // processes         of a run that begins; one that goes on keeps those that it began with

A step of these networks has too little work to be divided well: of two threads each waits for the other many times a
step, two runs of one thread each wait for nothing (benchmarks/packing.py measures it). Both depend on the machine
and the command alone, not on how many runs are left: threads decide how sums are rounded, and the same command has to
go on to the same bits.

Several runs that are asked for on one GPU are threads of this process, on streams of their own (`streams`).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.stats import stopping
from fewepochs.study import conduct, execute, files, folder, grid, local, plan, streams

RETRIES = 2
"""How often a run that crashed is begun again without having got further."""


@dataclass(frozen=True)
class Packed:
    """Where the runs stood before, where they stand now, and the signal that stopped them, if one did."""

    before: plan.Plan
    plan: plan.Plan
    signal: signal.Signals | None = None


def processes(asked: int | None, *, seeds: int, device: str) -> int:
    """Return how many of `seeds` runs are trained at a time; `asked` is None for "auto"."""
    return asked or min(len(conduct.gpus_for(device)) or local.cores(), seeds)


def train(
    chosen: Sequence[recipes.Recipe],
    *,
    out: Path,
    runtime: runtimes.Runtime,
    asked: int | None = None,
    stop: stopping.Stop = stopping.NEVER,
    view: conduct.View,
) -> Packed:
    """Train what is missing of `chosen`, one recipe with several seeds, in their folders under `out`.

    A run that fails does not disturb the others; its reason stands in the plan. Raises StorageError where `out` cannot
    be written.
    """
    study = _study(chosen, stop=stop)
    before = _plan(study, out)
    missing = [one.cell for one in before.standings if one.state != "done"]
    if not missing:
        return Packed(before, before)
    count = processes(asked, seeds=len(chosen), device=runtime.device)
    place, told = _place(runtime, count=count, out=out)
    told = replace(told, together=min(place.together, len(missing)))
    execution = execute.Execution(study, path=out, place=place, runtime=told, retries=RETRIES, wish=execute.Wish())
    view.begin(before, jobs=count)
    stopped = conduct.carry_out(execution, missing, view=view)
    return Packed(before, _plan(study, out), stopped)


def _place(runtime: runtimes.Runtime, *, count: int, out: Path) -> tuple[execute.Place, runtimes.Runtime]:
    """Return where `count` runs are trained at a time, and what each is told of the machine."""
    gpus, logs = conduct.gpus_for(runtime.device), folder.logs(out)
    if len(gpus) == 1 and count > 1:
        return streams.Streams(slots=count, logs=logs), runtime
    pins = local.shares(count)
    threads = runtime.threads or (None if pins else 1)
    place = local.Local(
        slots=count,
        logs=logs,
        stall_seconds=math.inf,  # as of a run that is trained alone
        gpus=gpus,
        pins=pins if threads is None or (pins and threads <= len(pins[0])) else (),
    )
    return place, conduct.for_cells(runtime, threads=threads)


def _study(chosen: Sequence[recipes.Recipe], *, stop: stopping.Stop) -> grid.Study:
    """Return the runs as the cells of a study: one arm, its seeds, and when a run may end early."""
    name = chosen[0].name
    cells = tuple(grid.Cell(name, recipe.seed, recipe) for recipe in chosen)
    return grid.Study(
        name, "", files.Rules(stop=stop), {name: chosen[0]}, tuple(recipe.seed for recipe in chosen), cells
    )


def _plan(study: grid.Study, path: Path) -> plan.Plan:
    """Return where the runs stand; what else lies in their folder is none of theirs."""
    standings = tuple(plan.standing(path, cell, study=study) for cell in study.cells)
    return plan.Plan(study, path, None, standings, ())
