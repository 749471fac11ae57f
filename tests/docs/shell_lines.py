"""Lines of `fewepochs` in a shell session, parsed as the command line would parse them, and not carried out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer

from fewepochs.cli import main

SEPARATORS = {"|", "||", "&&", ";", "&"}
ASSIGNMENT = re.compile(r"[A-Z_]+=")


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every `fewepochs` in a shell `line`: comments, pipes and redirections aside."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in SEPARATORS:
            words.append(word)
            continue
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        if words and Path(words[0]).name == "fewepochs":
            yield words[1 : next((k for k, one in enumerate(words) if one.startswith((">", "<"))), len(words))]
        words = []


def check(arguments: list[str], *, whole: bool = True) -> None:
    """Raise an error of typer's where there is no such command or option; not `whole`: arguments may be missing."""
    command = main.root()
    words = ["fewepochs"]
    rest = list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        words.append(rest[0])
        command = command.commands[rest.pop(0)]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        raise typer.BadParameter(f"{' '.join(words)} has no command {rest[0]!r}")
    try:
        command.make_context(" ".join(words), rest)
    except typer.Exit:  # --help, --version
        return
    except Exception as error:
        if whole or type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError"):
            raise
