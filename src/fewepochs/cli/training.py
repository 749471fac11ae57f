"""Commands that train: train, resume, demo."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewepochs import errors
from fewepochs import recipe as recipes
from fewepochs.api import probing, training
from fewepochs.cli import ending, options, output

if TYPE_CHECKING:
    from fewepochs.study import packing

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print parameters, FLOPs, steps, memory and stop.")]

PackOption = Annotated[
    str | None,
    typer.Option(
        "--pack",
        metavar="N|auto",
        help="With --seeds: N runs at a time, each on its own cores, or all on one GPU; auto: one a core or GPU.",
    ),
]


def train(
    recipe: options.RecipeArgument,
    overrides: options.SetOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The run's seed; default: the recipe's.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Several runs: 0..9, or 0,3,5.")] = None,
    pack: PackOption = None,
    out: options.OutOption = Path("runs"),
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    graphs: options.GraphsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    checkpoint_minutes: options.CheckpointOption = 10.0,
    strict: options.StrictOption = False,
    snapshots: options.SnapshotsOption = "",
    evaluate_every: options.EvaluateOption = None,
    stop_at_target: options.StopOption = None,
    require_target: options.RequireOption = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")] = False,
    dry_run: DryRunOption = False,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Train a recipe; the same recipe and seed again resumes, or says that it is done."""
    chosen = [recipes.load(recipe, overrides=overrides or (), seed=s) for s in options.seeds(seed, seeds)]
    runtime = training.Runtime(
        device=device, kernels=kernels, graphs=graphs, threads=threads, data=data, download=download, strict=strict,
        allow_code=tuple(allow_code or ()), deterministic=deterministic, checkpoint_minutes=checkpoint_minutes,
        snapshots=snapshots, evaluate_every=evaluate_every)  # fmt: skip
    options.check_accuracies({"--stop-at-target": stop_at_target, "--require-target": require_target})
    processes = None if pack is None else options.processes(pack)
    if print_config or dry_run:
        _print(chosen, runtime=None if print_config else runtime, seeds=seeds, as_json=as_json)
        return
    form = output.form(as_json, progress, quiet=quiet)
    if pack is not None:
        how = functools.partial(training.pack, processes=processes, stop_at_target=stop_at_target)
        with output.study_view(progress, quiet=quiet) as shown:
            done = how(chosen, out=out, runtime=runtime, view=shown)
        _conclude_packed(done, require_target=require_target, form=form)
        return
    with output.view(progress, quiet=quiet, verbose=verbose) as view:
        each = functools.partial(training.train, out=out, runtime=runtime, view=view, stop_at_target=stop_at_target)
        outcomes = _in_turn(chosen, each)
    ending.conclude(outcomes, require_target=require_target, form=form)


def _conclude_packed(done: packing.Packed, *, require_target: float | None, form: output.Form) -> None:
    """Print what came out, and leave with what was the matter: a signal, runs that failed, or what `conclude` finds."""
    known = {one.cell.run_name for one in done.before.standings if one.state == "done"}
    outcomes = [
        training.Outcome(one.run, already_done=one.cell.run_name in known)
        for one in done.plan.standings
        if one.run is not None
    ]
    failed = [one for one in done.plan.standings if one.state == "failed"]
    if done.signal is None and not failed:
        ending.conclude(outcomes, require_target=require_target, form=form)
        return
    if outcomes:
        ending.print_summary([outcome.run for outcome in outcomes], targets=(), form=form)
    ending.leave_if_stopped(done.signal)
    raise errors.StudyError(ending.failures(done.plan, failed))


def _print(
    chosen: Sequence[recipes.Recipe], *, runtime: training.Runtime | None, seeds: str | None, as_json: bool
) -> None:
    """Print what a recipe needs, where a machine is given, or else the recipe."""
    if runtime is not None:
        output.print_facts(probing.dry_run(chosen[0], runtime=runtime), as_json=as_json)
        return
    if len(chosen) > 1:
        raise options.usage("--print-config", "shows one recipe", f"--seeds {seeds}", "--seed instead of --seeds")
    (recipe,) = chosen
    if as_json:
        output.print_json({"digest": recipes.digest(recipe), **recipe.model_dump(mode="json", exclude_none=True)})
    else:
        output.out(f"# digest {recipes.digest(recipe)}\n{recipes.to_toml(recipe).rstrip()}")


def _in_turn(
    chosen: Sequence[recipes.Recipe], train_one: Callable[[recipes.Recipe], training.Outcome]
) -> list[training.Outcome]:
    """Train one after the other until a signal comes, and say which were not begun."""
    outcomes: list[training.Outcome] = []
    for one in chosen:
        outcomes.append(train_one(one))
        if outcomes[-1].signal is not None:
            break
    if len(outcomes) < len(chosen):
        left = ", ".join(str(one.seed) for one in chosen[len(outcomes) :])
        output.say(f"not begun: seeds {left}; the same command goes on with all of them")
    return outcomes


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    graphs: options.GraphsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    checkpoint_minutes: options.CheckpointOption = 10.0,
    strict: options.StrictOption = False,
    snapshots: options.SnapshotsOption = "",
    evaluate_every: options.EvaluateOption = None,
    stop_at_target: options.StopOption = None,
    require_target: options.RequireOption = None,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped."""
    options.check_accuracies({"--stop-at-target": stop_at_target, "--require-target": require_target})
    allowed = tuple(allow_code or ())
    runtime = training.Runtime(
        device=device,
        kernels=kernels,
        graphs=graphs,
        threads=threads,
        data=data,
        allow_code=allowed,
        deterministic=deterministic,
        checkpoint_minutes=checkpoint_minutes,
        strict=strict,
        snapshots=snapshots,
        evaluate_every=evaluate_every,
    )
    with output.view(progress, quiet=quiet, verbose=verbose) as view:
        outcome = training.resume(run, runtime=runtime, view=view, stop_at_target=stop_at_target)
    ending.conclude([outcome], require_target=require_target, form=output.form(as_json, progress, quiet=quiet))


def demo(
    out: options.OutOption = Path("runs"),
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Race two schedules on handwritten digits: who needs how many epochs to 97%? Under 90 seconds."""
    with output.view(progress, quiet=quiet, verbose=False) as view:
        outcomes, page = training.demo(out=out, runtime=training.Runtime(device=device, threads=threads), view=view)
    ending.conclude(outcomes, require_target=None, form=output.form(as_json, progress, quiet=quiet), report=page)
