"""The parts and fields of a recipe, and the shipped recipes, as Markdown, from their models and files."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tomli
from plain_docstrings import markdown

from fewepochs import recipe as recipes
from fewepochs.specs.base import Spec

Schema = Mapping[str, Any]
LIMITS = (
    ("exclusiveMinimum", "above"),
    ("minimum", "at least"),
    ("exclusiveMaximum", "below"),
    ("maximum", "at most"),
)
WHOLE = {2**63 - 1, -(2**63)}
"""The ends of TOML's whole numbers say nothing to a reader."""


def fields() -> str:
    """Return a table of a recipe's fields, then a section for each of its parts, with every kind of it."""
    schema = recipes.json_schema()
    found = _Parts(schema["$defs"])
    body = [_told("Recipe", found), _table(schema, found), ""]
    for name, part in found.sections():
        body += [f"### {name}\n", *_kinds(part, found)]
    return "\n".join(body)


def shipped() -> str:
    """Return a section for each shipped recipe: its summary, and the comment at its head as it stands."""
    return "\n".join(_shipped(name) for name in recipes.shipped_names())


def _shipped(name: str) -> str:
    text = recipes.text(name)
    head = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        head.append(line.removeprefix("#").removeprefix(" "))
    summary = markdown(tomli.loads(text).get("summary", "")).strip()
    return f"### {name}\n\n{summary}.\n\n```text\n" + "\n".join(head) + "\n```\n"


class _Parts:
    """The tables that a recipe may have: each is named once, by the first field that holds it."""

    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions
        self._names: dict[tuple[str, ...], str] = {}
        self._told = 0

    def kind(self, name: str) -> str | None:
        """Return the `kind` by which a recipe names the class `name`; None for what is no such class."""
        found: str | None = self.definitions.get(name, {}).get("properties", {}).get("kind", {}).get("const")
        return found

    def name(self, classes: tuple[str, ...], field: str) -> str:
        """Return the section that tells of `classes`: one that has them among others, or else that of `field`."""
        wider = next((known for known in self._names if set(classes) <= set(known)), classes)
        return self._names.setdefault(wider, field)

    def sections(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield name and classes of each part, those included that are met on the way."""
        while self._told < len(self._names):
            classes = list(self._names)[self._told]
            self._told += 1
            yield self._names[classes], classes


def _kinds(classes: tuple[str, ...], found: _Parts) -> Iterator[str]:
    for one in classes:
        spec = found.definitions[one]
        if (kind := found.kind(one)) is not None:
            yield f"**`kind = {json.dumps(kind)}`**\n"
        yield _told(one, found)
        yield _table(spec, found)


def _told(name: str, found: _Parts) -> str:
    """Return what the docstring of a model says, and those of what it is derived from, with kinds for classes."""
    bases = [base for base in _models()[name].__mro__ if issubclass(base, Spec) and base is not Spec]
    text = "\n\n".join(inspect.cleandoc(base.__doc__) for base in bases if base.__doc__)
    return markdown(re.sub(r"`(\w+)`", lambda word: f"`{found.kind(word[1]) or word[1]}`", text))


@functools.cache
def _models() -> dict[str, type[Spec]]:
    """Return every part of a recipe by the name of its class."""
    known: list[type[Spec]] = [Spec]
    for one in known:  # grows while it is walked
        known += one.__subclasses__()
    return {one.__name__: one for one in known}


def _table(spec: Schema, found: _Parts) -> str:
    required = spec.get("required", ())
    rows = [
        f"| `{name}` | {_allowed(field, found, name)} | {_default(field, required=name in required)} |"
        for name, field in spec["properties"].items()
        if name != "kind" or "enum" in field
    ]
    return "\n".join(["| field | allowed | default |", "|---|---|---|", *rows, ""]) if rows else ""


def _default(field: Schema, *, required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    if value is None:
        return "left out"
    return f"`{value['kind']}`" if isinstance(value, dict) and "kind" in value else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{name} = {_toml(one)}" for name, one in value.items() if one is not None)
        return f"{{ {inside} }}" if inside else "{}"
    return json.dumps(value)


def _allowed(field: Schema, found: _Parts, name: str) -> str:
    """Return in words what may stand in a field."""
    if (classes := _classes(field)) is not None:
        return _link(found.name(classes, name), found, classes)
    if "anyOf" in field:
        return " or ".join(_allowed(one, found, name) for one in field["anyOf"] if one.get("type") != "null")
    if "const" in field:
        return f"`{_toml(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{_toml(one)}`" for one in field["enum"])
    match field["type"]:
        case "array":
            return _array(field, found, name)
        case "object":
            values = field["additionalProperties"]["anyOf"]
            return "a table of " + ", ".join(_allowed(one, found, name) for one in values)
        case "boolean":
            return "`true`, `false`"
        case "string":
            return "text" + (f" of the form `{field['pattern']}`" if "pattern" in field else "")
        case kind:
            return ", ".join([{"integer": "whole number", "number": "number"}[kind], *_limits(field)])


def _array(field: Schema, found: _Parts, name: str) -> str:
    if "prefixItems" in field:
        return "[" + ", ".join(_allowed(one, found, name) for one in field["prefixItems"]) + "]"
    return f"list of: {_allowed(field['items'], found, name)}"


def _limits(field: Schema) -> list[str]:
    return [f"{word} {field[key]:g}" for key, word in LIMITS if key in field and field[key] not in WHOLE]


def _classes(field: Schema) -> tuple[str, ...] | None:
    """Return the names of the tables that may stand in `field`; None where it holds no table."""
    if "$ref" in field:
        return (field["$ref"].rpartition("/")[2],)
    if "discriminator" in field:
        return tuple(one["$ref"].rpartition("/")[2] for one in field["oneOf"])
    return None


def _link(section: str, found: _Parts, classes: tuple[str, ...]) -> str:
    listed = ", ".join(f"`{kind}`" for one in classes if (kind := found.kind(one)) is not None)
    return f"[table {section}](#{section}){': ' if listed else ''}{listed}"
