"""Train a recipe, go on with a run, race the demo.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.api import results
from fewepochs.errors import TargetMissedError
from fewepochs.optim import permission
from fewepochs.stats import stopping
from fewepochs.stats import target as crossing_rules
from fewepochs.train import outcome

if TYPE_CHECKING:
    from fewepochs.report import console, study_console
    from fewepochs.study import packing

DEMO_RECIPES = ("digits-step", "digits-linear")
DEMO_SEEDS = (0, 1)
REPORT = "report.html"

Runtime = runtimes.Runtime
Outcome = outcome.Outcome


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


def pack(
    chosen: Sequence[recipes.Recipe],
    *,
    out: Path,
    processes: int | None = None,
    runtime: Runtime | None = None,
    view: study_console.View | None = None,
    stop_at_target: float | None = None,
) -> packing.Packed:
    """Train one recipe with several seeds, so many `processes` at a time (None: one a core, or one a GPU).

    Each run has its own cores, and ends in the bits that it has when it is trained alone with as many threads. Several
    on one GPU are threads of this process. What is done stays as it is. A run that fails disturbs no other, as long as
    the process and its GPU live: its reason stands in the plan that is returned. Raises
    FewEpochsError's family.
    """
    runtime = runtime or Runtime()
    runtimes.check(runtime)
    for recipe in chosen:
        permission.require_allowed(recipe.optimizer, allow_code=runtime.allow_code)
    from fewepochs.report import study_console
    from fewepochs.study import packing

    stop = stopping.Stop(target=stop_at_target)
    shown = view or study_console.View()
    return packing.train(chosen, out=out, runtime=runtime, asked=processes, stop=stop, view=shown)


def resume(
    path: Path,
    *,
    runtime: Runtime | None = None,
    view: console.View | None = None,
    stop_at_target: float | None = None,
) -> Outcome:
    """Go on with the run in the folder `path`; what `runtime` leaves open is taken from the run's environment."""
    run = store.read(path)
    return _run(path, store.trained(run), runtime=runtime or Runtime(), view=view, stop_at_target=stop_at_target)


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
    return outcomes, results.report([outcome.run for outcome in outcomes], to=out / REPORT)
