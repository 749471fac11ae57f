"""Commands that show what a recipe will do before it is trained: schedule, decay. Neither needs torch or the data."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewepochs import recipe as recipes
from fewepochs.cli import options, output

StepsOption = Annotated[
    int | None,
    typer.Option(
        "--steps-per-epoch",
        min=1,
        help="Steps of an epoch at the recipe's batch size; needed for images of your own (npz), else known.",
    ),
]
MOST_COLUMNS = 120


def schedule(
    recipe: options.RecipeArgument,
    overrides: options.SetOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Also draw it: a .svg, .png, .pdf or .html file to write.")
    ] = None,
    steps_per_epoch: StepsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show learning rate, momentum, weight decay and batch size over the budget."""
    from fewepochs.report import outlook, outlook_console

    chosen = recipes.load(recipe, overrides=overrides or ())
    data = outlook.build(chosen, steps_per_epoch=steps_per_epoch)
    horizon = outlook.horizon(chosen, steps_per_epoch=steps_per_epoch)
    if to is not None:
        from fewepochs.report import outlook_figure  # altair costs more than all the rest

        outlook_figure.write(to, chosen, data=data, horizon=horizon)
        output.say(f"picture: {to}")
    if as_json:
        output.print_json(data)
        return
    for line in outlook_console.lines(chosen, data=data, horizon=horizon, width=_columns(), plain=_is_plain()):
        output.out(line)


def decay(
    recipe: options.RecipeArgument,
    overrides: options.SetOption = None,
    steps_per_epoch: StepsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show L2 and weight decay in the terms of the other forms, and what they take off a weight."""
    from fewepochs.report import decay_console

    data = decay_console.build(recipes.load(recipe, overrides=overrides or ()), steps_per_epoch=steps_per_epoch)
    if as_json:
        output.print_json(data)
        return
    for line in decay_console.lines(data):
        output.out(line)


def _columns() -> int:
    """Return the width for curves: the terminal's, or 80 where there is none."""
    return max(40, min(MOST_COLUMNS, shutil.get_terminal_size((80, 24)).columns))


def _is_plain() -> bool:
    """Say whether stdout's alphabet lacks the characters that curves are drawn with."""
    try:
        "▁█│└─".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False
