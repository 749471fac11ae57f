"""The reference of the command line, as Markdown, from what the command line says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plain_docstrings import markdown

from fewepochs.cli import main


def reference() -> str:
    """Return a section for each command, in the order of `fewepochs --help`."""
    root = main.root()
    return "\n".join([markdown(root.epilog or ""), *_sections(root, ("fewepochs",))])


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of each command: ("study", "run")."""
    root = main.root()
    for name, command in root.commands.items():
        yield (name,)
        yield from ((name, below) for below in getattr(command, "commands", {}))


def _sections(group: Any, words: tuple[str, ...]) -> Iterator[str]:
    for name, command in group.commands.items():
        path = (*words, name)
        context = command.make_context(" ".join(path), [], resilient_parsing=True)
        yield f"{'#' * len(path)} {' '.join(path)}\n"
        yield markdown((command.help or "").strip())
        yield f"```text\n{context.get_usage().removeprefix('Usage: ')}\n```\n"
        yield _table(command, context)
        yield from _sections(command, path) if hasattr(command, "commands") else ()


def _table(command: Any, context: Any) -> str:
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context)) is not None]
    if not rows:
        return ""
    lines = [f"| `{names}` | {' '.join(markdown(said).split())} |" for names, said in rows]
    return "\n".join(["| argument, option | what it says |", "|---|---|", *lines, ""])
