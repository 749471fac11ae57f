"""Which runs belong to an experiment: those whose recipe is its recipe, seeds apart.

A run that differs in a few fields is near: it is not used, and it is said in what it differs. What another tool trained
is not used either: that it is the recipe is only said. All others are others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs

NEAR = 4
"""A run that differs in at most so many fields is near enough to be named."""


@dataclass(frozen=True)
class Near:
    """A run that is not of the experiment, and in what it differs, a line a field."""

    run: store.StoredRun
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Matched:
    """Runs sorted by an experiment: `runs` are of it, by rising seeds, each once; `copies` say no more than these."""

    runs: tuple[store.StoredRun, ...]
    copies: tuple[store.StoredRun, ...]
    near: tuple[Near, ...]
    others: int
    foreign: int = 0


def match(wanted: recipes.Recipe, runs: Sequence[store.StoredRun]) -> Matched:
    """Return `runs` sorted by whether they are of the experiment `wanted`, whatever its seeds."""
    own: dict[tuple[int, ...], list[store.StoredRun]] = {}
    near, others, foreign = [], 0, 0
    for run in runs:
        if isinstance(run.recipe, foreign_runs.Foreign):
            foreign += 1
            continue
        told = apart(wanted, run.recipe)
        if told and len(told) > NEAR:
            others += 1
        elif told:
            near.append(Near(run, told))
        else:
            own.setdefault(foreign_runs.seeds(run.recipe), []).append(run)
    alike = [sorted(copies, key=store.copy_order) for _, copies in sorted(own.items())]
    copies = tuple(run for _, *rest in alike for run in rest)
    return Matched(tuple(first for first, *_ in alike), copies, tuple(near), others, foreign)


def apart(wanted: recipes.Recipe, other: recipes.Recipe) -> tuple[str, ...]:
    """Return in what `other` differs from `wanted`, seeds and labels aside."""
    return tuple(line for line in recipes.differences(wanted, other) if not line.startswith("seeds."))
