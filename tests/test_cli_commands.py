"""The commands as their help tells them: every one, in lines that fit, without what they import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import command_line
from fewepochs.cli import commands, main

SHARED = {"__init__", "main", "start", "commands", "options", "output", "ending", "tables"}
ROOM = Path(main.__file__).parent
NAMES = list(commands.Commands())

# Prints which modules `fewepochs --help` has imported in the end.
HELP = """
import json, sys
from fewepochs.cli import start
sys.argv[1:] = ["--help"]
try:
    start.main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_where_the_table_says_and_has_a_help_of_its_own(name: str) -> None:
    command = main.root().commands[name]

    assert command.name == name
    assert (command.help or "").strip()
    assert main.root().commands[name] is command


def test_every_module_of_commands_is_in_the_table() -> None:
    known = [command.where for section in commands.SECTIONS.values() for command in section.values()]

    assert len(set(known)) == len(NAMES)
    assert {where.partition(":")[0] for where in known} == {path.stem for path in ROOM.glob("*.py")} - SHARED


def test_the_help_tells_each_command_once_in_a_line_that_is_not_cut(tmp_path: Path) -> None:
    ended = command_line.run("--help", folder=tmp_path)

    lines = [line.split(maxsplit=1) for line in ended.stdout.splitlines() if line.startswith("  ")]
    assert [line[0] for line in lines if line[0] in NAMES] == NAMES
    told = [command.summary for section in commands.SECTIONS.values() for command in section.values()]
    assert [line[1] for line in lines if line[0] in NAMES] == told


def test_the_help_imports_nothing_that_a_command_needs() -> None:
    ended = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)

    imported = set(json.loads(ended.stderr))
    assert {"torch", "pydantic", "numpy", "rich", "fewepochs.recipe", "fewepochs.cli.training"}.isdisjoint(imported)
    assert "fewepochs.cli.main" in imported


def test_a_command_that_is_none_is_an_error_with_a_guess(tmp_path: Path) -> None:
    ended = command_line.run("trian", folder=tmp_path)

    assert ended.returncode == 2
    assert "No such command 'trian'. Did you mean 'train'" in ended.stderr


def test_a_shell_completes_the_names_of_commands(tmp_path: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("fewepochs")],
        env={
            **command_line.environment(tmp_path),
            "COMP_WORDS": "fewepochs re",
            "COMP_CWORD": "1",
            "_FEWEPOCHS_COMPLETE": "complete_bash",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.split() == ["resume", "recipes", "report", "replicate"]


def test_no_path_is_refused_before_it_is_read() -> None:
    """Typer would, with its own exit code; what cannot be read has a message and an exit code of ours."""
    paths = [parameter for command in _all(main.root()) for parameter in command.params if _is_path(parameter)]

    assert len(paths) > 30
    assert [parameter.name for parameter in paths if parameter.type_descriptor.parameter_info.readable] == []


def _all(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield command
        yield from _all(command) if hasattr(command, "commands") else ()


def _is_path(parameter: Any) -> bool:
    return "Path" in str(parameter.type_descriptor.annotation) if hasattr(parameter, "type_descriptor") else False
