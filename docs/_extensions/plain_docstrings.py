"""Docstrings of this project as reStructuredText, or as Markdown.

They are plain text: `code` stands between backticks, what is indented is set as it stands, examples begin with >>>,
items of a list with a number or a dash. Nothing else is markup, so every other character that a renderer would take
for some is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

ITEM = re.compile(r"(?:\d+\.|-) ")
CODE = re.compile(r"(`[^`]+`)")


@dataclass(frozen=True)
class Part:
    """Lines that belong together: a paragraph, an item of a list, an example, or lines to be set as they stand."""

    kind: Literal["paragraph", "item", "example", "literal"]
    lines: tuple[str, ...]


def rest(text: str) -> list[str]:
    """Return the docstring `text` as lines of reStructuredText.

    >>> rest("The `lr` of x*y, or *args_.")
    ['The ``lr`` of x\\\\*y, or \\\\*args\\\\_.', '']
    """
    found: list[str] = []
    for part in parts(text):
        if part.kind == "literal":
            found += [".. code-block:: none", "", *(f"    {line}" for line in part.lines), ""]
        elif part.kind == "example":
            found += [*part.lines, ""]
        else:
            found += [*(_rest_line(line) for line in part.lines), ""]
    return found


def markdown(text: str) -> str:
    """Return the docstring `text` as Markdown.

    >>> markdown("The `lr` of x*y <z>.")
    'The `lr` of x\\\\*y \\\\<z>.\\n'
    """
    found: list[str] = []
    for part in parts(text):
        if part.kind in ("literal", "example"):
            found += ["```text", *part.lines, "```", ""]
        else:
            found += [*(_markdown_line(line) for line in part.lines), ""]
    return "\n".join(found)


def parts(text: str) -> Iterator[Part]:
    """Yield the parts of a docstring whose first column is its left edge."""
    gathered: list[str] = []
    for line in [*text.rstrip().splitlines(), ""]:
        begins = ITEM.match(line) is not None
        turns = bool(gathered) and _literal(gathered[0]) != _literal(line) and not ITEM.match(gathered[0])
        if gathered and (begins or turns or not line.strip()):
            yield _part(gathered)
            gathered = []
        if line.strip():
            gathered.append(line.rstrip())


def _literal(line: str) -> bool:
    return line.startswith("    ")


def _part(lines: Sequence[str]) -> Part:
    if lines[0].startswith(">>> "):
        return Part("example", tuple(lines))
    if _literal(lines[0]):
        return Part("literal", tuple(line.removeprefix("    ") for line in lines))
    return Part("item" if ITEM.match(lines[0]) else "paragraph", tuple(lines))


def _rest_line(line: str) -> str:
    pieces = CODE.split(line)
    return "".join(f"`{p}`" if k % 2 else re.sub(r"([\\*|`]|_\b|_(?=\W|$))", r"\\\1", p) for k, p in enumerate(pieces))


def _markdown_line(line: str) -> str:
    pieces = CODE.split(line)
    return "".join(p if k % 2 else re.sub(r"([\\*_<\[\]|`$])", r"\\\1", p) for k, p in enumerate(pieces))
