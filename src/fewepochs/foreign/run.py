"""A foreign run is a value, too: what its user says of it, and which file it came from.

It stands where a recipe stands: `foreign.toml` in place of `recipe.toml`. A recipe is known to be what was trained; a
foreign run is only said to be: by its name, and by a recipe that `described` may hold. So the digest of one is never
that of a recipe, and foreign runs form arms of their own, whatever describes them. Its budget is no part of the
digest: training that stopped early leaves files of different lengths, and they repeat one experiment all the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, Strict, ValidationError

from fewepochs import problems
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base, rates

FORMAT = 1
"""Version of the canonical form; a digest is comparable within one format."""

Kind = Literal["keras-csv", "csv", "tensorboard"]
Validation = Literal["test", "held-out"]


class Source(base.Spec):
    """The file that a foreign run was read from: its name without the folder, and SHA-256 of its content.

    Of several runs in one file, `part` is the value of the column that tells them apart.
    """

    kind: Kind
    file: Annotated[str, Field(max_length=255)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    part: Annotated[str, Field(max_length=200)] | None = None


class Foreign(base.Spec):
    """What is said of a run that another tool trained; None where nothing is.

    `name`, `seed`, `targets`, `hold` and `budget` mean what they mean in a recipe. `validation` says on which images
    the validation accuracy was taken.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    summary: Annotated[str, Field(max_length=500)] = ""
    seed: base.Seed = 0
    targets: Annotated[tuple[recipes.Target, ...], Strict(False), Field(max_length=64)] = ()
    hold: base.PositiveInt = 3
    budget: rates.Budget
    validation: Validation | None = None
    source: Source
    described: recipes.Recipe | None = None


Origin = recipes.Recipe | Foreign
"""What a run folder says that its run came from."""


def canonical_json(foreign: Foreign) -> str:
    """Return what tells one foreign experiment from another as JSON: name, validation images, description, seed."""
    described = None if foreign.described is None else recipes.digest(unseeded_recipe(foreign.described))
    content = {
        "foreign": FORMAT,
        "name": foreign.name,
        "validation": foreign.validation,
        "described": described,
        "seed": foreign.seed,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(origin: Origin) -> str:
    """Return the identity of what was run, seed included: 64 hexadecimal digits."""
    if isinstance(origin, recipes.Recipe):
        return recipes.digest(origin)
    return hashlib.sha256(canonical_json(origin).encode()).hexdigest()


def unseeded(origin: Origin) -> Origin:
    """Return `origin` with every seed zero: what all its repetitions have in common."""
    if isinstance(origin, recipes.Recipe):
        return unseeded_recipe(origin)
    return origin.model_copy(update={"seed": 0})


def unseeded_recipe(recipe: recipes.Recipe) -> recipes.Recipe:
    """Return `recipe` with every seed zero."""
    return recipe.model_copy(update={"seed": 0, "seeds": base.StreamSeeds()})


def seeds(origin: Origin) -> tuple[int, ...]:
    """Return the seeds that say which run of another arm is the twin of this one.

    Those of a foreign run begin with its experiment: its seed draws other numbers than ours, so it has no twin.
    """
    if isinstance(origin, recipes.Recipe):
        return tuple(origin.stream_seed(stream) for stream in recipes.STREAMS)
    return int(digest(unseeded(origin)), 16), origin.seed


def described(origin: Origin) -> recipes.Recipe | None:
    """Return the recipe itself, or the one that a foreign run is described by."""
    return origin if isinstance(origin, recipes.Recipe) else origin.described


def to_toml(foreign: Foreign) -> str:
    """Return a foreign run as TOML; `load` on it gives an equal one."""
    return tomli_w.dumps(foreign.model_dump(mode="json", exclude_none=True), multiline_strings=False)


def load(path: Path) -> Foreign:
    """Return the foreign run that the file `path` describes. Raises RecipeError."""
    try:
        table = recipes.read_toml(recipes.read_file(str(path)))
    except ValueError as error:
        raise RecipeError(str(path), (Problem("(file)", f"not TOML: {error}"),)) from None
    return check(table, source=str(path))


def check(table: dict[str, Any], *, source: str) -> Foreign:
    """Return the foreign run in `table`. Raises RecipeError with all problems."""
    try:
        return Foreign.model_validate(table)
    except ValidationError as error:
        raise RecipeError(source, tuple(problems.explain(error, table, schema=Foreign.model_json_schema()))) from None
