"""The folder of a study: its cells' run folders, and what was decided before they were trained.

    runs/<study>/
      <recipe-name>-s<seed>-<digest8>/    a run folder, one a cell (see `store`)
      study.json                          the rules, and each state of the grid with how much was done by then
      failures/<run>.json                 why a cell could not be trained; gone when it was
      logs/<run>.log                      what the cell's process had to say

The rules are fixed when the first cell begins. Arms and seeds may come and go: `study.json` remembers when, because
seeds that are added, or left out, after a look at the results are one more look.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field, Strict, ValidationError

from fewepochs import disk
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError, StorageError
from fewepochs.records import Count, Record
from fewepochs.specs import base
from fewepochs.study import files, grid

FILE, FAILURES, LOGS, LOCK = "study.json", "failures", "logs", "study.lock"


class State(Record):
    """The grid as it was carried out from some moment on; `done` cells of the one before were finished by then."""

    seeds: Annotated[tuple[base.Seed, ...], Strict(False)]
    arms: Mapping[str, str]
    done: Count


class Book(Record):
    """What `study.json` says; `threads` are those of each cell, the same for all: they change how sums are rounded."""

    format: Annotated[int, Field(ge=1, le=1)] = 1
    name: str
    question: str
    threads: Annotated[int, Field(ge=1)] | None
    rules: files.Rules
    history: Annotated[tuple[State, ...], Strict(False)]

    def looks(self) -> int:
        """Return how often the results were looked at: as planned, or more if seeds came or went after results."""
        steps = itertools.pairwise(self.history)
        later = sum(after.done > 0 and set(after.seeds) != set(before.seeds) for before, after in steps)
        return max(self.rules.looks, 1 + later)

    def now(self, study: grid.Study, *, done: int) -> Book:
        """Return the book with the grid of `study` as its last state, of which `done` cells are finished."""
        state, last = _state(study, done=done), self.history[-1]
        if (last.seeds, last.arms) == (state.seeds, state.arms):
            return self
        return self.model_copy(update={"history": (*self.history, state)})


class Failure(Record):
    """Why a cell could not be trained: the exit code (negative: a signal) of its last attempt, and its last words.

    `problem` is that of its recipe, if it was that.
    """

    exit_code: int
    attempts: Annotated[int, Field(ge=1)]
    reason: str
    problem: str | None = None


# --- study.json -----------------------------------------------------------------------------------------------------


def read(path: Path) -> Book | None:
    """Return what the study in the folder `path` was begun with, None where none was. Raises StorageError."""
    try:
        return Book.model_validate_json((path / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StorageError(f"{path / FILE}: damaged or not readable: {error}") from None


def begin(path: Path, study: grid.Study, *, threads: int | None, done: int) -> Book:
    """Write down the rules of `study` before its first cell begins, or how its grid has changed since; return all.

    `threads` counts for a new study; one that was begun keeps its own. `done` cells are finished. Raises RecipeError if
    the rules are not those that the study was begun with.
    """
    with _locked(path):
        known = read(path)
        if known is None:
            history = (_state(study, done=done),)
            book = Book(name=study.name, question=study.question, threads=threads, rules=study.rules, history=history)
        else:
            require_rules(known, study, path=path)
            book = known.now(study, done=done)
            if book is known:
                return known
        disk.write_whole(path / FILE, (book.model_dump_json(indent=2) + "\n").encode())
        return book


def require_rules(book: Book, study: grid.Study, *, path: Path) -> None:
    """Raise RecipeError if `study` has other rules than it was begun with: they are fixed before there are results."""
    before, after = book.rules.model_dump(mode="json"), study.rules.model_dump(mode="json")
    found = tuple(
        Problem(name, f"was {json.dumps(before[name])} when the study began", json.dumps(after[name]))
        for name in before
        if before[name] != after[name]
    )
    if found:
        rest = Problem("(file)", f"rules are fixed before the first cell: put them back, or rename the study ({path})")
        raise RecipeError(study.name, (*found, rest))


def _state(study: grid.Study, *, done: int) -> State:
    arms = {name: recipes.digest(recipe.model_copy(update={"seed": 0})) for name, recipe in study.arms.items()}
    return State(seeds=study.seeds, arms=arms, done=done)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the study's own file while it is looked at and replaced: several processes may begin at once."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --- failures -------------------------------------------------------------------------------------------------------


def failure(path: Path, run_name: str) -> Failure | None:
    """Return why the cell could not be trained, None where nothing is said (or cannot be read)."""
    try:
        return Failure.model_validate_json((path / FAILURES / f"{run_name}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def note_failure(path: Path, run_name: str, why: Failure | None) -> None:
    """Write down why a cell could not be trained; None takes an older note away. Raises StorageError."""
    file = path / FAILURES / f"{run_name}.json"
    if why is None:
        with suppress(OSError):
            file.unlink()
        return
    disk.make_folder(file.parent)
    disk.write_whole(file, (why.model_dump_json(indent=2) + "\n").encode())


def logs(path: Path) -> Path:
    """Return the folder for what the cells' processes have to say; it is made. Raises StorageError."""
    disk.make_folder(path / LOGS)
    return path / LOGS
