"""`fewepochs landscape` and `sharpness` as users call them: what they print, draw, refuse, and leave alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from command_line import problems, run, snapshots
from run_folders import contents


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshots(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def home(folder: Path) -> Path:
    return folder.parents[1]


def test_sharpness_has_a_row_a_state_a_figure_and_the_run_is_as_it_was(home: Path, folder: Path) -> None:
    before = contents(folder)
    given = ("--images", "40", "--steps", "10", "--json", "--to", "made/sharp.svg")
    ended = run("sharpness", folder, *given, folder=home)
    assert ended.returncode == 0, ended.stderr
    first, *states, last = ended.stderr.splitlines()
    assert first == "3 states, at most 33 products with the Hessian of 40 images each"
    assert [line.split(":")[0] for line in states] == ["epoch 1", "epoch 2", "epoch 4"]
    assert last == "picture: made/sharp.svg"
    found: dict[str, Any] = json.loads(ended.stdout)
    rows = found["tables"][0]["data"]
    assert [row["epoch"] for row in rows] == [1, 2, 4]
    assert all(row["two_over_lr"] == pytest.approx(200) and row["edge"] == pytest.approx(3800) for row in rows)
    assert found["products"] == sum(row["products"] for row in rows) <= 3 * 33
    assert "<svg" in (home / "made" / "sharp.svg").read_text()
    assert contents(folder) == before
    text = run("sharpness", folder, "--images", "20", "--epochs", "4", "--statistics", "batch", folder=home).stdout
    assert "20 training and 20 validation images, BN with each batch's own" in " ".join(text.split())


def test_a_landscape_has_numbers_a_figure_and_the_run_is_as_it_was(home: Path, folder: Path) -> None:
    before = contents(folder)
    given = ("--images", "30", "--points", "9", "--grid", "3", "--csv", "--to", "made/land.csv")
    ended = run("landscape", folder, *given, folder=home)
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    assert {row["number"] for row in rows} == {"shift", "width", "wall"}
    assert [row["line"] for row in rows if row["number"] == "shift"] == [
        "gradient", "random", "gradient", "random", "between", "principal 1", "principal 2",
    ]  # fmt: skip
    drawn = list(csv.DictReader(io.StringIO((home / "made" / "land.csv").read_text())))
    assert len(drawn) == 7 * 2 * 9 + 9
    assert ended.stderr.startswith("about ")
    assert contents(folder) == before


def test_what_cannot_be_measured_is_refused_before_anything_is_loaded(home: Path, folder: Path) -> None:
    wrong = ("--along", "up", "--points", "2", "--grid", "2", "--images", "1", "--span", "0", "--epochs", "1,2,4")
    ended = run("landscape", folder, *wrong, folder=home)
    assert (ended.returncode, ended.stdout, len(problems(ended))) == (2, "", 6)
    others = ("--images", "0", "--statistics", "moving", "--tolerance", "0", "--steps", "0")
    ended = run("sharpness", folder, *others, folder=home)
    assert (ended.returncode, ended.stdout, len(problems(ended))) == (2, "", 4)
    ended = run("sharpness", folder, "--epochs", "3", folder=home)
    assert (ended.returncode, "only after 1, 2, 4" in ended.stderr) == (6, True)
