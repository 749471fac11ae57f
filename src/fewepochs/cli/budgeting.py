"""The command that searches the smallest budget: budget."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.api import studies
from fewepochs.cli import ending, options, output, tables

if TYPE_CHECKING:
    from fewepochs.study import budgets


PictureOption = Annotated[
    Path | None, typer.Option("--picture", help="Also draw it: a .svg, .png, .pdf or .html file to write.")
]


def budget(
    recipe: options.RecipeArgument,
    target: Annotated[float, typer.Option("--target", help="The val_acc to be reached, e.g. 0.92.")],
    lowest: Annotated[int, typer.Option("--from", min=1, help="The smallest budget to consider, in epochs.")],
    highest: Annotated[int, typer.Option("--to", min=1, help="The largest budget to consider, in epochs.")],
    share: Annotated[float, typer.Option("--share", help="The share of runs that must reach it.")] = 0.8,
    seeds: Annotated[str, typer.Option("--seeds", help="The same seeds at each budget: 0..4, or 0,3,5.")] = "0..4",
    rule: Annotated[str, typer.Option("--rule", help="first: reached once; held: and kept.")] = "first",
    overrides: options.SetOption = None,
    out: options.OutOption = Path("runs"),
    jobs: options.JobsOption = None,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    graphs: options.GraphsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    picture_to: PictureOption = None,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Search the smallest budget at which a share of the runs reaches a target, the schedule stretched to each."""
    from fewepochs.study import budgets

    _check(rule=rule, progress=progress, picture_to=picture_to)
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    for override in overrides or ():
        if override.partition("=")[0].strip() == "budget.epochs":
            raise options.usage("--set", "what is searched cannot be set", override, "--from and --to")
    question = budgets.Question(
        recipes.load(recipe, overrides=tuple(overrides or ())),
        target=target,
        share=share,
        lowest=lowest,
        highest=highest,
        seeds=tuple(options.numbers("--seeds", seeds)),
        rule="held" if rule == "held" else "first",
    )
    runtime = runtimes.Runtime(
        device=device, kernels=kernels, graphs=graphs, threads=threads, data=data, download=download,
        allow_code=tuple(allow_code or ()), deterministic=deterministic,
    )  # fmt: skip
    found, stopped = _search(question, runtime, jobs=jobs, out=out, progress="off" if quiet else progress)
    _conclude(found, stopped, form=form, picture_to=picture_to)


def _check(*, rule: str, progress: str, picture_to: Path | None) -> None:
    options.check_choice("--rule", rule, allowed=("first", "held"))
    options.check_progress(progress)
    options.check_picture(picture_to, option="--picture")


def _search(
    question: budgets.Question, runtime: runtimes.Runtime, *, jobs: int | None, out: Path, progress: str
) -> tuple[budgets.Search, signal.Signals | None]:
    from fewepochs.report import study_console
    from fewepochs.study import conduct

    with study_console.view(progress) as view:  # type: ignore[arg-type]
        how = conduct.How(runtime=runtime, jobs=jobs)
        say = _silent if progress == "off" else output.say
        return studies.smallest_budget(question, out=out, how=how, view=view, say=say)


def _conclude(
    found: budgets.Search, stopped: signal.Signals | None, *, form: tables.Form, picture_to: Path | None
) -> None:
    """Print what was found, leave where a signal stopped the search, and draw what is whole."""
    tables.print_page(studies.smallest_budget_page(found), form=form)
    ending.leave_if_stopped(stopped)
    if picture_to is not None:
        output.say(f"picture: {studies.smallest_budget_picture(found, to=picture_to)}")


def _silent(_: str) -> None:
    """Say nothing."""
