"""Commands about searches: search run, search show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewepochs import runtime as runtimes
from fewepochs.api import searching
from fewepochs.cli import ending, options, output, tables

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A search file (TOML); see docs/searching.md.")]

search_app = typer.Typer(
    help="Many recipes, few epochs each, the best to the end: search by successive halving.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@search_app.command()
def run(
    file: FileArgument,
    out: options.OutOption = Path("runs"),
    jobs: options.JobsOption = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Begin a crashed trial so often again.")] = 2,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    graphs: options.GraphsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Carry out a search, then print what it found; the same command goes on after anything."""
    from fewepochs.report import study_console
    from fewepochs.study import conduct

    options.check_progress(progress)
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    runtime = runtimes.Runtime(
        device=device,
        kernels=kernels,
        graphs=graphs,
        threads=threads,
        data=data,
        download=download,
        allow_code=tuple(allow_code or ()),
        deterministic=deterministic,
    )
    with study_console.view("off" if quiet else progress) as view:  # type: ignore[arg-type]
        how = conduct.How(runtime=runtime, jobs=jobs, retries=retries)
        say = (lambda _: None) if quiet or progress == "off" else output.say
        found, stopped = searching.run(file, out=out, how=how, view=view, say=say)
    tables.print_page(searching.page(found), form=form)
    ending.leave_if_stopped(stopped)


@search_app.command()
def show(
    file: FileArgument,
    out: options.OutOption = Path("runs"),
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Say how a search stands: its trials, their scores at each comparison, the best so far."""
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    tables.print_page(searching.page(searching.load(file, out=out)), form=form)
