"""How commands print tables: as text, Markdown, CSV or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fewepochs.cli import options, output

if TYPE_CHECKING:
    from fewepochs.report import table_text

Form = Literal["text", "markdown", "csv", "json"]

CsvOption = Annotated[bool, typer.Option("--csv", help="Print the numbers as CSV.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")]


def form(*, as_csv: bool, as_markdown: bool, as_json: bool) -> Form:
    """Return the one form that was asked for."""
    asked: dict[Form, bool] = {"csv": as_csv, "markdown": as_markdown, "json": as_json}
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise options.usage(f"--{chosen[0]}", "cannot stand beside another form", f"--{chosen[1]}", "one of them")
    return chosen[0] if chosen else "text"


def print_page(page: table_text.Page, *, form: Form) -> None:
    """Print the tables; notes go to stderr where stdout is CSV."""
    from fewepochs.report import table_text

    if form == "json":
        output.print_json(page.as_dict())
        return
    for line in table_text.lines(page, form=form):
        output.out(line)
    if form == "csv":
        for note in page.notes:
            output.say(f"note: {note}")
