"""The command that brings in runs of other tools: import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fewepochs import recipe as recipes
from fewepochs.cli import options, output

FORMATS = ("auto", "keras-csv", "csv", "tensorboard")
VALIDATIONS = ("test", "held-out")


FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="CSV files, event files, or folders of event files.")
]
SeedsOption = Annotated[str | None, typer.Option("--seeds", help="Seeds in the order of the runs: 0..2, or 0,3,5.")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="The recipe that these runs are of, as far as you know.")
]
ValidationOption = Annotated[
    str | None, typer.Option("--validation", help="What val_acc was taken on: test or held-out images.")
]
BudgetOption = Annotated[
    int | None, typer.Option("--budget", min=1, help="Epochs that were planned; default: the longest file's.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="OURS=THEIRS", help="Which column is which: val_acc=my_column. Repeatable."),
]
RunColumnOption = Annotated[
    str | None, typer.Option("--run-column", help="The column that tells the runs of one file apart.")
]


def bring_in(
    files: FilesArgument,
    name: Annotated[str, typer.Option("--name", help="What the runs are called; those of one name differ in seeds.")],
    out: options.OutOption = Path("runs"),
    seed: Annotated[int | None, typer.Option("--seed", help="The first run's seed; others follow. Default 0.")] = None,
    seeds: SeedsOption = None,
    recipe: RecipeOption = None,
    overrides: options.SetOption = None,
    validation: ValidationOption = None,
    budget: BudgetOption = None,
    target: options.TargetOption = None,
    summary: Annotated[str, typer.Option("--summary", help="What was trained, in your words.")] = "",
    kind: Annotated[str, typer.Option("--format", help="auto, keras-csv, csv or tensorboard.")] = "auto",
    percent: Annotated[bool, typer.Option("--percent", help="Accuracies are in percent.")] = False,
    column: ColumnOption = None,
    run_column: RunColumnOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Bring in runs of other tools: Keras's CSVLogger, TensorBoard events, CSV. They are marked, their cost unknown."""
    from fewepochs.api import importing

    options.check_choice("--format", kind, allowed=FORMATS)
    if validation is not None:
        options.check_choice("--validation", validation, allowed=VALIDATIONS)
    if overrides and recipe is None:
        raise options.usage("--set", "changes a recipe, and none is given", overrides[0], "--recipe RECIPE beside it")
    if seed is not None and seeds is not None:
        raise options.usage("--seeds", "cannot stand beside --seed", seeds, "one of the two")
    said: Any = {"validation": validation, "budget": budget, "targets": options.targets(target), "summary": summary}
    brought = importing.bring_in(
        files,
        said=importing.Said(
            name=name,
            seed=seed,
            seeds=None if seeds is None else tuple(options.numbers("--seeds", seeds)),
            described=None if recipe is None else recipes.load(recipe, overrides=overrides or ()),
            **said,
        ),
        out=out,
        kind=None if kind == "auto" else kind,  # type: ignore[arg-type]
        columns=_columns(column or ()),
        percent=percent,
        run_column=run_column,
    )
    _print(brought, as_json=as_json)


def _columns(given: Sequence[str]) -> dict[str, str]:
    from fewepochs.foreign import files

    found: dict[str, str] = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if not equals or not theirs:
            raise options.usage("--column", "not of the form OURS=THEIRS", text, "for example val_acc=my_column")
        if ours not in files.OURS:
            raise options.usage("--column", "not a column of ours", ours, ", ".join(files.OURS))
        if ours in found:
            raise options.usage("--column", f"{ours} is given twice", text, "one column for each of ours")
        found[ours] = theirs
    return found


def _print(brought: Sequence[Any], *, as_json: bool) -> None:
    """Print a line a run; what a user should know about the reading goes to stderr."""
    from fewepochs.report import imported

    if as_json:
        output.print_json([imported.entry(one.run, already=one.already) for one in brought])
        return
    for one in brought:
        output.out(imported.line(one.run, already=one.already))
        for note in imported.notes(one.run):
            output.say(f"{one.run.name}: {note}")
        if one.kept:
            kept = f"said otherwise then, and kept ({', '.join(one.kept)})"
            output.say(f"{one.run.name}: {kept}; delete the folder to import it anew")
