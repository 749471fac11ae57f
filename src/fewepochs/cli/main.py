"""The command line as a whole: its commands, its exit codes, its last words.

Data goes to stdout, messages to stderr. Exit codes: 0 done; 2 usage or recipe; 3 data; 4 diverged; 5 storage; 6
checkpoint; 7 cells of a study, or packed runs, failed; 10 target missed (with --require-target); 130 and 143
interrupted.
"""

from __future__ import annotations

import functools
import io
import sys
from typing import Annotated, Any

import typer

from fewepochs import errors
from fewepochs.cli import commands, output

EXIT_CODES = """Exit codes: 0 done, 2 usage or recipe, 3 data, 4 diverged, 5 storage, 6 checkpoint unusable,
7 cells of a study or packed runs failed, 10 target missed (with --require-target), 130 interrupted (Ctrl-C),
143 terminated."""

app = typer.Typer(
    help="How many epochs - and seconds, and joules - does a training recipe need to reach a target accuracy?",
    epilog=EXIT_CODES,
    cls=commands.Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@functools.cache
def root() -> Any:
    """Return the command of all commands."""
    group: Any = typer.main.get_command(app)
    group.commands = commands.Commands()
    return group


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
        from importlib import metadata

        output.out(f"fewepochs {metadata.version('fewepochs')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
