"""From a study file to its cells: arms, axes and seeds multiplied out into recipes.

Arm k with seed s trains the same recipe wherever and whenever it runs, and two arms with one seed share initial
weights, order and augmentation: a pair (see `seeds`). An arm's name is the name of its recipe, so that a run folder
says whose it is.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewepochs import problems, store
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.study import files

MOST_NAME = 80


@dataclass(frozen=True)
class Cell:
    """One run of a study: the arm's recipe with one seed."""

    arm: str
    seed: int
    recipe: recipes.Recipe

    @functools.cached_property
    def run_name(self) -> str:
        """The name of its run folder."""
        return store.run_name(self.recipe)


@dataclass(frozen=True)
class Study:
    """A study with its cells, arm by arm and seed by seed, in the order of the file."""

    name: str
    question: str
    rules: files.Rules
    arms: Mapping[str, recipes.Recipe]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]


def load(path: Path) -> Study:
    """Return the study in the file `path`, whole and checked. Raises RecipeError with the problems of all its arms."""
    return build(files.load(path), source=str(path), folder=path.parent)


def build(file: files.StudyFile, *, source: str, folder: Path) -> Study:
    """Return `file`'s study; recipe files are looked for in `folder`. Raises RecipeError."""
    seeds = file.each_seed()
    variants = list(_variants(file, source=source))
    if len(variants) * len(seeds) > files.MOST_CELLS:
        allowed = f"at most {files.MOST_CELLS:,}"
        problem = Problem("axes", "too many cells", f"{len(variants) * len(seeds):,}", allowed)
        raise RecipeError(source, (problem,))
    bases = Bases(folder)
    arms: dict[str, recipes.Recipe] = {}
    found: list[Problem] = []
    for name, changes in variants:
        try:
            arms[name] = _recipe(name, changes, file=file, bases=bases)
        except RecipeError as error:
            found += [replace(problem, field=f"{name}: {problem.field}") for problem in error.problems]
    cells = [] if found else [Cell(arm, seed, _seeded(arms[arm], seed)) for arm in arms for seed in seeds]
    if found or (found := list(_twice(cells))):
        raise RecipeError(source, tuple(found[: problems.MAX_PROBLEMS]))
    return Study(file.name, file.question, file.rules(), arms, seeds, tuple(cells))


def _seeded(recipe: recipes.Recipe, seed: int) -> recipes.Recipe:
    return recipe.model_copy(update={"seed": seed})


def _twice(cells: Sequence[Cell]) -> Iterator[Problem]:
    """Yield what stands twice: two cells that would be one run."""
    met: dict[str, Cell] = {}
    for cell in cells:
        other = met.setdefault(recipes.digest(cell.recipe), cell)
        if other is cell:
            continue
        if other.arm == cell.arm:
            yield Problem(cell.arm, "its seeds change nothing: the recipe's own [seeds] fix every stream")
            return
        yield Problem(f"arms {other.arm} and {cell.arm}", f"are the same recipe (seed {cell.seed})")


# --- arms -----------------------------------------------------------------------------------------------------------


class Bases:
    """Recipe files and shipped recipes as tables, each read once."""

    def __init__(self, folder: Path) -> None:
        """Look for recipe files in `folder`."""
        self._folder = folder
        self._tables: dict[str, dict[str, Any]] = {}

    def table(self, name: str) -> dict[str, Any]:
        """Return the recipe `name` as a table. Raises RecipeError."""
        if name not in self._tables:
            shipped = name in recipes.shipped_names()
            source = name if shipped else str(self._folder / name)
            # Problems of the base itself are told once, with its own name.
            self._tables[name] = recipes.load(source).model_dump(mode="json", exclude_none=True)
        return self._tables[name]


def _recipe(name: str, changes: Mapping[str, Any], *, file: files.StudyFile, bases: Bases) -> recipes.Recipe:
    changes = dict(changes)
    start = changes.pop("recipe", file.base)
    if not isinstance(start, str):
        raise RecipeError(name, (Problem("recipe", "not a recipe's name or file", problems.shown(start)),))
    table = files.lay_over(files.lay_over(bases.table(start), file.set), changes)
    table["name"] = name
    if file.targets is not None:
        table["targets"] = list(file.targets)
    if file.hold is not None:
        table["hold"] = file.hold
    return recipes.from_json(table, source=name)


def _variants(file: files.StudyFile, *, source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each arm's name and changes: the named arms, each crossed with the axes."""
    found = list(_axes(file.axes))
    wrong = tuple(one for _, one in found if isinstance(one, Problem))
    if wrong:
        raise RecipeError(source, wrong)
    axes = [(path, values) for path, values in found if isinstance(values, list)]
    named: Mapping[str, Mapping[str, Any]] = file.arms or {"": {}}
    met: set[str] = set()
    for arm, changes in named.items():
        for point in itertools.product(*(values for _, values in axes)):
            parts = [arm] if arm else []
            table: dict[str, Any] = dict(changes)
            for (path, values), value in zip(axes, point, strict=True):
                parts.append(_word(path, value, values))
                table = files.lay_over(table, nested(path, value))
            name = _free("-".join(parts) or file.name, met)
            met.add(name)
            yield name, table


def _axes(
    table: Mapping[str, Any], *, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[Any] | Problem]]:
    """Yield each axis: where in the recipe, and its values, or what is wrong with them."""
    for name, value in table.items():
        here = (*path, *name.split("."))
        if isinstance(value, Mapping):
            yield from _axes(value, path=here)
        elif isinstance(value, list) and value:
            yield here, value
        else:
            field = ".".join(("axes", *here))
            yield here, Problem(field, "not a list of values", problems.shown(value), "[32, 64, 128]")


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return `value` as the tables that the path names.

    >>> nested(("optimizer", "lr"), 0.1)
    {'optimizer': {'lr': 0.1}}
    """
    for part in reversed(path):
        value = {part: value}
    assert isinstance(value, dict), "a path has a part"
    return value


def _word(path: Sequence[str], value: Any, values: Sequence[Any]) -> str:
    """Return what an arm's name says of a value: `lr-0.001`, `schedule-cosine`; parts of one kind are numbered."""
    told = value
    if isinstance(value, Mapping):
        told = value.get("kind", "") or values.index(value) + 1
        if [other.get("kind") for other in values if isinstance(other, Mapping)].count(value.get("kind")) > 1:
            told = f"{told}-{values.index(value) + 1}"
    return f"{path[-1]}-{told}"


def _free(wanted: str, met: set[str]) -> str:
    """Return `wanted` as a recipe's name that is not taken yet."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", wanted.lower()).strip("-._")[: MOST_NAME - 6] or "arm"
    numbered = (f"{slug}-{k}" for k in itertools.count(2))
    return next(name for name in itertools.chain((slug,), numbered) if name not in met)
