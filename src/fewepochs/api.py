"""What fewepochs can do, as functions: the command line parses, calls one of these, and prints.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import StorageError, TargetMissedError
from fewepochs.optim import permission
from fewepochs.stats import stopping
from fewepochs.stats import target as crossing_rules
from fewepochs.train import outcome

if TYPE_CHECKING:
    from fewepochs.probes import sweeps
    from fewepochs.report import console, study_console, sweep_console, table_text
    from fewepochs.study import conduct, plan

DEMO_RECIPES = ("digits-step", "digits-linear")
DEMO_SEEDS = (0, 1)
REPORT = "report.html"


Runtime = runtimes.Runtime
Outcome = outcome.Outcome


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
    return _run(path, run.recipe, runtime=runtime or Runtime(), view=view, stop_at_target=stop_at_target)


def require_target(run: store.StoredRun, target: float) -> None:
    """Raise TargetMissedError unless `run` reached `target`."""
    crossing = crossing_rules.crossing(run.epochs, target)
    if not crossing.reached:
        raise TargetMissedError(f"{run.name}: target {target:g} not reached in {len(run.epochs)} epochs")


def _run(
    path: Path, recipe: recipes.Recipe, *, runtime: Runtime, view: console.View | None, stop_at_target: float | None
) -> Outcome:
    runtimes.check(runtime)
    permission.require_allowed(recipe.optimizer, allow_code=runtime.allow_code)
    stop = stopping.Stop(target=stop_at_target)
    if (done := outcome.already(path, stop=stop)) is not None:
        return done
    from fewepochs.report import console
    from fewepochs.train import running

    return running.train(path, recipe, runtime=runtime, view=view or console.View(), stop=stop)


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
    runtimes.check(runtime)
    permission.require_allowed(recipe.optimizer, allow_code=runtime.allow_code)
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
    from fewepochs.train import environment, interrupt, running

    shown, begun = view or sweep_console.View(), time.perf_counter()
    data, dataset, device, kernels = running.load(recipe, runtime=runtime, say=shown.note)
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


# --- studies ----------------------------------------------------------------------------------------------------------


def plan_study(file: Path, *, out: Path) -> plan.Plan:
    """Return where the study in `file` stands: cells done, missing, failed, and what the rest will cost."""
    from fewepochs.study import grid, plan

    return plan.make(grid.load(file), out=out)


def run_study(
    file: Path,
    *,
    out: Path,
    runtime: Runtime | None = None,
    jobs: int | None = None,
    only: Sequence[int] | None = None,
    retries: int = 2,
    stall_minutes: float = 60.0,
    view: study_console.View | None = None,
) -> conduct.Conducted:
    """Train what is missing of the study in `file`, `jobs` cells at a time (None: as many as there are cores).

    `only` are the numbers of some of its cells, from 0. Whatever happens, the same call goes on with what is left.
    Raises FewEpochsError's family.
    """
    from fewepochs.report import study_console
    from fewepochs.study import conduct, grid

    runtime, study = runtime or Runtime(), grid.load(file)
    runtimes.check(runtime)
    for arm in study.arms.values():
        permission.require_allowed(arm.optimizer, allow_code=runtime.allow_code)
    how = conduct.How(runtime=runtime, jobs=jobs, retries=retries, stall_minutes=stall_minutes)
    return conduct.conduct(study, out=out, how=how, only=only, view=view or study_console.View())


def answer_study(planned: plan.Plan) -> dict[str, Any]:
    """Return the answer of a study by its own rules, as JSON-able data; cells that are not done are censored."""
    from fewepochs.report import study_answer

    return study_answer.build(planned)


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


def claims() -> list[dict[str, Any]]:
    """Return every published claim, how it is known, and what its test would cost, as JSON-able data."""
    from fewepochs.report import replication

    return replication.listing()


def replicate(claim: str, runs: Sequence[store.StoredRun]) -> dict[str, Any]:
    """Return what `runs` say about the published `claim`, item by item, as JSON-able data."""
    from fewepochs.claims import catalogue
    from fewepochs.report import replication

    return replication.build(catalogue.find(claim), runs)


def table(
    kind: Literal["transitions", "best", "cost"],
    runs: Sequence[store.StoredRun],
    *,
    by: str = "batch_size",
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
) -> table_text.Page:
    """Return a table of `runs` by the recipe's field `by`: epochs to targets, best accuracy, or cost."""
    from fewepochs.report import tables

    return tables.build(kind, runs, by=by, targets=targets, rule=rule)


def attribution(
    base: str,
    full: str,
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
) -> table_text.Page:
    """Return what each ingredient of the recipe `full` saves beside the recipe `base`, put in and left out."""
    from fewepochs.report import attribution

    return attribution.build(attribution.ask(base, full), runs, targets=targets, rule=rule)


def attribution_plan(
    base: str, full: str, runs: Sequence[store.StoredRun] = (), *, to: Path | None = None
) -> table_text.Page:
    """Return which recipes an attribution needs, and write them with a study file into the folder `to` if given."""
    from fewepochs.report import attribution

    asked = attribution.ask(base, full)
    if to is not None:
        attribution.write(asked, to)
    return attribution.plan(asked, runs)


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
