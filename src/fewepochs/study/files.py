"""A study file: a question, a grid, the rules of evidence.

    name = "three-schedules"
    question = "Which schedule brings a small ResNet to 0.97 in the fewest epochs?"
    base = "digits-step"                    # a shipped recipe, or a recipe file beside this one
    seeds = "0..4"                          # or [0, 1, 2]; each arm trains with each of them
    targets = [0.95, 0.97]

    [set]                                   # what all arms change of their base
    budget.epochs = 12

    [axes]                                  # every combination is an arm
    batch_size = [32, 64]
    optimizer.lr = [1e-3, 1e-2]
    schedule = [{ kind = "constant" }, { kind = "cosine" }]

    [arms.small-batch]                      # arms with a name of their own
    batch_size = 16
    [arms.other]
    recipe = "digits-linear"                # another base

    [stop]
    target = 0.97

A table with a `kind` is a whole part and takes the place of the base's; one without changes single fields of it. With
both arms and axes, each arm is crossed with the axes; an arm counts before [set].
All problems of a study are reported at once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, ValidationError, model_validator

from fewepochs import problems
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base as specs
from fewepochs.stats import stopping

MOST_CELLS = 100_000
_SPAN = re.compile(r"(\d{1,18})\.\.(\d{1,18})")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
Targets = Annotated[tuple[recipes.Target, ...], Strict(False), Field(min_length=1, max_length=64)]


class Rules(specs.Spec):
    """What counts as an answer; fixed when the first cell begins.

    `rule`, `by` and `horizon` are those of `stats.compare.compare`; `looks` is how often the growing study will be
    looked at in all. `stop` ends single runs early. Without `targets` and `hold` the recipes' own count.
    """

    targets: Targets | None = None
    hold: specs.PositiveInt | None = None
    rule: Literal["first", "held"] = "first"
    by: Literal["epochs", "seconds", "joules"] = "epochs"
    horizon: specs.Positive | None = None
    looks: Annotated[int, Field(ge=1, le=1000)] = 1
    stop: stopping.Stop = stopping.NEVER


class StudyFile(Rules):
    """A study as its file says it; `grid.cells` makes recipes of it."""

    name: Name
    question: Annotated[str, Field(max_length=500)] = ""
    base: Annotated[str, Field(max_length=4096)]
    seeds: Annotated[tuple[specs.Seed, ...], Strict(False), Field(min_length=1, max_length=10_000)] | str
    set: Mapping[str, Any] = Field(default_factory=dict)
    axes: Mapping[str, Any] = Field(default_factory=dict)
    arms: Mapping[Name, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _seeds_are_some(self) -> Self:
        self.each_seed()
        return self

    def each_seed(self) -> tuple[int, ...]:
        """Return the seeds in order, each once."""
        if not isinstance(self.seeds, str):
            if len(set(self.seeds)) < len(self.seeds):
                raise ValueError("a seed stands twice: it would be the same run")
            return self.seeds
        span = _SPAN.fullmatch(self.seeds)
        if span is None or not int(span[1]) <= int(span[2]) < int(span[1]) + 10_000:
            raise ValueError(f"seeds = {problems.shown(self.seeds)} is not a set of seeds: '0..4', or [0, 1, 2]")
        return tuple(range(int(span[1]), int(span[2]) + 1))

    def rules(self) -> Rules:
        """Return the rules alone."""
        return Rules.model_validate({name: getattr(self, name) for name in Rules.model_fields})


def load(path: Path) -> StudyFile:
    """Return the study in the file `path`. Raises RecipeError with every problem of its form."""
    return parse(recipes.read_file(str(path)), source=str(path))


def parse(text: str, *, source: str) -> StudyFile:
    """Return the study in the TOML `text`; `source` is its name in messages. Raises RecipeError."""
    try:
        table = recipes.read_toml(text)
    except ValueError as error:
        raise RecipeError(source, (Problem("(file)", f"not TOML: {error}"),)) from None
    try:
        return StudyFile.model_validate(table)
    except ValidationError as error:
        found = problems.explain(error, table, schema=_schema())
        raise RecipeError(source, tuple(found)) from None


@functools.cache
def _schema() -> dict[str, Any]:
    return StudyFile.model_json_schema()


def lay_over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` with `changes`: a table with a kind is a whole part, one without changes fields of the part.

    >>> lay_over({"optimizer": {"kind": "adam", "lr": 1.0}}, {"optimizer": {"lr": 2.0}})
    {'optimizer': {'kind': 'adam', 'lr': 2.0}}
    >>> lay_over({"optimizer": {"kind": "adam", "lr": 1.0}}, {"optimizer": {"kind": "sgd"}})
    {'optimizer': {'kind': 'sgd'}}
    """
    result = dict(table)
    for name, value in changes.items():
        before = result.get(name)
        if isinstance(value, Mapping) and "kind" not in value and isinstance(before, Mapping):
            result[name] = lay_over(before, value)
        else:
            result[name] = value
    return result
