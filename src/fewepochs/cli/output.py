"""What commands print: data to stdout, messages to stderr, nothing that could command the terminal."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from fewepochs import errors
from fewepochs import recipe as recipes
from fewepochs.api import results, training
from fewepochs.cli import options
from fewepochs.report import labels

if TYPE_CHECKING:
    from fewepochs.report import study_console
    from fewepochs.study import plan as plans

Form = Literal["text", "json", "event"]


def view(choice: str, *, quiet: bool, verbose: bool) -> Any:
    from fewepochs.report import console

    options.check_progress(choice)
    return console.view("off" if quiet else choice, verbose=verbose)  # type: ignore[arg-type]


def study_view(choice: str, *, quiet: bool) -> study_console.View:
    from fewepochs.report import study_console

    options.check_progress(choice)
    return study_console.view("off" if quiet else choice)  # type: ignore[arg-type]


def form(as_json: bool, progress: str, *, quiet: bool) -> Form:
    """Return how to print what came out: after lines of JSON comes one more of them."""
    if as_json:
        return "json"
    return "event" if progress == "json" and not quiet else "text"


def conclude(
    outcomes: Sequence[training.Outcome], *, require_target: float | None, form: Form, report: Path | None = None
) -> None:
    """Print what came out, then leave with the exit code that it asks for."""
    for outcome in outcomes:
        if outcome.already_done:
            say(f"{outcome.run.name}: already done ({outcome.run.status.state}); its folder is {outcome.run.path}")
    print_summary([outcome.run for outcome in outcomes], targets=(), form=form, report=report)
    stopped = next((outcome for outcome in outcomes if outcome.signal is not None), None)
    if stopped is not None:
        say(f"interrupted; go on with: fewepochs resume {shlex.quote(str(stopped.run.path))}")
        sys.exit(errors.INTERRUPTED_EXIT_CODE if stopped.signal == signal.SIGINT else errors.TERMINATED_EXIT_CODE)
    runs = [outcome.run for outcome in outcomes]
    diverged = [f"{run.name}: diverged ({run.status.reason})" for run in runs if run.status.state == "diverged"]
    if diverged:
        advice = "Checkpoints from before are kept. Lower the learning rate, or use a wider precision."
        raise errors.DivergedError("\n".join([*diverged, advice]))
    if require_target is not None:
        for run in runs:
            training.require_target(run, require_target)


def leave_if_stopped(stopped: signal.Signals | None) -> None:
    """After a signal, say that nothing is lost and leave with its exit code."""
    if stopped is not None:
        say("interrupted; the same command goes on")
        sys.exit(errors.INTERRUPTED_EXIT_CODE if stopped == signal.SIGINT else errors.TERMINATED_EXIT_CODE)


def leave_if_incomplete(stopped: int | None) -> None:
    """After a signal, say that what was measured is not all, and leave with its exit code."""
    if stopped is not None:
        say("interrupted; what was measured so far is incomplete")
        sys.exit(errors.INTERRUPTED_EXIT_CODE if stopped == signal.SIGINT else errors.TERMINATED_EXIT_CODE)


def failures(planned: plans.Plan, failed: Sequence[plans.Standing]) -> str:
    """Return which cells failed, why the first did, and where more stands."""
    names = ", ".join(one.cell.run_name for one in failed[:4]) + (", ..." if len(failed) > 4 else "")
    first = failed[0].why.reason if failed[0].why is not None else "no reason given"
    return (
        f"{planned.study.name}: {len(failed)} of {len(planned.standings)} cells failed ({names}).\n"
        f"The first: {first}\nTheir words are in {planned.path / 'logs'}; the same command tries them again."
    )


def print_summary(runs: Sequence[Any], *, targets: Sequence[float], form: Form, report: Path | None = None) -> None:
    summary = results.summarise(runs, targets=targets)
    if report is not None:
        summary = {"report": str(report), **summary}
    if form == "json":
        print_json(summary)
        return
    if form == "event":
        out(json.dumps({"event": "summary", **summary}))
        return
    from fewepochs.report import console

    for line in console.summary_lines(summary):
        out(line)
    if report is not None:
        out(f"\nreport: {report}")


def print_config(recipe: recipes.Recipe, *, as_json: bool) -> None:
    if as_json:
        print_json({"digest": recipes.digest(recipe), **recipe.model_dump(mode="json", exclude_none=True)})
    else:
        out(f"# digest {recipes.digest(recipe)}\n{recipes.to_toml(recipe).rstrip()}")


def print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        out(f"{name:<24}{f'{value:,}' if isinstance(value, int) else value}")


def print_json(value: object) -> None:
    out(json.dumps(value, indent=2))


def out(text: str) -> None:
    write(text, sys.stdout)


def say(text: str) -> None:
    write(text, sys.stderr)


def write(text: str, stream: TextIO) -> None:
    """Print what may hold names from outside: as text, never as commands to the terminal."""
    with suppress(BrokenPipeError):  # the reader has gone, the work goes on
        print(labels.shown(text), file=stream, flush=True)


def flush() -> None:
    """Leave nothing to be flushed at exit that nobody reads, so that the exit code stays ours."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
