"""The command `fewepochs`: parse, call api, print.

Data goes to stdout, messages to stderr. Exit codes: 0 done; 2 usage or recipe; 3 data; 4 diverged; 5 storage; 6
checkpoint; 10 target missed (with --require-target); 130 and 143 interrupted.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from fewepochs import api, errors
from fewepochs import recipe as recipes
from fewepochs.report import labels

EXIT_CODES = """Exit codes: 0 done, 2 usage or recipe, 3 data, 4 diverged, 5 storage, 6 checkpoint unusable,
10 target missed (with --require-target), 130 interrupted (Ctrl-C), 143 terminated."""

app = typer.Typer(
    help="How many epochs - and seconds, and joules - does a training recipe need to reach a target accuracy?",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich costs half the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes_app = typer.Typer(help="List the shipped recipes, or show one.", invoke_without_command=True)
data_app = typer.Typer(help="Show which data sets are at hand, or download one.", invoke_without_command=True)
app.add_typer(recipes_app, name="recipes")
app.add_typer(data_app, name="data")

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a TOML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="""Override, e.g. optimizer.lr=1e-3, or a whole part: 'schedule={kind="constant"}'. Repeatable.""",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="The folder that run folders lie in.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Where the data set lies: a folder, an archive, or an .npz file.")
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download the data set if it is nowhere to be found.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:0, ...")]
KernelsOption = Annotated[
    str, typer.Option("--kernels", help="auto, fused (compiled batch normalisation, CPU), or torch.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default: torch's choice.")]
ProgressOption = Annotated[str, typer.Option("--progress", help="auto, rich, plain, json or off.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress (as --progress off).")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="On resume, print the epochs done so far, too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
TargetOption = Annotated[
    list[float] | None,
    typer.Option("--target", help="A target val_acc, e.g. 0.92, instead of the recipes'. Repeatable."),
]
StopOption = Annotated[
    float | None, typer.Option("--stop-at-target", help="Stop after the first epoch with this val_acc.")
]
RequireOption = Annotated[
    float | None, typer.Option("--require-target", help="Exit 10 unless this val_acc is reached.")
]
Form = Literal["text", "json", "event"]

RunsArgument = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")]


def main() -> None:
    """Run the command line; a user's mistake ends in one message and the documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal does not have is spelt out
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except errors.FewEpochsError as error:
        _say(f"fewepochs: {error}")
        sys.exit(error.exit_code)
    finally:
        _flush()


# --- training -----------------------------------------------------------------------------------------------------


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The run's seed; default: the recipe's.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Several runs: 0..9, or 0,3,5.")] = None,
    out: OutOption = Path("runs"),
    data: DataOption = None,
    download: DownloadOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    kernels: KernelsOption = "auto",
    stop_at_target: StopOption = None,
    require_target: RequireOption = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print parameters, FLOPs, steps, memory and stop.")
    ] = False,
    progress: ProgressOption = "auto",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe; the same recipe and seed again resumes, or says that it is done."""
    chosen = [recipes.load(recipe, overrides=overrides or (), seed=s) for s in _seeds(seed, seeds)]
    runtime = api.Runtime(device=device, kernels=kernels, threads=threads, data=data, download=download)
    if print_config and len(chosen) > 1:
        raise _usage("--print-config", "shows one recipe", f"--seeds {seeds}", "--seed instead of --seeds")
    if print_config:
        _print_config(chosen[0], as_json=as_json)
        return
    if dry_run:
        _print_facts(api.dry_run(chosen[0], runtime=runtime), as_json=as_json)
        return
    _check_accuracies({"--stop-at-target": stop_at_target, "--require-target": require_target})
    outcomes: list[api.Outcome] = []
    with _view(progress, quiet=quiet, verbose=verbose) as view:
        for one in chosen:
            outcomes.append(api.train(one, out=out, runtime=runtime, view=view, stop_at_target=stop_at_target))
            if outcomes[-1].signal is not None:
                break
    if len(outcomes) < len(chosen):
        left = ", ".join(str(one.seed) for one in chosen[len(outcomes) :])
        _say(f"not begun: seeds {left}; the same command goes on with all of them")
    _conclude(outcomes, require_target=require_target, form=_form(as_json, progress, quiet=quiet))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    data: DataOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    kernels: KernelsOption = "auto",
    stop_at_target: StopOption = None,
    require_target: RequireOption = None,
    progress: ProgressOption = "auto",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped."""
    _check_accuracies({"--stop-at-target": stop_at_target, "--require-target": require_target})
    runtime = api.Runtime(device=device, kernels=kernels, threads=threads, data=data)
    with _view(progress, quiet=quiet, verbose=verbose) as view:
        outcome = api.resume(run, runtime=runtime, view=view, stop_at_target=stop_at_target)
    _conclude([outcome], require_target=require_target, form=_form(as_json, progress, quiet=quiet))


@app.command()
def demo(
    out: OutOption = Path("runs"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    progress: ProgressOption = "auto",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Race two schedules on handwritten digits: who needs how many epochs to 97%? Under 90 seconds."""
    with _view(progress, quiet=quiet, verbose=False) as view:
        outcomes, page = api.demo(out=out, runtime=api.Runtime(device=device, threads=threads), view=view)
    _conclude(outcomes, require_target=None, form=_form(as_json, progress, quiet=quiet), report=page)


# --- looking ------------------------------------------------------------------------------------------------------


@app.command()
def report(
    runs: RunsArgument,
    to: Annotated[Path, typer.Option("--to", "-o", help="The HTML file to write.")] = Path(api.REPORT),
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one offline HTML file about runs: curves, crossings, cost, recipes, environment."""
    targets = _targets(target)
    stored = api.load_runs(runs)
    page = api.report(stored, to=to, targets=targets)
    if as_json:
        _print_json({"report": str(page), **api.summarise(stored, targets=targets)})
    else:
        _out(str(page))


@app.command()
def show(runs: RunsArgument, target: TargetOption = None, as_json: JsonOption = False) -> None:
    """Print crossings, best accuracy and cost of runs."""
    targets = _targets(target)
    _print_summary(api.load_runs(runs), targets=targets, form="json" if as_json else "text")


@recipes_app.callback()
def recipes_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the shipped recipes."""
    if context.invoked_subcommand is not None:
        return
    shipped = [recipes.load(name) for name in recipes.shipped_names()]
    if as_json:
        _print_json([{"name": r.name, "digest": recipes.digest(r), "summary": r.summary} for r in shipped])
        return
    for recipe in shipped:
        _out(f"{recipe.name:<28}{recipe.summary}")


@recipes_app.command("show")
def recipes_show(name: Annotated[str, typer.Argument()], as_json: JsonOption = False) -> None:
    """Print a shipped recipe, comments included."""
    if as_json:
        recipe = recipes.load(name)
        _print_json({"digest": recipes.digest(recipe), **recipe.model_dump(mode="json", exclude_none=True)})
    else:
        _out(recipes.shipped_text(name).rstrip("\n"))


@recipes_app.command("schema")
def recipes_schema() -> None:
    """Print the JSON Schema of recipe files, for editors."""
    _print_json(recipes.json_schema())


@data_app.callback()
def data_list(context: typer.Context, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show which data sets are at hand and where they came from."""
    if context.invoked_subcommand is not None:
        return
    found = api.available(data)
    if as_json:
        _print_json(found)
        return
    for source in found:
        _out(f"{source['kind']:<10}{source['form']:<28}{source['detail']:<36}{source['path']}")


@data_app.command("fetch")
def data_fetch(kind: Annotated[str, typer.Argument(help="cifar10 or cifar100")], as_json: JsonOption = False) -> None:
    """Download a data set, after saying URL, size and SHA-256; what is there already is kept."""
    fetched = api.fetch(kind, say=_say)
    _print_facts(fetched, as_json=as_json)


def _version(wanted: bool) -> None:
    if wanted:
        _out(f"fewepochs {metadata.version('fewepochs')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


# --- words in -----------------------------------------------------------------------------------------------------


def _seeds(seed: int | None, several: str | None) -> list[int | None]:
    if several is None:
        return [seed]
    if seed is not None:
        raise _usage("--seeds", "cannot stand beside --seed", several, "one of the two")
    span = re.fullmatch(r"(\d+)\.\.(\d+)", several)
    if span is not None and int(span[1]) <= int(span[2]) < int(span[1]) + 10_000:
        return list(range(int(span[1]), int(span[2]) + 1))
    if re.fullmatch(r"\d+(,\d+)*", several):
        return list(dict.fromkeys(int(one) for one in several.split(",")))
    raise _usage("--seeds", "not a set of seeds", several, "0..9, or 0,3,5")


def _targets(given: Sequence[float] | None) -> tuple[float, ...]:
    for target in given or ():
        _check_accuracies({"--target": target})
    return tuple(given or ())


def _check_accuracies(given: Mapping[str, float | None]) -> None:
    for option, accuracy in given.items():
        if accuracy is not None and not 0 < accuracy <= 1:
            raise _usage(option, "not an accuracy", str(accuracy), "a fraction above 0, at most 1")


def _usage(field: str, message: str, value: str, allowed: str) -> errors.RecipeError:
    return errors.RecipeError("command line", (errors.Problem(field, message, repr(value), allowed),))


def _form(as_json: bool, progress: str, *, quiet: bool) -> Form:
    """Return how to print what came out: after lines of JSON comes one more of them."""
    if as_json:
        return "json"
    return "event" if progress == "json" and not quiet else "text"


def _view(choice: str, *, quiet: bool, verbose: bool) -> Any:
    from fewepochs.report import console

    if choice not in ("auto", "rich", "plain", "json", "off"):
        raise _usage("--progress", "not a kind of progress", choice, "auto, rich, plain, json, off")
    return console.view("off" if quiet else choice, verbose=verbose)  # type: ignore[arg-type]


# --- words out ----------------------------------------------------------------------------------------------------


def _conclude(
    outcomes: Sequence[api.Outcome], *, require_target: float | None, form: Form, report: Path | None = None
) -> None:
    """Print what came out, then leave with the exit code that it asks for."""
    for outcome in outcomes:
        if outcome.already_done:
            _say(f"{outcome.run.name}: already done ({outcome.run.status.state}); its folder is {outcome.run.path}")
    _print_summary([outcome.run for outcome in outcomes], targets=(), form=form, report=report)
    stopped = next((outcome for outcome in outcomes if outcome.signal is not None), None)
    if stopped is not None:
        _say(f"interrupted; go on with: fewepochs resume {shlex.quote(str(stopped.run.path))}")
        sys.exit(errors.INTERRUPTED_EXIT_CODE if stopped.signal == signal.SIGINT else errors.TERMINATED_EXIT_CODE)
    runs = [outcome.run for outcome in outcomes]
    diverged = [f"{run.name}: diverged ({run.status.reason})" for run in runs if run.status.state == "diverged"]
    if diverged:
        advice = "Checkpoints from before are kept. Lower the learning rate, or use a wider precision."
        raise errors.DivergedError("\n".join([*diverged, advice]))
    if require_target is not None:
        for run in runs:
            api.require_target(run, require_target)


def _print_summary(runs: Sequence[Any], *, targets: Sequence[float], form: Form, report: Path | None = None) -> None:
    summary = api.summarise(runs, targets=targets)
    if report is not None:
        summary = {"report": str(report), **summary}
    if form == "json":
        _print_json(summary)
        return
    if form == "event":
        _out(json.dumps({"event": "summary", **summary}))
        return
    from fewepochs.report import console

    for line in console.summary_lines(summary):
        _out(line)
    if report is not None:
        _out(f"\nreport: {report}")


def _print_config(recipe: recipes.Recipe, *, as_json: bool) -> None:
    if as_json:
        _print_json({"digest": recipes.digest(recipe), **recipe.model_dump(mode="json", exclude_none=True)})
    else:
        _out(f"# digest {recipes.digest(recipe)}\n{recipes.to_toml(recipe).rstrip()}")


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(facts)
        return
    for name, value in facts.items():
        _out(f"{name:<24}{f'{value:,}' if isinstance(value, int) else value}")


def _print_json(value: object) -> None:
    _out(json.dumps(value, indent=2))


def _out(text: str) -> None:
    _write(text, sys.stdout)


def _say(text: str) -> None:
    _write(text, sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    """Print what may hold names from outside: as text, never as commands to the terminal."""
    with suppress(BrokenPipeError):  # the reader has gone, the work goes on
        print(labels.shown(text), file=stream, flush=True)


def _flush() -> None:
    """Leave nothing to be flushed at exit that nobody reads, so that the exit code stays ours."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
