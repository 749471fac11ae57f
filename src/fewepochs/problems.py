"""What is wrong with a recipe, in the user's words: field, value, what is allowed, and the nearest allowed word."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from fewepochs.errors import Problem

MAX_PROBLEMS = 100


def explain(error: ValidationError, table: Mapping[str, Any], *, schema: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with `table`, at most MAX_PROBLEMS of it; `schema` is the JSON Schema of the whole."""
    entries = error.errors(include_url=False)
    paths = [_path(entry["loc"], table) for entry in entries]
    # An array is also called too short when an item of it is wrong: that says the same twice.
    inside = {loc[:n] for loc in (entry["loc"] for entry in entries) for n in range(len(loc))}
    told = [
        entry
        for entry, path in zip(entries, paths, strict=True)
        # A union without tags is wrong once for each of its members: that it is not a word either says no more.
        if not (entry["type"] == "string_type" and sum(other[: len(path)] == path for other in paths) > 1)
        and (entry["type"] != "too_short" or entry["loc"] not in inside)
    ]
    problems = [_problem(dict(entry), table, schema=schema) for entry in told[:MAX_PROBLEMS]]
    if len(told) > MAX_PROBLEMS:
        problems.append(Problem("(file)", f"and {len(told) - MAX_PROBLEMS} problems more"))
    return problems


def _problem(entry: dict[str, Any], table: Mapping[str, Any], *, schema: dict[str, Any]) -> Problem:
    kind, context = entry["type"], entry.get("ctx", {})
    path = _path(entry["loc"], table)
    field = _dotted(path) or "recipe"
    value = shown(entry["input"])
    if kind == "extra_forbidden":
        allowed = _siblings(entry["loc"], schema=schema)
        kind_of = _kind_of(path, table)
        message = f"unknown field of kind '{kind_of}'" if kind_of else "unknown field"
        return Problem(field, message, value, ", ".join(allowed) or None, nearest(str(path[-1]), allowed))
    if kind == "missing":
        return Problem(field, "missing; the recipe must say it")
    if kind in ("union_tag_invalid", "literal_error"):
        allowed = _words(context.get("expected_tags") or context.get("expected", ""))
        given = context.get("tag", entry["input"])
        name = f"{field}.kind" if kind == "union_tag_invalid" else field
        return Problem(name, "not a known choice", shown(given), ", ".join(allowed), nearest(str(given), allowed))
    if kind == "union_tag_not_found":
        return Problem(f"{field}.kind", "missing; the recipe must say it")
    if kind == "too_short":
        return Problem(field, "too few items", value, f"{context['min_length']} or more")
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
    """Drop what pydantic adds to a location: the tag, or type, of a union's member, which stands in no file."""
    path: list[int | str] = []
    here: Any = table
    for part in loc:
        if isinstance(here, Mapping) and part not in here and part == here.get("kind"):
            continue
        if isinstance(part, str) and here is not None and not isinstance(here, Mapping):
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
    kind = here.get("kind") if len(path) > 1 and path[-1] != "kind" else None
    return kind if isinstance(kind, str) else None


def _siblings(loc: tuple[int | str, ...], *, schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the fields allowed where `loc` points, found by walking the JSON Schema."""
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


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and never an error of its own."""
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


def nearest(word: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed word that `word` was probably meant to be, None where none is near."""
    found = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    return found[0] if found else None
