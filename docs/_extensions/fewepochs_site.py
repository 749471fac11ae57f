"""The site's own part of Sphinx: pages that are made from the code, and docstrings that are plain text.

A comment `<!-- generated: NAME -->` in a page stands for what `GENERATED[NAME]` returns, and
`<!-- modules: NAME NAME ... -->` for the docstrings of modules. On the repository's page nothing stands there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import command_pages
import plain_docstrings
import recipe_tables

CONTENTS = {
    "Begin": ("tour", "recipes", "your-own", "guide"),
    "Answers": (
        "statistics",
        "reports",
        "studies",
        "searching",
        "clusters",
        "importing",
        "tracking",
        "probes",
        "noise",
        "claims",
    ),
    "What you can rely on": ("guarantees", "exactness", "speed", "findings", "log"),
    "Reference": tuple(f"reference/{name}" for name in ("commands", "doing", "recipes", "runs", "statistics")),
}


def contents() -> str:
    """Return the table of contents, which stands beside every page."""
    return "\n".join(
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])
        for caption, pages in CONTENTS.items()
    )


GENERATED: dict[str, Callable[[], str]] = {
    "contents": contents,
    "commands": command_pages.reference,
    "recipe fields": recipe_tables.fields,
    "shipped recipes": recipe_tables.shipped,
}
COMMENT = re.compile(r"^<!-- (?P<what>generated|modules): (?P<names>.+) -->$", re.M)


def fill(page: str) -> str:
    """Return the Markdown `page` with what its comments stand for."""
    return COMMENT.sub(
        lambda found: GENERATED[found["names"]]() if found["what"] == "generated" else _modules(found), page
    )


def _modules(found: re.Match[str]) -> str:
    return "\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n   :member-order: bysource\n```\n"
        for name in found["names"].split()
    )


def setup(app: Any) -> dict[str, bool]:
    """Connect with Sphinx."""
    app.connect("source-read", lambda _app, _page, source: source.__setitem__(0, fill(source[0])))
    app.connect("autodoc-process-docstring", _docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _docstring(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = plain_docstrings.rest("\n".join(lines))
