"""One run, from its recipe to its folder: what is at hand is loaded, what was begun is continued, what is done stays.

Whoever trains comes through here: a command, and every cell of a study, wherever it runs. The run folder is held
meanwhile, so that two processes never train the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from fewepochs import controls, locks, store
from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.data import loader, sources
from fewepochs.errors import CheckpointError, Problem, RecipeError
from fewepochs.nets import kernels as compiled
from fewepochs.nets.kernels import Kernels
from fewepochs.stats import stopping
from fewepochs.train import checkpoint, environment, loop, meters, replay, session
from fewepochs.train.outcome import Outcome, is_as_named, is_done


class View(session.Watcher, Protocol):
    """Who is told what happens, and what a user should know."""

    def note(self, text: str) -> None:
        """Something that a user should know."""


def train(
    path: Path,
    recipe: recipes.Recipe,
    *,
    runtime: runtimes.Runtime,
    view: View,
    stop: stopping.Stop = stopping.NEVER,
    until: int | None = None,
) -> Outcome:
    """Train `recipe` in the run folder `path`, from where it stopped if it was begun there, to its end or by `stop`.

    With `until` it is left after so many epochs, and can be gone on with.

    What `runtime` leaves open is taken from the environment that the run began in. Raises FewEpochsError's family.
    """
    with store.hold(path) as held:
        known = store.read(path) if store.is_run(path) else None
        if known is not None and is_done(known, stop=stop):
            _refuse_edited(known)
            return Outcome(known, already_done=True)
        runtime = runtime if known is None else runtimes.settled(runtime, environment=known.environment)
        training, folder = _prepare(held, recipe, runtime=runtime, known=known, view=view)
        signal = session.train(
            training,
            folder=folder,
            view=view,
            stop=stop,
            until=until,
            checkpoint_seconds=60.0 * runtime.checkpoint_minutes,
            snapshots=runtime.snapshots,
            evaluate_every=runtime.evaluate_every,
        )
        return Outcome(store.read(path), signal=signal)


def _refuse_edited(run: store.StoredRun) -> None:
    """Raise CheckpointError if the recipe of a run that is done was changed; a run that goes on compares by itself."""
    if is_as_named(run):
        return
    snapshot, _ = checkpoint.load_newest(run.path / store.CHECKPOINTS)
    if snapshot is None:
        return
    trained = recipes.from_json(snapshot.facts.recipe, source="the checkpoint")
    if differences := recipes.differences(trained, store.trained(run)):
        raise CheckpointError(
            f"{run.path}: this run was trained with another recipe than {store.RECIPE} now says:\n"
            + "\n".join(f"  {line}" for line in differences)
            + f"\nPut {store.RECIPE} back as it was, or train the changed recipe as a run of its own."
        )


def _prepare(
    held: locks.Held,
    recipe: recipes.Recipe,
    *,
    runtime: runtimes.Runtime,
    known: store.StoredRun | None,
    view: View,
) -> tuple[loop.Training, store.RunFolder]:
    """Return the run in memory, where it stopped if it is `known`, and its folder; what that took is its set-up."""
    begin = time.perf_counter()
    loaded = load(recipe, runtime=runtime, say=view.note)
    training = loop.Training(
        recipe,
        data=loaded.data,
        device=loaded.device,
        kernels=loaded.kernels,
        allow_code=runtime.allow_code,
        recorder=_recorder(runtime.graphs, loaded.device),
        together=runtime.together,
    )
    _require_graphs(training, wanted=runtime.graphs, say=view.note)
    where = None if runtime.data is None else str(runtime.data.resolve())
    folder = session.open_folder(
        held,
        training,
        known=known,
        dataset=loaded.dataset,
        where=where,
        say=view.note,
        strict=runtime.strict,
        snapshots=runtime.snapshots,
        evaluate_every=runtime.evaluate_every,
    )
    meters.synchronise(loaded.device)
    compile_seconds = loaded.compile_seconds + training.compile_seconds
    training.spent.setup_seconds += time.perf_counter() - begin - compile_seconds
    training.spent.compile_seconds += compile_seconds
    return training, folder


@dataclass(frozen=True)
class Loaded:
    """What a run needs: the data on its device, the data set, the device and the kernels.

    `compile_seconds` is how long it took to have the kernels: made on first use on a machine, loaded once a process.
    """

    data: loader.DeviceData
    dataset: sources.DataSet
    device: torch.device
    kernels: Kernels
    compile_seconds: float


def load(recipe: recipes.Recipe, *, runtime: runtimes.Runtime, say: Callable[[str], None]) -> Loaded:
    """Return what `recipe` needs; CPU threads, precision and how memory is kept are set."""
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    device = _device(runtime.device)
    environment.make_exact()
    if device.type == "cpu":
        environment.keep_freed_memory()
        if recipe.precision == "bfloat16" and (reason := runtimes.bfloat16_missing()) is not None:
            say(f"bfloat16: {reason}: slower than --set precision=float32, which is another recipe")
    if runtime.deterministic and device.type == "cuda":
        environment.make_deterministic()
    dataset = sources.load(recipe.data.kind, where=runtime.data, download=runtime.download, say=say)
    data: loader.DeviceData = loader.prepare(dataset, spec=recipe.data, device=device)
    controls.require_batch(recipe, images=len(data.train))
    begin = time.perf_counter()
    kernels = _kernels(runtime.kernels, device.type)
    spent = time.perf_counter() - begin if kernels == "fused" else 0.0
    return Loaded(data, dataset, device, kernels, spent)


def _kernels(wanted: str, device: str) -> Kernels:
    """Return the kernels to use; the compiled ones are for a CPU, and "fused" insists on them."""
    if wanted == "inductor":
        return "inductor"
    if wanted == "torch" or (wanted == "auto" and device != "cpu"):
        return "torch"
    found = compiled.available()
    if wanted == "fused" and (found != "fused" or device != "cpu"):
        problem = Problem(
            "--kernels", "cannot be compiled or used here (CPU, Linux, a C++ compiler)", "'fused'", "inductor, torch"
        )
        raise RecipeError("command line", (problem,))
    return found


def _recorder(wanted: str, device: torch.device) -> replay.Recorder | None:
    """Return what records the steps, which is for CUDA; "on" insists on it."""
    if wanted == "on" and device.type != "cuda":
        raise RecipeError("command line", (Problem("--graphs", "need a CUDA device", "'on'", "auto, off"),))
    return None if wanted == "off" else replay.recorder(device)


def _require_graphs(training: loop.Training, *, wanted: str, say: Callable[[str], None]) -> None:
    """Say why steps are not replayed where they could have been; raises RecipeError where that was insisted on."""
    reason = training.not_recorded
    if reason is not None and wanted == "on":
        raise RecipeError("command line", (Problem("--graphs", f"not here: {reason}", "'on'", "auto, off"),))
    if reason is not None:
        say(f"graphs: off: {reason}")


def _device(name: str) -> torch.device:
    """Return torch's device of that name; "auto" is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(name.partition(":")[2] or 0) >= count:
            problem = Problem("--device", f"this machine has {count} usable CUDA devices", repr(name), "cpu")
            raise RecipeError("command line", (problem,))
    return torch.device(name)
