"""A search file: a base, a space of recipes around it, how many trials, and how halving chooses among them.

    name = "digits-rates"
    question = "Which rate and which decay, for 18 epochs?"
    base = "digits-linear"
    trials = 18
    seed = 0                               # of the search: what is proposed
    seeds = [0]                            # of each trial's training; with several, scores are means
    sampler = "random"                     # or "tpe": later batches learn from earlier ones
    batch = 9                              # so many trials are proposed, and halved, at a time; without it, all

    [set]                                  # what all trials change of their base
    budget.epochs = 18

    [space]
    optimizer.lr = { low = 1e-3, high = 1e-1, log = true }
    batch_size = [16, 32, 64]              # a choice; whole parts may be chosen, too

    [halving]
    first = 2                              # epochs before the first comparison
    reduction = 3                          # a third goes on

A range of two whole numbers gives whole numbers. All problems of a file are told at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, ValidationError, model_validator

from fewepochs import problems
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base as specs
from fewepochs.study import files

MOST_TRIALS = 10_000


class Halving(specs.Spec):
    """Trials are compared after `first` epochs, then after `reduction` times as many, ...; 1 in `reduction` goes on."""

    first: specs.PositiveInt
    reduction: Annotated[int, Field(ge=2, le=1000)] = 3


class SearchFile(specs.Spec):
    """A search as its file says it."""

    name: files.Name
    question: Annotated[str, Field(max_length=500)] = ""
    base: Annotated[str, Field(max_length=4096)]
    trials: Annotated[int, Field(ge=2, le=MOST_TRIALS)]
    seed: specs.Seed = 0
    seeds: Annotated[tuple[specs.Seed, ...], Strict(False), Field(min_length=1, max_length=100)] = (0,)
    sampler: Literal["random", "tpe"] = "random"
    batch: Annotated[int, Field(ge=2, le=MOST_TRIALS)] | None = None
    set: Mapping[str, Any] = Field(default_factory=dict)
    space: Annotated[Mapping[str, Any], Field(min_length=1)]
    halving: Halving

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(frozenset(self.seeds)) < len(self.seeds):
            raise ValueError("a seed stands twice: it would be the same run")
        return self

    def batches(self) -> Iterator[range]:
        """Yield the numbers of the trials that are proposed together."""
        size = self.batch or self.trials
        for begin in range(0, self.trials, size):
            yield range(begin, min(begin + size, self.trials))


@dataclass(frozen=True)
class Range:
    """A field between two numbers, both included; whole numbers if `whole`, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool
    whole: bool


@dataclass(frozen=True)
class Choice:
    """A field that is one of some values."""

    values: tuple[Any, ...]


Dimension = Range | Choice


def load(path: Path) -> SearchFile:
    """Return the search in the file `path`. Raises RecipeError with every problem of its form."""
    source = str(path)
    try:
        table = recipes.read_toml(recipes.read_file(source))
    except ValueError as error:
        raise RecipeError(source, (Problem("(file)", f"not TOML: {error}"),)) from None
    try:
        file = SearchFile.model_validate(table)
    except ValidationError as error:
        raise RecipeError(source, tuple(problems.explain(error, table, schema=_schema()))) from None
    space(file, source=source)
    return file


@functools.cache
def _schema() -> dict[str, Any]:
    return SearchFile.model_json_schema()


def space(file: SearchFile, *, source: str) -> dict[str, Dimension]:
    """Return the dimensions of the space by dotted field, in the order of the file. Raises RecipeError."""
    found: dict[str, Dimension] = {}
    wrong: list[Problem] = []
    for name, value in _leaves(file.space):
        dimension = _dimension(value)
        if dimension is None:
            allowed = "{ low = 1e-4, high = 1e-1, log = true }, or a list of two values or more"
            wrong.append(Problem(f"space.{name}", "neither a range nor a choice", problems.shown(value), allowed))
        else:
            found[name] = dimension
    if wrong:
        raise RecipeError(source, tuple(wrong))
    return found


def _leaves(table: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and value and not {"low", "high"} & value.keys():
            yield from _leaves(value, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _dimension(value: Any) -> Dimension | None:
    if isinstance(value, list):
        return Choice(tuple(value)) if len(value) >= 2 else None
    if not isinstance(value, Mapping) or not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        return None
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not isinstance(log, bool) or not all(map(math.isfinite, (low, high))):
        return None
    if not low < high or (log and low <= 0):
        return None
    return Range(low, high, log, whole=isinstance(low, int) and isinstance(high, int))
