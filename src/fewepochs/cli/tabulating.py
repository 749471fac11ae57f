"""The command that makes tables of a study: table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fewepochs.api import results
from fewepochs.cli import options, output, tables

KINDS = ("transitions", "best", "cost", "attribution")

RunsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")
]


def table(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="transitions, best, cost or attribution.")],
    runs: RunsArgument = None,
    by: Annotated[str, typer.Option("--by", help="The recipe's field that rows go by.")] = "batch_size",
    target: options.TargetOption = None,
    rule: Annotated[
        str | None, typer.Option("--rule", help="first: reached once (the default); held: and kept.")
    ] = None,
    base: Annotated[str | None, typer.Option("--base", help="Attribution: the recipe to begin with.")] = None,
    full: Annotated[str | None, typer.Option("--full", help="Attribution: the recipe to be taken apart.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Attribution: print which runs it takes.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="With --plan: write the variants and a study file into a folder.")
    ] = None,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Tables of a study: epochs to targets, best accuracy or cost by a field of the recipe; what each part bought."""
    options.check_choice("KIND", kind, allowed=KINDS)
    options.check_choice("--rule", rule or "first", allowed=("first", "held"))
    if kind in ("best", "cost"):
        for option, value in (("--target", target and target[0]), ("--rule", rule)):
            if value is not None:
                raise options.usage(option, f"belongs to crossings, not to {kind}", str(value), "none")
    rule = rule or "first"
    targets, form = options.targets(target), tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    given = {"--base": base, "--full": full, "--plan": plan or None, "--to": to}
    if kind != "attribution":
        for option in (name for name, value in given.items() if value is not None):
            raise options.usage(option, f"belongs to attribution, not to {kind}", str(given[option]), "none")
        stored = results.load_runs(_some(runs))
        tables.print_page(results.table(kind, stored, by=by, targets=targets, rule=rule), form=form)  # type: ignore[arg-type]
        return
    if base is None or full is None:
        raise options.usage("attribution", "takes two recipes", f"--base {base} --full {full}", "a recipe for each")
    if to is not None and not plan:
        raise options.usage("--to", "writes what --plan finds", str(to), "--plan --to FOLDER")
    if plan:
        page = results.attribution_plan(base, full, results.load_runs(runs) if runs else (), to=to)
    else:
        page = results.attribution(base, full, results.load_runs(_some(runs)), targets=targets, rule=rule)  # type: ignore[arg-type]
    tables.print_page(page, form=form)
    if to is not None:
        from fewepochs.report import attribution

        output.say(f"written; its cells: fewepochs study plan {shlex.quote(str(to / attribution.STUDY))}")


def _some(runs: list[Path] | None) -> list[Path]:
    if not runs:
        raise options.usage("RUN", "missing", "nothing", "run folders, or folders of run folders")
    return runs
