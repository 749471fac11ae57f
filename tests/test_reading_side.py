"""Reading needs no torch: whoever lists, shows or reports does not wait for it, nor for ray.

Each claim is checked in a fresh process, by what that process has imported in the end.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fewepochs
import probe_samples
import run_folders
from command_line import environment
from fewepochs import store

PACKAGE = Path(fewepochs.__file__).parent

# Runs command lines one after the other, and prints for each [exit code, heavy modules imported by then].
COMMANDS = """
import contextlib, io, json, sys
from fewepochs.cli.main import main
found = []
for sys.argv[1:] in json.loads(sys.argv[1]):
    code = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
    found.append([code, sorted({"torch", "ray"} & sys.modules.keys())])
print(json.dumps(found))
"""

# Imports modules, and all inside them, one after the other; prints for each the heavy modules imported by then.
IMPORTS = """
import importlib, json, pkgutil, sys
found = {}
for name in json.loads(sys.argv[1]):
    module = importlib.import_module(name)
    inside = pkgutil.iter_modules(getattr(module, "__path__", []), prefix=name + ".")
    for each in [name, *(entry.name for entry in inside)]:
        importlib.import_module(each)
        found[each] = sorted({"torch", "ray"} & sys.modules.keys())
print(json.dumps(found))
"""
MODULES = (
    "errors",
    "problems",
    "seeds",
    "records",
    "specs",
    "recipe",
    "schedules",
    "controls",
    "decay",
    "store",
    "stats",
    "claims",
    "ingredients",
    "report",
    "data.sources",
    "foreign",
    "trackers",
)


SUBCOMMANDS = (
    "train",
    "resume",
    "demo",
    "report",
    "show",
    "compare",
    "import",
    "recipes",
    "recipes show",
    "recipes schema",
    "data",
    "data fetch",
    "lr-range",
    "cost",
    "bn-split",
    "gradient-noise",
    "landscape",
    "sharpness",
    "schedule",
    "decay",
    "replicate",
    "table",
    "noise",
    "track",
)


def _python(code: str, *arguments: object, folder: Path) -> object:
    """Return the JSON that `code` prints when run in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(json.dumps, arguments)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_commands_that_read_do_not_import_torch(tmp_path: Path) -> None:
    made = run_folders.make(tmp_path / "runs" / "one", epochs=3)
    found = probe_samples.split(store.read(made.path))
    (tmp_path / "split.json").write_text(json.dumps(found.as_dict()))
    shipped = "digits-step"
    expected = {
        **{(*command.split(), "--help"): 0 for command in ("", *SUBCOMMANDS)},
        ("recipes",): 0,
        ("recipes", "show", shipped): 0,
        ("data",): 0,
        ("show", "runs/one"): 0,
        ("compare", "runs/one"): 0,
        ("train", shipped, "--print-config"): 0,
        ("train", shipped, "--set", "bad=1"): 2,
        ("lr-range", shipped, "--steps", "1"): 2,
        ("report", "runs/one", "--to", "pages/one.html", "--probe", "split.json"): 0,
        ("schedule", shipped): 0,
        ("schedule", shipped, "--to", "pages/schedule.svg"): 0,
        ("decay", shipped): 0,
        ("replicate",): 0,
        ("table", "transitions", "runs/one"): 0,
        ("track", "tensorboard", "runs/one", "--to", "board"): 0,
        ("noise", "runs/one"): 0,
        ("table", "attribution", "--base", shipped, "--full", "digits-linear", "--plan"): 0,
        ("replicate", "part1-bs64", "runs/one"): 0,
    }
    ended = _python(COMMANDS, list(expected), folder=tmp_path)
    assert ended == [[code, []] for code in expected.values()]
    page = (tmp_path / "pages" / "one.html").read_text()
    assert page.startswith("<!doctype html>")
    assert '<th scope="row">one</th>' in page
    assert "From epoch to epoch, val_loss with recomputed statistics rises at 0 of 3 steps" in page


def test_modules_of_the_reading_side_do_not_import_torch(tmp_path: Path) -> None:
    found = _python(IMPORTS, [f"fewepochs.{name}" for name in MODULES], folder=tmp_path)
    assert isinstance(found, dict)
    assert {"fewepochs.report.page", "fewepochs.report.console", "fewepochs.stats.target"} <= found.keys()
    assert {name: heavy for name, heavy in found.items() if heavy} == {}


ROOMS = sorted(path.relative_to(PACKAGE) for path in PACKAGE.glob("*/**/__init__.py"))


@pytest.mark.parametrize("init", ROOMS, ids=lambda path: str(path.parent))
def test_the_init_of_a_room_holds_a_docstring_and_nothing_else(init: Path) -> None:
    (docstring,) = ast.parse((PACKAGE / init).read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assert isinstance(docstring.value.value, str)


def test_there_are_rooms() -> None:
    assert {"report", "train", "stats", "data", "nets", "optim"} <= {str(init.parent) for init in ROOMS}
