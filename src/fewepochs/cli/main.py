"""The command line as a whole: its commands, its exit codes, its last words.

Data goes to stdout, messages to stderr. Exit codes: 0 done; 2 usage or recipe; 3 data; 4 diverged; 5 storage; 6
checkpoint; 7 cells of a study, or packed runs, failed; 10 target missed (with --require-target); 130 and 143
interrupted.
"""

from __future__ import annotations

import functools
import io
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from fewepochs import errors
from fewepochs.cli import (
    budgeting,
    comparing,
    costing,
    drawing,
    importing,
    landscaping,
    looking,
    measuring,
    noise,
    output,
    planning,
    probing,
    replicating,
    searching,
    showing,
    studying,
    tabulating,
    tracking,
    training,
)

EXIT_CODES = """Exit codes: 0 done, 2 usage or recipe, 3 data, 4 diverged, 5 storage, 6 checkpoint unusable,
7 cells of a study or packed runs failed, 10 target missed (with --require-target), 130 interrupted (Ctrl-C),
143 terminated."""

app = typer.Typer(
    help="How many epochs - and seconds, and joules - does a training recipe need to reach a target accuracy?",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich costs half the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (training.train, training.resume, training.demo, showing.report, showing.show, comparing.compare):
    app.command()(command)
app.command()(drawing.figure)
app.command()(planning.schedule)
app.command()(planning.decay)
app.command()(costing.cost)
app.command()(probing.lr_range)
app.command()(measuring.bn_split)
app.command()(measuring.gradient_noise)
app.command()(landscaping.landscape)
app.command()(landscaping.sharpness)
app.command()(replicating.replicate)
app.command()(tabulating.table)
app.command()(noise.noise)
app.command()(budgeting.budget)
app.command("import")(importing.bring_in)
app.command()(tracking.track)
app.add_typer(studying.study_app, name="study")
app.add_typer(searching.search_app, name="search")
app.add_typer(looking.recipes_app, name="recipes")
app.add_typer(looking.data_app, name="data")


@functools.cache
def root() -> Any:
    """Return the command of all commands. Typer builds it from their functions in a tenth of a second."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; a user's mistake ends in one message and the documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal does not have is spelt out
            stream.reconfigure(errors="backslashreplace")
    try:
        root()()
    except errors.FewEpochsError as error:
        output.say(f"fewepochs: {error}")
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # `--help | head -1`: typer would leave with 1
            sys.exit(0)
        raise
    except BrokenPipeError:  # what is wrong with the usage, told to nobody
        sys.exit(errors.RecipeError.exit_code)
    finally:
        output.flush()


def _version(wanted: bool) -> None:
    if wanted:
        output.out(f"fewepochs {metadata.version('fewepochs')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
