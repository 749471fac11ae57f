"""What commands print: data to stdout, messages to stderr, nothing that could command the terminal."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TextIO

from fewepochs import errors
from fewepochs.cli import options
from fewepochs.report import visible

if TYPE_CHECKING:
    from fewepochs.report import study_console

Form = Literal["text", "json", "event"]


def view(choice: str, *, quiet: bool, verbose: bool) -> Any:
    """Return what shows a run while it trains."""
    from fewepochs.report import console

    options.check_progress(choice)
    return console.view("off" if quiet else choice, verbose=verbose)  # type: ignore[arg-type]


def study_view(choice: str, *, quiet: bool) -> study_console.View:
    """Return what shows several runs while they train."""
    from fewepochs.report import study_console

    options.check_progress(choice)
    return study_console.view("off" if quiet else choice)  # type: ignore[arg-type]


def form(as_json: bool, progress: str, *, quiet: bool) -> Form:
    """Return how to print what came out: after lines of JSON comes one more of them."""
    if as_json:
        return "json"
    return "event" if progress == "json" and not quiet else "text"


def print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print names and values, a line each or as JSON."""
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        out(f"{name:<24}{f'{value:,}' if isinstance(value, int) else value}")


def print_json(value: object) -> None:
    """Print JSON, indented by two."""
    out(json.dumps(value, indent=2))


def out(text: str) -> None:
    """Print data. Raises StorageError where it cannot be written; a reader that has gone is no reason to stop."""
    try:
        _write(text, sys.stdout)
    except BrokenPipeError:
        pass
    except OSError as error:
        raise errors.StorageError(f"standard output: cannot be written: {error.strerror or error}") from None


def say(text: str) -> None:
    """Print a message. Where it cannot be written there is nobody to tell."""
    with suppress(OSError, ValueError):
        _write(text, sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    """Print what may hold names from outside: as text, never as commands to the terminal."""
    print(visible.shown(text), file=stream, flush=True)


def flush() -> None:
    """Leave nothing to be flushed at exit that nobody reads, so that the exit code stays ours."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
