"""What fewepochs can do, as functions: the command line parses, calls one of these, and prints.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import (
    CheckpointError,
    Problem,
    RecipeError,
    StorageError,
    TargetMissedError,
)
from fewepochs.optim import permission
from fewepochs.stats import target as crossing_rules

if TYPE_CHECKING:
    from fewepochs.data import loader, sources
    from fewepochs.probes import sweeps
    from fewepochs.report import console, sweep_console
    from fewepochs.train import loop

DEMO_RECIPES = ("digits-step", "digits-linear")
DEMO_SEEDS = (0, 1)
REPORT = "report.html"


Runtime = runtimes.Runtime


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` or `resume` ended: the run as stored, and the signal that stopped it, if one did.

    A run that diverged is an outcome, too: its status says so.
    """

    run: store.StoredRun
    already_done: bool = False
    signal: int | None = None


# --- training -----------------------------------------------------------------------------------------------------


def train(
    recipe: recipes.Recipe,
    *,
    out: Path,
    runtime: Runtime | None = None,
    view: console.View | None = None,
    stop_at_target: float | None = None,
) -> Outcome:
    """Train `recipe` in its folder under `out`, from where an earlier call stopped if one did.

    A run that is finished is returned as it stands; one that goes on takes what `runtime` leaves open from its
    environment. `stop_at_target` ends the run after the first epoch with a
    val_acc of at least that; without it, such a run goes on to its budget. Raises FewEpochsError's family.
    """
    path = out / store.run_name(recipe)
    _check_runtime(runtime or Runtime(), recipe=recipe)
    return _run(path, recipe, runtime=runtime or Runtime(), view=view, stop_at_target=stop_at_target)


def resume(
    path: Path,
    *,
    runtime: Runtime | None = None,
    view: console.View | None = None,
    stop_at_target: float | None = None,
) -> Outcome:
    """Go on with the run in the folder `path`; what `runtime` leaves open is taken from the run's environment."""
    run = store.read(path)
    _check_runtime(runtime or Runtime(), recipe=run.recipe)
    return _run(path, run.recipe, runtime=runtime or Runtime(), view=view, stop_at_target=stop_at_target)


def require_target(run: store.StoredRun, target: float) -> None:
    """Raise TargetMissedError unless `run` reached `target`."""
    crossing = crossing_rules.crossing(run.epochs, target)
    if not crossing.reached:
        raise TargetMissedError(f"{run.name}: target {target:g} not reached in {len(run.epochs)} epochs")


def _run(
    path: Path, recipe: recipes.Recipe, *, runtime: Runtime, view: console.View | None, stop_at_target: float | None
) -> Outcome:
    with store.hold(path):
        known = store.read(path) if store.is_run(path) else None
        if known is not None and _is_done(known, stop_at_target=stop_at_target):
            _refuse_edited(known)
            return Outcome(known, already_done=True)
        from fewepochs.report import console
        from fewepochs.train import session

        shown = view or console.View()
        runtime = runtime if known is None else runtimes.settled(runtime, environment=known.environment)
        training, dataset = _prepare(recipe, runtime=runtime, say=shown.note)
        where = None if runtime.data is None else str(runtime.data.resolve())
        folder = session.open_folder(
            path, training, known=known, dataset=dataset, where=where, say=shown.note, strict=runtime.strict
        )
        signal = session.train(
            training,
            folder=folder,
            view=shown,
            stop_at_target=stop_at_target,
            checkpoint_seconds=60.0 * runtime.checkpoint_minutes,
        )
        return Outcome(store.read(path), signal=signal)


def _is_done(run: store.StoredRun, *, stop_at_target: float | None) -> bool:
    """Return whether nothing is left to do; where a run did not say so itself, its log may be ahead of its state."""
    if run.status.state != "finished":
        return run.status.state == "diverged"
    if len(run.epochs) >= run.recipe.budget.epochs:
        return True
    return stop_at_target is not None and crossing_rules.crossing(run.epochs, stop_at_target).reached


def _refuse_edited(run: store.StoredRun) -> None:
    """Raise CheckpointError if the recipe of a run that is done was changed; a run that goes on compares by itself."""
    if run.name.endswith(recipes.digest(run.recipe)[:8]):
        return
    from fewepochs.train import checkpoint

    snapshot, _ = checkpoint.load_newest(run.path / store.CHECKPOINTS)
    if snapshot is None:
        return
    trained = recipes.from_json(snapshot.facts.recipe, source="the checkpoint")
    if differences := recipes.differences(trained, run.recipe):
        raise CheckpointError(
            f"{run.path}: this run was trained with another recipe than {store.RECIPE} now says:\n"
            + "\n".join(f"  {line}" for line in differences)
            + f"\nPut {store.RECIPE} back as it was, or train the changed recipe as a run of its own."
        )


def _prepare(
    recipe: recipes.Recipe, *, runtime: Runtime, say: Callable[[str], None]
) -> tuple[loop.Training, sources.DataSet]:
    from fewepochs.train import loop

    data, dataset, device, kernels = _load(recipe, runtime=runtime, say=say)
    training = loop.Training(recipe, data=data, device=device, kernels=kernels, allow_code=runtime.allow_code)
    return training, dataset


def _load(
    recipe: recipes.Recipe, *, runtime: Runtime, say: Callable[[str], None]
) -> tuple[loader.DeviceData, sources.DataSet, Any, Literal["fused", "torch"]]:
    """Return the data on its device, the data set, the device and the kernels; CPU threads are set."""
    import torch

    from fewepochs.data import loader, sources
    from fewepochs.train import environment

    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    device = _device(runtime.device)
    if runtime.deterministic and device.type == "cuda":
        environment.make_deterministic()
    dataset = sources.load(recipe.data.kind, where=runtime.data, download=runtime.download, say=say)
    data: loader.DeviceData = loader.prepare(dataset, spec=recipe.data, device=device)
    if recipe.batch_size > len(data.train):
        problem = Problem(
            "batch_size", "larger than the training set", f"{recipe.batch_size}", f"1 to {len(data.train)}"
        )
        raise RecipeError(recipe.name, (problem,))
    return data, dataset, device, _kernels(runtime.kernels, device.type)


def _check_runtime(runtime: Runtime, *, recipe: recipes.Recipe) -> None:
    """Refuse what no machine has, and code that is not allowed, before torch is imported."""
    runtimes.check(runtime)
    permission.require_allowed(recipe.optimizer, allow_code=runtime.allow_code)


def _kernels(wanted: str, device: str) -> Literal["fused", "torch"]:
    """Return the kernels to use; the compiled ones are for a CPU, and "fused" insists on them."""
    from fewepochs.nets import kernels

    if wanted == "torch" or (wanted == "auto" and device != "cpu"):
        return "torch"
    found = kernels.available()
    if wanted == "fused" and (found != "fused" or device != "cpu"):
        problem = Problem(
            "--kernels", "cannot be compiled or used here (CPU, Linux, a C++ compiler)", "'fused'", "torch"
        )
        raise RecipeError("command line", (problem,))
    return found


def _device(name: str) -> Any:
    """Return torch's device of that name; "auto" is CUDA where there is one."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(name.partition(":")[2] or 0) >= count:
            problem = Problem("--device", f"this machine has {count} usable CUDA devices", repr(name), "cpu")
            raise RecipeError("command line", (problem,))
    return torch.device(name)


# --- before a run -------------------------------------------------------------------------------------------------


def dry_run(recipe: recipes.Recipe, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Return what `recipe` needs: parameters, FLOPs, steps, memory. The user's own images (npz) must be given."""
    from fewepochs.nets import resnet
    from fewepochs.train import estimate

    shape = estimate.KNOWN_SHAPES.get(recipe.data.kind)
    if shape is None:
        from fewepochs.data import sources

        dataset = sources.load(recipe.data.kind, where=(runtime or Runtime()).data)
        height, width, channels = dataset.train.pixels.shape[1:]
        shape = estimate.DataShape(
            train=len(dataset.train.labels),
            test=len(dataset.test.labels),
            image=resnet.ImageShape(height, width, channels),
            classes=len(dataset.classes),
        )
    return {"recipe": recipe.name, "digest": recipes.digest(recipe), **estimate.estimate(recipe, data=shape).as_dict()}


def available(where: Path | None = None) -> list[dict[str, Any]]:
    """Return the data sets at hand, as JSON-able rows: kind, path, form, detail."""
    from fewepochs.data import sources

    return [asdict(source) for source in sources.available(where)]


def fetch(kind: str, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Download the data set `kind` unless it is there already; return where it came from and its digest."""
    from fewepochs.data import sources

    dataset = sources.load(kind, download=True, say=say)
    return {"kind": kind, "origin": dataset.origin, "verified": dataset.verified, "digest": dataset.digest}


def lr_range(
    recipe: recipes.Recipe,
    *,
    sweep: sweeps.Sweep | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    runtime: Runtime | None = None,
    view: sweep_console.View | None = None,
) -> sweeps.Measurement:
    """Sweep the learning rate of `recipe` from fresh weights, once for each seed; no run folder, no file, no change.

    Without `sweep`, six decades that suit the optimizer. After a signal, what was measured so far is returned, and
    says that it is incomplete. Raises FewEpochsError's family.
    """
    from fewepochs.probes import sweeps

    runtime = runtime or Runtime()
    if sweep is None:
        lowest, highest = sweeps.default_range(recipe.optimizer)
        sweep = sweeps.Sweep(from_lr=lowest, up_to_lr=highest)
    sweeps.check(sweep, seeds=seeds)
    _check_runtime(runtime, recipe=recipe)
    import torch

    threads = torch.get_num_threads()
    try:
        return _measure(recipe, sweep=sweep, seeds=tuple(seeds), runtime=runtime, view=view)
    finally:
        torch.set_num_threads(threads)


def _measure(
    recipe: recipes.Recipe,
    *,
    sweep: sweeps.Sweep,
    seeds: tuple[int, ...],
    runtime: Runtime,
    view: sweep_console.View | None,
) -> sweeps.Measurement:
    from fewepochs.probes import lr_range as probe
    from fewepochs.probes import sweeps
    from fewepochs.report import sweep_console
    from fewepochs.train import environment, interrupt

    shown, begun = view or sweep_console.View(), time.perf_counter()
    data, dataset, device, kernels = _load(recipe, runtime=runtime, say=shown.note)
    bench = probe.Bench(data, device, kernels, runtime.allow_code)
    where = environment.collect(device=device, kernels=kernels, data_digest=dataset.digest, data_origin=dataset.origin)
    progress, curves = probe.Progress(), list[sweeps.Curve]()
    with interrupt.catching(progress) as caught:
        shown.start(recipe, sweep=sweep, seeds=seeds, progress=progress)
        for curve in probe.measure(recipe, seeds=seeds, sweep=sweep, bench=bench, progress=progress):
            curves.append(curve)
            shown.swept(curve)
    seconds = time.perf_counter() - begun
    return sweeps.Measurement(recipe, sweep, seeds, tuple(curves), where, seconds, caught.signal)


def lr_range_numbers(measured: sweeps.Measurement) -> dict[str, Any]:
    """Return curves, noise band and suggestions of a range test as JSON-able data."""
    from fewepochs.report import sweeps

    return sweeps.build(measured)


def lr_range_picture(numbers: Mapping[str, Any], *, to: Path) -> Path:
    """Draw what `lr_range_numbers` found as SVG, PNG, PDF or HTML, whatever `to` ends in; return its path."""
    from fewepochs.report import sweep_figure

    sweep_figure.write(to, numbers)
    return to


# --- after a run --------------------------------------------------------------------------------------------------


def load_runs(paths: Sequence[Path]) -> tuple[store.StoredRun, ...]:
    """Return the runs in the folders `paths`, or directly inside them."""
    return tuple(store.read(path) for path in store.find(paths))


def summarise(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> dict[str, Any]:
    """Return crossings, best accuracies and costs of `runs` as JSON-able data."""
    from fewepochs.report import summary

    return summary.build(runs, targets=targets)


def compare(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
    by: Literal["epochs", "seconds", "joules"] = "epochs",
    horizon: float | None = None,
    looks: int = 1,
    width: float | None = None,
) -> dict[str, Any]:
    """Return which recipe needs less, as JSON-able data; arguments as for `stats.compare.compare`."""
    from fewepochs.report import comparison

    return comparison.build(runs, targets=targets, rule=rule, by=by, horizon=horizon, looks=looks, width=width)


def comparison_picture(found: Mapping[str, Any], *, to: Path) -> Path:
    """Draw what `compare` returned into the file `to`: SVG, PNG, PDF or HTML; return its path."""
    from fewepochs.report import comparison_figure

    comparison_figure.write(to, found)
    return to


def report(runs: Sequence[store.StoredRun], *, to: Path, targets: Sequence[float] = ()) -> Path:
    """Write the report of `runs` as one offline HTML file; return its path."""
    from fewepochs.report import page

    try:
        to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{to.parent}: cannot be made: {error.strerror or error}") from None
    page.write(to, runs, targets=targets)
    return to


def demo(
    *, out: Path, runtime: Runtime | None = None, view: console.View | None = None
) -> tuple[list[Outcome], Path | None]:
    """Race the demo's recipes, two seeds each, and write the report; an interruption leaves no report.

    One CPU thread unless `runtime` says otherwise: on images this small a second one costs more than it brings.
    """
    runtime = runtime or Runtime()
    runtime = replace(runtime, threads=runtime.threads or 1)
    outcomes = []
    for name in DEMO_RECIPES:
        for seed in DEMO_SEEDS:
            outcome = train(recipes.load(name, seed=seed), out=out, runtime=runtime, view=view)
            outcomes.append(outcome)
            if outcome.signal is not None:
                return outcomes, None
    return outcomes, report([outcome.run for outcome in outcomes], to=out / REPORT)
