"""The command that measures what an epoch costs, without a run: cost."""

from __future__ import annotations

from typing import Annotated

import typer

from fewepochs.api import costing
from fewepochs.cli import ending, options, output, tables

BatchesOption = Annotated[
    str | None, typer.Option("--batch-size", help="Batch sizes: 32,64,128; default: the recipe's.")
]
PrecisionsOption = Annotated[
    str | None, typer.Option("--precision", help="Precisions: float32,bfloat16; default: the recipe's.")
]


def cost(
    recipe: options.RecipeArgument,
    overrides: options.SetOption = None,
    batch_size: BatchesOption = None,
    precision: PrecisionsOption = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of a window, instead of --seconds.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a window; one step at least.")] = 5.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Windows of each cell; cells take turns.")] = 3,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    quiet: options.QuietOption = False,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """What an epoch costs here, by batch size and precision: seconds, load, watts, memory. Not a run."""
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    runtime = costing.Runtime(
        device=device, kernels=kernels, threads=threads, data=data, download=download,
        allow_code=tuple(allow_code or ()),
    )  # fmt: skip
    found = costing.cost(
        recipe,
        overrides=overrides or (),
        batch_sizes=() if batch_size is None else options.numbers("--batch-size", batch_size),
        precisions=() if precision is None else tuple(dict.fromkeys(precision.split(","))),
        rounds=rounds,
        seconds=seconds,
        steps=steps,
        runtime=runtime,
        say=(lambda _: None) if quiet else output.say,
    )
    tables.print_page(costing.cost_page(found), form=form)
    ending.leave_if_incomplete(found.signal)
