"""How commands that train or measure end: what came out, and the exit code that it asks for."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fewepochs import errors
from fewepochs.api import results, training
from fewepochs.cli import output

if TYPE_CHECKING:
    from fewepochs.study import plan as plans


def conclude(
    outcomes: Sequence[training.Outcome], *, require_target: float | None, form: output.Form, report: Path | None = None
) -> None:
    """Print what came out, then leave with the exit code that it asks for."""
    for outcome in outcomes:
        run = outcome.run
        if outcome.already_done:
            output.say(f"{run.name}: already done ({run.status.state}); its folder is {run.path}")
    print_summary([outcome.run for outcome in outcomes], targets=(), form=form, report=report)
    stopped = next((outcome for outcome in outcomes if outcome.signal is not None), None)
    if stopped is not None:
        _leave(stopped.signal, f"interrupted; go on with: fewepochs resume {shlex.quote(str(stopped.run.path))}")
    runs = [outcome.run for outcome in outcomes]
    diverged = [f"{run.name}: diverged ({run.status.reason})" for run in runs if run.status.state == "diverged"]
    if diverged:
        advice = "Checkpoints from before are kept. Lower the learning rate, or use a wider precision."
        raise errors.DivergedError("\n".join([*diverged, advice]))
    if require_target is not None:
        for run in runs:
            training.require_target(run, require_target)


def print_summary(
    runs: Sequence[Any], *, targets: Sequence[float], form: output.Form, report: Path | None = None
) -> None:
    """Print crossings, best accuracy and cost of `runs`, and where their `report` is."""
    summary = results.summarise(runs, targets=targets)
    if report is not None:
        summary = {"report": str(report), **summary}
    if form == "json":
        output.print_json(summary)
        return
    if form == "event":
        output.out(json.dumps({"event": "summary", **summary}))
        return
    from fewepochs.report import console

    for line in console.summary_lines(summary):
        output.out(line)
    if report is not None:
        output.out(f"\nreport: {report}")


def failures(planned: plans.Plan, failed: Sequence[plans.Standing]) -> str:
    """Return which cells failed, why the first did, and where more stands."""
    names = ", ".join(one.cell.run_name for one in failed[:4]) + (", ..." if len(failed) > 4 else "")
    first = failed[0].why.reason if failed[0].why is not None else "no reason given"
    return (
        f"{planned.study.name}: {len(failed)} of {len(planned.standings)} cells failed ({names}).\n"
        f"The first: {first}\nTheir words are in {planned.logs}; the same command tries them again."
    )


def leave_if_stopped(stopped: signal.Signals | None) -> None:
    """After a signal, say that nothing is lost and leave with its exit code."""
    if stopped is not None:
        _leave(stopped, "interrupted; the same command goes on")


def leave_if_incomplete(stopped: int | None) -> None:
    """After a signal, say that what was measured is not all, and leave with its exit code."""
    if stopped is not None:
        _leave(stopped, "interrupted; what was measured so far is incomplete")


def _leave(stopped: int | None, told: str) -> NoReturn:
    output.say(told)
    sys.exit(errors.INTERRUPTED_EXIT_CODE if stopped == signal.SIGINT else errors.TERMINATED_EXIT_CODE)
