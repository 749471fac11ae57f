"""What two recipes differ in, as ingredients, and the recipes between them: one ingredient put in, or left out.

An ingredient is a part of the recipe, at its top level, that base and full do not share: the schedule, the batch size,
the optimizer. Parts that cannot be exchanged one by one, because what came out would be no recipe (AdamW without its
weight decay), are one ingredient together.

    with      base, and one ingredient of full        what the ingredient brings by itself
    without   full, and that ingredient of base       what it brings beside the others
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base as specs

OUTSIDE = (*recipes.LABELS, "seed", "seeds")
"""What is no ingredient: what a recipe is called, which questions are asked of it, and its seeds."""

MOST_NAME = 80

Role = Literal["base", "full", "with", "without"]


@dataclass(frozen=True)
class Ingredient:
    """Parts of the recipe that go together, by name."""

    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parts' names: "schedule", "optimizer + weight_decay"."""
        return " + ".join(self.parts)


@dataclass(frozen=True)
class Variant:
    """A recipe that the attribution needs; `ingredient` is what was put in or left out, None for base and full."""

    role: Role
    ingredient: Ingredient | None
    recipe: recipes.Recipe


def ingredients(base: recipes.Recipe, full: recipes.Recipe) -> tuple[Ingredient, ...]:
    """Return in what `base` and `full` differ. Raises RecipeError where they do not."""
    names = [name for name in recipes.Recipe.model_fields if name not in OUTSIDE]
    parts = tuple(name for name in names if getattr(base, name) != getattr(full, name))
    if not parts:
        raise RecipeError("table", (Problem("--full", "is the same recipe as --base", full.name),))
    groups: list[set[str]] = []
    for part in parts:
        found = set(_smallest(part, parts, base=base, full=full))
        for group in [group for group in groups if group & found]:
            groups.remove(group)
            found |= group
        groups.append(found)
    whole = [tuple(name for name in parts if name in group) for group in groups]
    return tuple(Ingredient(group) for group in sorted(whole, key=lambda group: parts.index(group[0])))


def _smallest(part: str, parts: Sequence[str], *, base: recipes.Recipe, full: recipes.Recipe) -> tuple[str, ...]:
    """Return the fewest parts with `part` that can be exchanged together, in either recipe; all of them always can."""
    others = [name for name in parts if name != part]
    for size in range(len(others) + 1):
        for more in itertools.combinations(others, size):
            chosen = (part, *more)
            if _stands(base, full, chosen) and _stands(full, base, chosen):
                return chosen
    return tuple(parts)


def _stands(into: recipes.Recipe, of: recipes.Recipe, parts: Sequence[str]) -> bool:
    try:
        exchanged(into, of, parts, name="variant")
    except RecipeError:
        return False
    return True


def exchanged(into: recipes.Recipe, of: recipes.Recipe, parts: Sequence[str], *, name: str) -> recipes.Recipe:
    """Return the recipe `into` with the `parts` of the recipe `of`. Raises RecipeError where that is none."""
    content, other = (recipe.model_dump(mode="json", exclude_none=True) for recipe in (into, of))
    for part in parts:
        content.pop(part, None)
        if part in other:
            content[part] = other[part]
    return recipes.from_json({**content, "name": name[:MOST_NAME]}, source=name)


def variants(base: recipes.Recipe, full: recipes.Recipe) -> tuple[Variant, ...]:
    """Return base, full, base with and full without each ingredient; of a single one these are full and base."""
    found = ingredients(base, full)
    ends = (Variant("base", None, base), Variant("full", None, full))
    if len(found) == 1:
        return ends
    return (*ends, *_between("with", base, full, found), *_between("without", full, base, found))


def _between(role: Role, into: recipes.Recipe, of: recipes.Recipe, found: Sequence[Ingredient]) -> Iterator[Variant]:
    for one in found:
        name = f"{into.name[:40]}-{role}-{'-'.join(one.parts).replace('_', '-')}"
        yield Variant(role, one, exchanged(into, of, one.parts, name=name))


def overrides(into: recipes.Recipe, to: recipes.Recipe) -> tuple[str, ...] | None:
    """Return the overrides that make `to` of the recipe `into`; None where a part would have to go: none says that."""
    said = []
    for name in recipes.Recipe.model_fields:
        before, after = getattr(into, name), getattr(to, name)
        if name in OUTSIDE or before == after:
            continue
        if after is None:
            return None
        said.append(f"{name}={inline(_told(after))}")
    return tuple(said)


def _told(value: Any) -> Any:
    return recipes.telling(value) if isinstance(value, specs.Spec) else value


def inline(value: Any) -> str:
    """Return a value as TOML on one line.

    >>> inline({"kind": "cosine", "points": [[0.0, 1]], "nesterov": True})
    '{kind="cosine", points=[[0.0, 1]], nesterov=true}'
    """
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_key(name)}={inline(of)}" for name, of in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(inline, value)) + "]"
        case _:
            return json.dumps(value)


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else json.dumps(name)
