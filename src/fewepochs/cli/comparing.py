"""The command that compares: compare."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from fewepochs.api import results
from fewepochs.cli import options, output, tables


def compare(
    runs: options.RunsArgument,
    target: options.TargetOption = None,
    rule: Annotated[str, typer.Option("--rule", help="first: reached once; held: and kept.")] = "first",
    by: Annotated[str, typer.Option("--by", help="epochs, seconds or joules.")] = "epochs",
    horizon: Annotated[
        float | None, typer.Option("--horizon", help="Up to when means and tests look; default: as far as all can.")
    ] = None,
    looks: Annotated[
        int, typer.Option("--looks", min=1, help="How often you look at these runs as they grow, in all.")
    ] = 1,
    width: Annotated[
        float | None, typer.Option("--width", help="Say how many seeds an interval of the mean this wide would need.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Draw how many runs got there when: .svg, .png, .pdf or .html.")
    ] = None,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Which recipe needs less to a target: medians, means, ratios with intervals, tests. Runs differ in their seeds."""
    targets, form = options.targets(target), tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    options.check_choice("--rule", rule, allowed=("first", "held"))
    options.check_choice("--by", by, allowed=("epochs", "seconds", "joules"))
    for option, value in (("--horizon", horizon), ("--width", width)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise options.usage(option, "not a size", str(value), "a number above 0")
    options.check_picture(to)
    asked: dict[str, Any] = {"rule": rule, "by": by, "horizon": horizon, "looks": looks, "width": width}
    found = results.compare(results.load_runs(runs), targets=targets, **asked)
    _print(found, form=form)
    if to is not None:
        output.say(f"picture: {results.comparison_picture(found, to=to)}")


def _print(found: dict[str, Any], *, form: tables.Form) -> None:
    if form == "json":
        output.print_json(found)
        return
    from fewepochs.report import comparison_console

    if form != "text":
        tables.print_page(comparison_console.page(found), form=form)
        return
    for line in comparison_console.lines(found):
        output.out(line)
