"""The command that measures how restless runs are: noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from fewepochs.api import results
from fewepochs.cli import options, output, tables


def noise(
    runs: options.RunsArgument,
    by: Annotated[str, typer.Option("--by", help="epochs, or evaluations: those of --evaluate-every.")] = "epochs",
    spike: Annotated[float, typer.Option("--spike", help="So many spreads above the median are a spike.")] = 5.0,
    first: Annotated[bool, typer.Option("--first", help="Laws of the runs' first phases alone.")] = False,
    gradient_noise: Annotated[
        list[Path] | None,
        typer.Option(
            "--gradient-noise",
            metavar="FILE",
            help="What gradient-noise --json measured of these runs: noise against the length of a step's random part. "
            "Repeatable.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Draw noise over g or the rate: .svg, .png, .pdf or .html.")
    ] = None,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """How restless runs are at each learning rate, and how that goes with rate and batch size: as g says, or not."""
    options.check_choice("--by", by, allowed=("epochs", "evaluations"))
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    if not (math.isfinite(spike) and spike > 0):
        raise options.usage("--spike", "not a number of spreads", str(spike), "a number above 0")
    options.check_picture(to)
    found = results.noise(results.load_runs(runs), by=by, spike=spike, first=first)  # type: ignore[arg-type]
    page = results.noise_page(found, gradient_noise=tuple(gradient_noise or ()))
    tables.print_page(page, form=form)
    if to is not None:
        output.say(f"picture: {results.noise_picture(page, to=to)}")
