"""The command that searches the smallest budget: budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.api import studies
from fewepochs.cli import options, output, tables


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
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Runs at a time; default: one a core.")] = None,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    picture_to: Annotated[
        Path | None, typer.Option("--picture", help="Also draw it: a .svg, .png, .pdf or .html file to write.")
    ] = None,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Search the smallest budget at which a share of the runs reaches a target, the schedule stretched to each."""
    from fewepochs.report import picture, study_console
    from fewepochs.study import budgets, conduct

    options.check_choice("--rule", rule, allowed=("first", "held"))
    options.check_progress(progress)
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    if picture_to is not None:
        picture.check(picture_to)
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
        device=device,
        kernels=kernels,
        threads=threads,
        data=data,
        download=download,
        allow_code=tuple(allow_code or ()),
        deterministic=deterministic,
    )
    with study_console.view("off" if quiet else progress) as view:  # type: ignore[arg-type]
        how = conduct.How(runtime=runtime, jobs=jobs)
        say = _silent if quiet or progress == "off" else output.say
        found, stopped = studies.smallest_budget(question, out=out, how=how, view=view, say=say)
    tables.print_page(studies.smallest_budget_page(found), form=form)
    output.leave_if_stopped(stopped)
    if picture_to is not None:
        output.say(f"picture: {studies.smallest_budget_picture(found, to=picture_to)}")


def _silent(_: str) -> None:
    """Say nothing."""
