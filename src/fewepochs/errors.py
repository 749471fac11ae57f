"""Every error that fewepochs raises on purpose, drawn as a tree.

    FewEpochsError                 exit code
    ├── RecipeError                2   a recipe, an override or a command-line value
    ├── DataError                  3   a data set: missing, damaged, or not what it claims to be
    ├── DivergedError              4   a loss or gradient that is no longer finite
    ├── StorageError               5   a run folder or another place that cannot be read or written
    ├── CheckpointError            6   a checkpoint or log that is damaged or belongs to something else
    ├── StudyError                 7   cells of a study that could not be trained; the others were
    └── TargetMissedError          10  --require-target was asked for and the target was not reached

A message says what happened, where, and what to do about it. The command line prints the message alone;
an exception outside this tree is a defect of fewepochs and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

INTERRUPTED_EXIT_CODE = 130
"""SIGINT: 128 + 2, as shells count."""
TERMINATED_EXIT_CODE = 143
"""SIGTERM and SIGHUP: 128 + 15."""


class FewEpochsError(Exception):
    """The root: an error whose message a user can act on."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe.

    `field` is a dotted path (`optimizer.lr`), `value` what stood there, `allowed` what may stand there,
    `suggestion` the nearest allowed word, if one is near.
    """

    field: str
    message: str
    value: str | None = None
    allowed: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        line = f"{self.field}: {self.message}"
        if self.value is not None:
            line += f" (got {self.value})"
        if self.allowed is not None:
            line += f"; allowed: {self.allowed}"
        if self.suggestion is not None:
            line += f" - did you mean '{self.suggestion}'?"
        return line


class RecipeError(FewEpochsError):
    """A recipe or an override that cannot be used; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in problems)]))


class DataError(FewEpochsError):
    """A data set that is missing, damaged, or not what it claims to be."""

    exit_code = 3


class DivergedError(FewEpochsError):
    """Training produced a loss or a gradient that is not finite; the weights before it are kept."""

    exit_code = 4


class StorageError(FewEpochsError):
    """A run folder, or the place of a tracker, that cannot be created, read or written."""

    exit_code = 5


class CheckpointError(FewEpochsError):
    """A checkpoint or log that is damaged, of another format, or of another recipe."""

    exit_code = 6


class StudyError(FewEpochsError):
    """Cells of a study could not be trained; those that could are done."""

    exit_code = 7


class TargetMissedError(FewEpochsError):
    """The run ended before the target that `--require-target` asked for."""

    exit_code = 10


KINDS = (RecipeError, DataError, DivergedError, StorageError, CheckpointError, StudyError, TargetMissedError)
"""Every kind, as they are drawn: each has its exit code."""
