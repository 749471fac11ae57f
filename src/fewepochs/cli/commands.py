"""The commands, by what they are for: `fewepochs --help` tells them without importing what they need.

Each has a line here and is imported, and built from its function, when it is asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections import UserDict
from typing import Any, NamedTuple

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption


class Command(NamedTuple):
    """Where a command is, as `module:name` in this room, and what the help of all commands says of it."""

    where: str
    summary: str


SECTIONS = {
    "Train": {
        "train": Command("training:train", "Train a recipe; the same command goes on with it."),
        "resume": Command("training:resume", "Go on with a run from its last checkpoint, bit for bit."),
        "demo": Command("training:demo", "Race two schedules on handwritten digits."),
    },
    "Before training": {
        "recipes": Command("looking:recipes_app", "The shipped recipes, and what a recipe may say."),
        "data": Command("looking:data_app", "The data sets at hand; download one."),
        "schedule": Command("planning:schedule", "Learning rate, momentum and weight decay over a budget."),
        "decay": Command("planning:decay", "L2 and weight decay, each in the terms of the others."),
        "cost": Command("costing:cost", "What an epoch costs here, in seconds and joules."),
        "lr-range": Command("probing:lr_range", "Learning-rate range test."),
    },
    "Read runs": {
        "show": Command("showing:show", "Crossings, best accuracy and cost; while they train, too."),
        "report": Command("showing:report", "One offline HTML file about runs or a study."),
        "figure": Command("drawing:figure", "One figure of the report, for a paper."),
        "compare": Command("comparing:compare", "Which recipe needs less, and could that be chance?"),
        "table": Command("tabulating:table", "Tables of a study, for a paper."),
        "noise": Command("noise:noise", "How restless runs are at each learning rate."),
        "replicate": Command("replicating:replicate", "Is a published claim borne out?"),
        "import": Command("importing:bring_in", "Bring in runs of other tools."),
        "track": Command("tracking:track", "Send runs to TensorBoard, MLflow or W&B."),
    },
    "Ask with many runs": {
        "study": Command("studying:study_app", "Plan a grid of runs, carry it out, read its answer."),
        "search": Command("searching:search_app", "Many recipes, few epochs each, the best to the end."),
        "budget": Command("budgeting:budget", "The fewest epochs at which enough runs reach a target."),
    },
    "Look into a run": {
        "bn-split": Command("measuring:bn_split", "How much of val_loss is stale batch-norm statistics?"),
        "gradient-noise": Command("measuring:gradient_noise", "At which batch size does noise stop mattering?"),
        "landscape": Command("landscaping:landscape", "Slices of the training and the validation loss."),
        "sharpness": Command("landscaping:sharpness", "The largest eigenvalues of the Hessian."),
    },
}


class Commands(UserDict[str, Any]):
    """Commands by name, in the order of the help; one that is asked for is imported."""

    def __init__(self) -> None:
        super().__init__({name: command for section in SECTIONS.values() for name, command in section.items()})

    def __getitem__(self, name: str) -> Any:
        return _built(name, self.data[name].where)


class Group(TyperGroup):
    """All commands, in sections."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (typer's)
        """Return their names."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a line for each."""
        width = max(map(len, self.commands))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), command.summary) for name, command in section.items()])


@functools.cache
def _built(name: str, where: str) -> Any:
    module, attribute = where.split(":")
    found = getattr(importlib.import_module(f"fewepochs.cli.{module}"), attribute)
    app = typer.Typer(rich_markup_mode=None)  # rich costs half the time of --help
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)
    command = typer.main.get_group(app).commands[name]
    _leave_reading_to_us(command)
    return command


def _leave_reading_to_us(command: Any) -> None:
    """Let no path be refused before it is read: what cannot be has a message and an exit code of ours."""
    for parameter in command.params:
        if isinstance(parameter, TyperArgument | TyperOption):
            parameter.type_descriptor.parameter_info.readable = False
    for below in getattr(command, "commands", {}).values():
        _leave_reading_to_us(below)
