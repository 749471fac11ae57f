"""A recipe is a value: everything that decides the outcome of a run, and nothing else.

TOML comes in, overrides (`optimizer.lr=1e-3`) are laid over it, and a frozen, fully resolved `Recipe` comes out; its
digest, SHA-256 over canonical JSON, names the experiment. Where and how fast a recipe runs (device, threads,
paths) is not part of it; precision is. All problems of a recipe are reported at once, before torch is imported.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import Field, Strict, ValidationError

from fewepochs import specs
from fewepochs.errors import Problem, RecipeError

FORMAT = 1
"""Version of the canonical form; a digest is comparable within one format."""

LABELS = ("name", "summary", "targets", "hold")
"""Fields that say what a recipe is called and which questions are asked of it; outside the digest."""

MAX_RECIPE_BYTES = 1 << 20
MAX_PROBLEMS = 100
MAX_DEPTH = 16
_PART = r"""(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_TOO_DEEP = re.compile(rf"(?:{_PART}\.[ \t]*+){{{MAX_DEPTH}}}", re.ASCII)
"""A key of more parts than any recipe has; tomllib needs time and memory quadratic in their number."""

Stream = Literal["init", "order", "augmentation", "dropout"]
STREAMS: tuple[Stream, ...] = get_args(Stream)

Target = Annotated[float, Field(gt=0, le=1)]


class Recipe(specs.Spec):
    """Everything that decides the outcome of a run.

    `targets` are validation accuracies asked after; a target counts as held once `hold` evaluations in a row
    reach it. They, `name` and `summary` are labels: they do not change what is computed, nor the digest.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    summary: Annotated[str, Field(max_length=500)] = ""
    data: specs.DataSpec
    augmentation: specs.Augmentation = specs.NoAugmentation()
    network: specs.Network
    optimizer: specs.Optimizer = specs.Adam()
    regularisation: specs.Regularisation = specs.NoRegularisation()
    schedule: specs.Schedule = specs.Constant()
    plateau: specs.Plateau | None = None
    batch_size: specs.PositiveInt = 64
    precision: specs.Precision = "float32"
    budget: specs.Budget
    seed: specs.Seed = 0
    seeds: specs.StreamSeeds = specs.StreamSeeds()
    targets: Annotated[tuple[Target, ...], Strict(False), Field(max_length=64)] = ()
    hold: specs.PositiveInt = 3

    def stream_seed(self, stream: Stream) -> int:
        """Return the seed of `stream`: its own where one is given, else the recipe's."""
        own: int | None = getattr(self.seeds, stream)
        return self.seed if own is None else own


def canonical_json(recipe: Recipe) -> str:
    """Return the recipe without its labels as JSON: sorted keys, no spaces, every default spelt out."""
    content = recipe.model_dump(mode="json", exclude=set(LABELS), exclude_none=True)
    # Two ways to say the same seeds are one experiment.
    content["seeds"] = {stream: recipe.stream_seed(stream) for stream in STREAMS}
    del content["seed"]
    return json.dumps({"format": FORMAT, **content}, sort_keys=True, separators=(",", ":"))


def digest(recipe: Recipe) -> str:
    """Return the identity of the experiment: 64 hexadecimal digits, SHA-256 of `canonical_json`."""
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()


def to_toml(recipe: Recipe) -> str:
    """Return the resolved recipe as TOML; `parse` on it gives an equal recipe."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True), multiline_strings=False)


def from_json(content: Mapping[str, Any], *, source: str) -> Recipe:
    """Return the recipe that `content`, JSON of a whole recipe, describes. Raises RecipeError."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(source, tuple(_problems(error, content))) from None


def differences(before: Recipe, after: Recipe) -> tuple[str, ...]:
    """Return what differs between two experiments, a line a field (`optimizer.lr: 0.001 -> 0.01`), labels aside."""
    old, new = (_flat(json.loads(canonical_json(recipe))) for recipe in (before, after))
    fields = sorted(old.keys() | new.keys())
    return tuple(
        f"{field}: {_shown(old.get(field))} -> {_shown(new.get(field))}"
        for field in fields
        if old.get(field) != new.get(field)
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in table.items():
        fields.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return fields


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file, for editors."""
    schema = Recipe.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fewepochs recipe"}


# --- reading ----------------------------------------------------------------------------------------------------


def load(source: str, *, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Return the recipe that `source`, a shipped name or the path of a TOML file, describes.

    `overrides` are `dotted.field=value` strings, values in TOML or plain words; later ones win. `seed` replaces the
    recipe's. Raises RecipeError with every problem found.
    """
    text = _read(source)
    return parse(text, source=source, overrides=overrides, seed=seed)


def parse(text: str, *, source: str, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Return the recipe in the TOML `text`; `source` is its name in messages. Raises RecipeError."""
    try:
        table = _toml(text)
    except ValueError as error:
        raise RecipeError(source, (Problem("(file)", f"not TOML: {error}"),)) from None
    problems = [problem for override in overrides if (problem := _lay_over(table, override)) is not None]
    if seed is not None:
        table["seed"] = seed
    try:
        recipe = Recipe.model_validate(table)
    except ValidationError as error:
        problems.extend(_problems(error, table))
    if problems:
        raise RecipeError(source, tuple(problems))
    return recipe


def shipped_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with fewepochs, sorted."""
    folder = resources.files("fewepochs") / "recipes"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def shipped_text(name: str) -> str:
    """Return the TOML text of a shipped recipe, comments included. Raises RecipeError for an unknown name."""
    if name not in shipped_names():
        raise _unknown(name)
    return (resources.files("fewepochs") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _read(source: str) -> str:
    if source in shipped_names():
        return shipped_text(source)
    try:
        with Path(source).open("rb") as file:  # a file, or a pipe: `train <(generate)`
            content = file.read(MAX_RECIPE_BYTES + 1)
        if len(content) > MAX_RECIPE_BYTES:
            raise RecipeError(source, (Problem("(file)", "larger than 1 MiB: not a recipe"),))
        # Editors on Windows put a byte order mark before, and end lines with two characters.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        raise _unknown(source) from None
    except IsADirectoryError:
        hint = "a folder, not a recipe; `fewepochs resume` goes on with a run folder"
        raise RecipeError(source, (Problem("(file)", hint),)) from None
    except UnicodeDecodeError:
        raise RecipeError(source, (Problem("(file)", "not a text file in UTF-8: not a recipe"),)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(source, (Problem("(file)", f"cannot be read: {reason}"),)) from None


def _toml(text: str) -> dict[str, Any]:
    """Return the table in `text`; raises ValueError with the reason where it is none that a recipe could be."""
    if _TOO_DEEP.search(text):
        raise ValueError("nested too deeply")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's own limit on the digits of a number
        raise ValueError("a number of thousands of digits") from None


def _unknown(source: str) -> RecipeError:
    names = shipped_names()
    problem = Problem(
        "recipe",
        "neither a shipped recipe nor a file",
        value=repr(source),
        allowed=", ".join(names) + ", or the path of a TOML file",
        suggestion=_nearest(source, names),
    )
    return RecipeError(source, (problem,))


# --- overrides --------------------------------------------------------------------------------------------------


def _lay_over(table: dict[str, Any], override: str) -> Problem | None:
    """Write one `dotted.field=value` into `table`; return what is wrong with it, if anything is."""
    field, equals, text = override.partition("=")
    path = [part.strip() for part in field.split(".")]
    if not equals or not all(path) or len(path) > MAX_DEPTH:
        return Problem("--set", "not of the form field=value", value=_shown(override))
    here = table
    for part in path[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            return Problem("--set", f"{part} is a value, not a table", value=_shown(override))
        here = below
    here[path[-1]] = _value(text.strip())
    return None


def _value(text: str) -> Any:
    """Read a TOML value; what is none is a plain word, as shells hand it over."""
    try:
        parsed = _toml(f"value = {text}")
    except ValueError:
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


# --- problems in the user's words -------------------------------------------------------------------------------


def _problems(error: ValidationError, table: Mapping[str, Any]) -> list[Problem]:
    entries = error.errors(include_url=False)
    # An array is also called too short when an item of it is wrong: that says the same twice.
    inside = {loc[:n] for loc in (entry["loc"] for entry in entries) for n in range(len(loc))}
    told = [entry for entry in entries if entry["type"] != "too_short" or entry["loc"] not in inside]
    problems = [_problem(dict(entry), table) for entry in told[:MAX_PROBLEMS]]
    if len(told) > MAX_PROBLEMS:
        problems.append(Problem("(file)", f"and {len(told) - MAX_PROBLEMS} problems more"))
    return problems


def _problem(entry: dict[str, Any], table: Mapping[str, Any]) -> Problem:
    kind, context = entry["type"], entry.get("ctx", {})
    path = _path(entry["loc"], table)
    field = _dotted(path) or "recipe"
    value = _shown(entry["input"])
    if kind == "extra_forbidden":
        allowed = _siblings(entry["loc"])
        kind_of = _kind_of(path, table)
        message = f"unknown field of kind '{kind_of}'" if kind_of else "unknown field"
        return Problem(field, message, value, ", ".join(allowed) or None, _nearest(str(path[-1]), allowed))
    if kind == "missing":
        return Problem(field, "missing; the recipe must say it")
    if kind in ("union_tag_invalid", "literal_error"):
        allowed = _words(context.get("expected_tags") or context.get("expected", ""))
        given = context.get("tag", entry["input"])
        name = f"{field}.kind" if kind == "union_tag_invalid" else field
        return Problem(name, "not a known choice", _shown(given), ", ".join(allowed), _nearest(str(given), allowed))
    if kind == "union_tag_not_found":
        return Problem(f"{field}.kind", "missing; the recipe must say it")
    if kind == "tuple_type":
        return Problem(field, "not an array", value, "[first, second, ...]")
    if kind in ("model_attributes_type", "model_type", "dict_type"):
        return Problem(field, "not a table", value, f"[{field}] with its fields, or {field} = {{ ... }}")
    if kind == "value_error":
        return Problem(field, str(context["error"]))
    if kind == "string_pattern_mismatch":
        return Problem(field, "not a name", value, "lower-case letters, digits, '.', '_' and '-', at most 80")
    return Problem(field, entry["msg"][:1].lower() + entry["msg"][1:], value)


def _path(loc: tuple[int | str, ...], table: Mapping[str, Any]) -> list[int | str]:
    """Drop what pydantic adds to a location: the tag of a union's member, which stands in no file."""
    path: list[int | str] = []
    here: Any = table
    for part in loc:
        if isinstance(here, Mapping) and part not in here and part == here.get("kind"):
            continue
        path.append(part)
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
    return path


def _kind_of(path: Sequence[int | str], table: Mapping[str, Any]) -> str | None:
    """Return the kind of the part that the field `path` stands in, None where it has none."""
    here: Any = table
    for part in path[:-1]:
        here = here[part]
    kind = here.get("kind") if len(path) > 1 else None
    return kind if isinstance(kind, str) else None


def _siblings(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the fields allowed where `loc` points, found by walking the JSON Schema."""
    schema = _schema()
    here: dict[str, Any] = schema
    for part in loc[:-1]:
        options = [_resolve(option, schema) for option in here.get("oneOf", here.get("anyOf", ()))]
        tagged = [o for o in options if o.get("properties", {}).get("kind", {}).get("const") == part]
        if tagged:
            here = tagged[0]
            continue
        holder = next((o for o in [here, *options] if part in o.get("properties", {})), None)
        if holder is None:
            return ()
        here = _resolve(holder["properties"][part], schema)
    options = [_resolve(option, schema) for option in here.get("anyOf", ())]
    properties: dict[str, Any] = here.get("properties") or next(
        (o["properties"] for o in options if "properties" in o), {}
    )
    return tuple(properties)


@functools.cache
def _schema() -> dict[str, Any]:
    return Recipe.model_json_schema()


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    found: dict[str, Any] = schema["$defs"][reference.rsplit("/", 1)[1]]
    return found


def _dotted(path: Iterable[int | str]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python's limits on digits and on nesting
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def _words(expected: str) -> tuple[str, ...]:
    """Split pydantic's "'a', 'b' or 'c'" into its words."""
    return tuple(word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",") if word.strip())


def _nearest(word: str, allowed: Sequence[str]) -> str | None:
    found = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    return found[0] if found else None
