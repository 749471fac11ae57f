"""The command that draws: figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewepochs.api import results
from fewepochs.cli import options, output

KINDS = ("survival", "curves", "cost", "noise")


def figure(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="survival, curves, cost or noise.")],
    runs: options.RunsArgument,
    to: Annotated[
        Path, typer.Option("--to", "-o", help="The file to write: .svg, .pdf, .png, .html, .csv or .json (Vega-Lite).")
    ],
    width: Annotated[
        float | None,
        typer.Option("--width", metavar="MM", help="Width in print, e.g. 85 for one column of two, 180 for both."),
    ] = None,
    target: options.TargetOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Draw one figure of the report for a paper, or write its numbers.

    survival: who gets there when; curves: accuracy, loss and rate over epochs; cost: seconds and joules to the targets;
    noise: settled noise of the validation loss by learning rate.
    """
    options.check_choice("KIND", kind, allowed=KINDS)
    targets = options.targets(target)
    _check(to, width=width)
    path = results.figure(kind, results.load_runs(runs), to=to, targets=targets, millimetres=width)  # type: ignore[arg-type]
    output.print_facts({"figure": str(path)}, as_json=True) if as_json else output.out(str(path))


def _check(to: Path, *, width: float | None) -> None:
    from fewepochs.report import picture

    picture.check(to, data=True)
    if width is not None and not picture.LEAST <= width <= picture.MOST:
        allowed = f"{picture.LEAST:g} to {picture.MOST:g} millimetres"
        raise options.usage("--width", "not a width", str(width), allowed)
