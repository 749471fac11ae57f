"""A recipe is a value: everything that decides the outcome of a run, and nothing else.

TOML comes in, overrides (`optimizer.lr=1e-3`) are laid over it, and a frozen, fully resolved `Recipe` comes out; its
digest, SHA-256 over canonical JSON of what differs from the defaults, names the experiment: a later version with
more fields gives the same recipe the same name. Where and how fast a recipe runs (device, threads,
paths) is not part of it; precision is. All problems of a recipe are reported at once, before torch is imported.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import tomli
import tomli_w
from pydantic import Field, Strict, ValidationError, model_validator

from fewepochs import problems
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base, inputs, networks, rates, updates

FORMAT = 2
"""Version of the canonical form; a digest is comparable within one format."""

LABELS = ("name", "summary", "targets", "hold")
"""Fields that say what a recipe is called and which questions are asked of it; outside the digest."""

MAX_RECIPE_BYTES = 1 << 20
MAX_DEPTH = 16
_PART = r"""(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_TOO_DEEP = re.compile(rf"(?:{_PART}\.[ \t]*+){{{MAX_DEPTH}}}", re.ASCII)
"""A key of more parts than any recipe has; tomli needs time and memory quadratic in their number."""

_IMPORTED = (
    "tells where an imported run came from; it is no recipe. What its user says was trained stands under [described], "
    "if anything does: to train that, save it as a recipe of its own"
)

Stream = Literal["init", "order", "augmentation", "dropout"]
STREAMS: tuple[Stream, ...] = get_args(Stream)

Target = Annotated[float, Field(gt=0, le=1)]


class Recipe(base.Spec):
    """Everything that decides the outcome of a run.

    `targets` are validation accuracies asked after; a target counts as held once `hold` evaluations in a row
    reach it. They, `name` and `summary` are labels: they do not change what is computed, nor the digest.
    `schedule` moves the learning rate, `momentum_schedule` the optimizer's momentum (Adam's beta_1),
    `batch_schedule` the batch size. `clip_norm` is the largest norm that the whole gradient may have.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    summary: Annotated[str, Field(max_length=500)] = ""
    data: inputs.DataSpec
    augmentation: inputs.Augmentation = inputs.NoAugmentation()
    mixing: inputs.Mixing = inputs.NoMixing()
    network: networks.Network
    optimizer: updates.Optimizer = updates.Adam()
    regularisation: updates.Regularisation = updates.NoRegularisation()
    weight_decay: updates.WeightDecay = updates.NoWeightDecay()
    clip_norm: rates.PositiveFactor | None = None
    averaging: updates.Averaging = updates.NoAveraging()
    label_smoothing: base.Unit = 0.0
    schedule: rates.Schedule = rates.Constant()
    momentum_schedule: rates.Schedule = rates.Constant()
    batch_schedule: rates.BatchSchedule = rates.Constant()
    plateau: rates.Plateau | None = None
    batch_size: base.PositiveInt = 64
    precision: base.Precision = "float32"
    budget: rates.Budget
    seed: base.Seed = 0
    seeds: base.StreamSeeds = base.StreamSeeds()
    targets: Annotated[tuple[Target, ...], Strict(False), Field(max_length=64)] = ()
    hold: base.PositiveInt = 3

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        decay, optimizer = self.weight_decay.kind, self.optimizer.kind
        if optimizer == "adamw" and decay not in ("decoupled", "independent"):
            raise ValueError("AdamW is Adam with a decoupled weight decay: give weight_decay.kind = 'decoupled'")
        if optimizer == "adam" and decay in ("decoupled", "independent"):
            raise ValueError(f"Adam with {decay} weight decay is AdamW: say optimizer.kind = 'adamw'")
        if optimizer.startswith("schedule-free"):
            if decay not in ("none", "decoupled"):
                raise ValueError(f"Schedule-Free takes no {decay} weight decay: 'decoupled' or 'none'")
            if self.averaging.kind != "none":
                raise ValueError("Schedule-Free averages by itself: averaging must be of kind 'none'")
        momentum_moves = self.momentum_schedule.kind != "constant" or _moves_momentum(self.schedule)
        momentum = updates.momentum_of(self.optimizer)
        if momentum_moves and momentum is None:
            raise ValueError(f"the optimizer ({optimizer}) has no momentum that a schedule could move")
        if self.momentum_schedule.kind != "constant" and _moves_momentum(self.schedule):
            raise ValueError("both momentum_schedule and 1cycle's momentum move the momentum: give one of them")
        if (momentum or 0.0) * rates.highest(self.momentum_schedule) >= 1:
            raise ValueError("momentum times the highest factor of momentum_schedule must stay below 1")
        if math.isinf(self.optimizer.lr * rates.highest(self.schedule)):
            raise ValueError("optimizer.lr times the highest factor of schedule is not finite")
        spec = self.weight_decay
        if spec.kind != "none" and math.isinf(spec.strength * rates.highest(spec.schedule)):
            raise ValueError("weight_decay.strength times the highest factor of its schedule is not finite")
        return self

    def stream_seed(self, stream: Stream) -> int:
        """Return the seed of `stream`: its own where one is given, else the recipe's."""
        own: int | None = getattr(self.seeds, stream)
        return self.seed if own is None else own


def canonical_json(recipe: Recipe) -> str:
    """Return what decides the outcome as JSON: sorted keys, no spaces; what is as by default is left out."""
    content = telling(recipe)
    # Two ways to say the same seeds are one experiment.
    content["seeds"] = {stream: recipe.stream_seed(stream) for stream in STREAMS}
    told = {name: value for name, value in content.items() if name not in (*LABELS, "seed")}
    return json.dumps({"format": FORMAT, **told}, sort_keys=True, separators=(",", ":"))


def telling(spec: base.Spec) -> dict[str, Any]:
    """Return what differs from the defaults, and each part's kind, as nested tables: JSON-able."""
    return _telling(spec, dumped=spec.model_dump(mode="json"))


def _telling(spec: base.Spec, *, dumped: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if name == "kind" or value != field.default:
            content[name] = _telling(value, dumped=dumped[name]) if isinstance(value, base.Spec) else dumped[name]
    return content


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
        raise RecipeError(source, tuple(problems.explain(error, content, schema=_schema()))) from None


def differences(before: Recipe, after: Recipe) -> tuple[str, ...]:
    """Return what differs between two experiments, a line a field (`optimizer.lr: 0.001 -> 0.01`), labels aside."""
    old, new = (_resolved(recipe) for recipe in (before, after))
    fields = sorted(old.keys() | new.keys())
    return tuple(
        f"{field}: {problems.shown(old.get(field))} -> {problems.shown(new.get(field))}"
        for field in fields
        if old.get(field) != new.get(field)
    )


def _resolved(recipe: Recipe) -> dict[str, Any]:
    fields = _flat(recipe.model_dump(mode="json", exclude={*LABELS, "seed", "seeds"}))
    return {**fields, **{f"seeds.{stream}": recipe.stream_seed(stream) for stream in STREAMS}}


def _moves_momentum(schedule: rates.Schedule) -> bool:
    course = schedule.then if isinstance(schedule, rates.WarmUp) else schedule
    return isinstance(course, rates.OneCycle) and course.momentum is not None


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in table.items():
        fields.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return fields


@functools.cache
def _schema() -> dict[str, Any]:
    return Recipe.model_json_schema()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file, for editors."""
    schema = _schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fewepochs recipe"}


# --- reading ----------------------------------------------------------------------------------------------------


def load(source: str, *, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Return the recipe that `source`, a shipped name or the path of a TOML file, describes.

    `overrides` are `dotted.field=value` strings, values in TOML or plain words; later ones win. `seed` replaces the
    recipe's. Raises RecipeError with every problem found.
    """
    return parse(text(source), source=source, overrides=overrides, seed=seed)


def parse(text: str, *, source: str, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Return the recipe in the TOML `text`; `source` is its name in messages. Raises RecipeError."""
    try:
        table = read_toml(text)
    except ValueError as error:
        raise RecipeError(source, (Problem("(file)", f"not TOML: {error}"),)) from None
    if isinstance(table.get("source"), dict) and "sha256" in table["source"]:
        raise RecipeError(source, (Problem("(file)", _IMPORTED),))
    found = [problem for override in overrides if (problem := _lay_over(table, override)) is not None]
    if seed is not None:
        table["seed"] = seed
    try:
        recipe = Recipe.model_validate(table)
    except ValidationError as error:
        found.extend(problems.explain(error, table, schema=_schema()))
    if found:
        raise RecipeError(source, tuple(found))
    return recipe


def shipped_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with fewepochs, sorted."""
    folder = resources.files("fewepochs") / "recipes"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def text(source: str) -> str:
    """Return the text of a recipe, comments included: a shipped one's name, or a file. Raises RecipeError."""
    if source in shipped_names():
        return (resources.files("fewepochs") / "recipes" / f"{source}.toml").read_text(encoding="utf-8")
    if not source:  # as a path it would be this folder
        raise _unknown(source)
    return read_file(source, missing=_unknown(source))


def read_file(source: str, *, missing: RecipeError | None = None) -> str:
    """Return the text of a recipe or study file. Raises RecipeError; `missing` instead of the usual one for no file."""
    try:
        with Path(source).open("rb") as file:  # a file, or a pipe: `train <(generate)`
            content = file.read(MAX_RECIPE_BYTES + 1)
        if len(content) > MAX_RECIPE_BYTES:
            raise RecipeError(source, (Problem("(file)", "larger than 1 MiB: not a recipe or study"),))
        # Editors on Windows put a byte order mark before, and end lines with two characters.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        raise missing or RecipeError(source, (Problem("(file)", "no such file"),)) from None
    except IsADirectoryError:
        hint = "a folder, not a file; `fewepochs resume` goes on with a run folder"
        raise RecipeError(source, (Problem("(file)", hint),)) from None
    except UnicodeDecodeError:
        raise RecipeError(source, (Problem("(file)", "not a text file in UTF-8: not a recipe or study"),)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(source, (Problem("(file)", f"cannot be read: {reason}"),)) from None


def read_toml(text: str) -> dict[str, Any]:
    """Return the table in `text`; raises ValueError with the reason where it is none that a recipe could be."""
    if any(line.count(".") >= MAX_DEPTH and _TOO_DEEP.search(line) for line in text.split("\n")):
        raise ValueError("nested too deeply")
    try:
        return tomli.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except tomli.TOMLDecodeError:
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
        suggestion=problems.nearest(source, names),
    )
    return RecipeError(source, (problem,))


# --- overrides --------------------------------------------------------------------------------------------------


def _lay_over(table: dict[str, Any], override: str) -> Problem | None:
    """Write one `dotted.field=value` into `table`; return what is wrong with it, if anything is."""
    field, equals, text = override.partition("=")
    path = [part.strip() for part in field.split(".")]
    if not equals or not all(path) or len(path) > MAX_DEPTH:
        return Problem("--set", "not of the form field=value", value=problems.shown(override))
    here = table
    for part in path[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            return Problem("--set", f"{part} is a value, not a table", value=problems.shown(override))
        here = below
    here[path[-1]] = _value(text.strip())
    return None


def _value(text: str) -> Any:
    """Read a TOML value; what is none is a plain word, as shells hand it over."""
    try:
        parsed = read_toml(f"value = {text}")
    except ValueError:
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text
