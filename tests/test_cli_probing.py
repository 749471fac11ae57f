"""`fewepochs lr-range` as users run it: what it prints where, what it leaves behind, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from command_line import COMMAND, TRAINING, environment, problems, run, tiny
from fewepochs import recipe as recipes
from fewepochs.probes.sweeps import Sweep

PROBE = ("lr-range", "tiny.toml", *TRAINING)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    tiny(folder)
    return folder


def left(folder: Path) -> set[str]:
    """Return the files below `folder`; the cache of the data aside."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {str(path) for path in found if path.parts[0] != "cache"}


def test_numbers_go_to_stdout_lines_to_stderr_and_a_picture_where_it_was_asked_for(home: Path) -> None:
    before = left(home)
    arguments = ("--steps", "20", "--seeds", "1,4", "--from", "1e-4", "--to", "made/sweep.svg", "--json")
    ended = run(*PROBE, *arguments, folder=home)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    recipe = recipes.load(str(home / "tiny.toml"))
    assert (found["recipe"], found["complete"], found["batch_size"]) == ("tiny", True, 60)
    assert found["sweep"] == vars(Sweep(1e-4, 1.0, steps=20))
    assert [seed["seed"] for seed in found["seeds"]] == [1, 4]
    assert found["seeds"][0]["digest"] == recipes.digest(recipe.model_copy(update={"seed": 1}))
    assert [one["rule"] for one in found["suggestions"]] == ["steepest", "valley", "minimum/10", "smith-max"]
    assert (found["environment"]["device"], found["environment"]["threads"]) == ("cpu", 1)
    first, *seeds, last = ended.stderr.splitlines()
    assert first == "tiny: exponential sweep from 0.0001 to 1 in 20 steps, batch 60, float32; seeds: 1, 4"
    assert [line.split(":")[0] for line in seeds] == ["seed 1", "seed 4"]
    assert last == "picture: made/sweep.svg"
    assert left(home) - before == {"made/sweep.svg"}


def test_ctrl_c_exits_130_with_what_was_measured(home: Path) -> None:
    before = left(home)
    process = subprocess.Popen(
        [*COMMAND, *PROBE, "--steps", "50000", "--seeds", "0..1", "--factor", "1e9", "--set", "batch_size=10"],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("tiny: exponential sweep from 1e-06 to 1 in 50000 steps")
    # Seed 0 may have begun or not: it says so.
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    *seeds, last = err.splitlines()
    assert [line.startswith("seed 0: interrupted at lr ") for line in seeds] in ([True], [])
    assert last == "interrupted; what was measured so far is incomplete"
    lines = out.splitlines()
    assert lines[:2] == ["tiny: loss against learning rate", "  adam, batch 10, float32, data digits"]
    assert "not begun: seed 1" in lines
    assert lines[-1] == "incomplete: interrupted before every seed was swept to its end"
    assert left(home) == before


REFUSED = [
    (("--from=1", "--up-to=0.1", "--steps=9", "--sweep=log", "--factor=nan", "--smoothing=0"), 5),
    (("--to", "sweep.gif"), 1),
]


@pytest.mark.parametrize(("arguments", "count"), REFUSED, ids=["sweep", "picture"])
def test_what_cannot_be_swept_is_refused_before_anything_is_loaded(
    home: Path, arguments: tuple[str, ...], count: int
) -> None:
    before = left(home)
    ended = run(*PROBE, *arguments, folder=home)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    assert len(problems(ended)) == count
    assert left(home) == before
