"""One cell, trained by a process that does nothing else: what it is told, and how it ends.

A job is a line of JSON. An ending is an exit code, as the command line has them, and the message that goes with it. A
run that diverged or was stopped by its rule has ended well: its folder says how.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.errors import INTERRUPTED_EXIT_CODE, TERMINATED_EXIT_CODE, FewEpochsError, RecipeError
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.stats import stopping

if TYPE_CHECKING:
    from fewepochs.train import running

CRASHED = 1
"""The exit code of an error that nobody expected; its traceback is in the log."""


class Job(BaseModel):
    """A cell's recipe, the folder of its run, what is said of the machine, and the rule that may end it early.

    With `until` the run is left after so many epochs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: recipes.Recipe
    path: Path
    runtime: runtimes.Runtime
    stop: stopping.Stop = stopping.NEVER
    until: int | None = None


class Ending(BaseModel):
    """How a cell's process ended: `exit_code` negative where a signal killed it; `message` empty if all is well.

    `problem` is what is wrong with the recipe, where that showed here: with the data, or with what is installed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exit_code: int
    message: str = ""
    problem: str | None = None


class Quiet:
    """A view that shows nothing but what a user should know; that goes to the log."""

    def start(self, recipe: recipes.Recipe, *, name: str, done: Sequence[EpochRecord], progress: Any) -> None:
        """A run begins."""

    def epoch(self, record: EpochRecord, cost: CostRecord) -> None:
        """An epoch has ended."""

    def note(self, text: str) -> None:
        """Write it down."""
        print(text, file=sys.stderr, flush=True)


def train(job: Job, *, view: running.View) -> Ending:
    """Train a cell in this process, from where it stopped, and tell `view`."""
    from fewepochs.train import running  # torch: not for those who only plan

    try:
        ended = running.train(job.path, job.recipe, runtime=job.runtime, view=view, stop=job.stop, until=job.until)
    except RecipeError as error:
        of_recipe = [problem for problem in error.problems if not problem.field.startswith("--")]  # and no option
        problem = str(of_recipe[0]) if of_recipe else None
        return Ending(exit_code=error.exit_code, message=str(error), problem=problem)
    except FewEpochsError as error:
        return Ending(exit_code=error.exit_code, message=str(error))
    if ended.signal is not None:
        code = INTERRUPTED_EXIT_CODE if ended.signal == 2 else TERMINATED_EXIT_CODE
        return Ending(exit_code=code, message="stopped by a signal")
    return Ending(exit_code=0)
