"""`fewepochs bn-split` and `gradient-noise` as users call them: what they print, draw, refuse, and leave alone."""

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


def test_a_split_is_a_table_numbers_and_a_picture_and_the_run_is_as_it_was(home: Path, folder: Path) -> None:
    before = contents(folder)
    ended = run("bn-split", folder, "--json", "--to", "made/split.svg", folder=home)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    rows = found["tables"][0]["data"]
    assert [row["epoch"] for row in rows] == [1, 2, 4]
    assert all(row["val_loss_moving"] == row["val_loss_logged"] for row in rows)
    assert all(row["stale"] == row["val_loss_moving"] - row["val_loss_recomputed"] for row in rows)
    assert "<svg" in (home / "made" / "split.svg").read_text()
    assert contents(folder) == before
    text = run("bn-split", folder, "--epochs", "2,4", "--augmented", folder=home).stdout
    assert text.splitlines()[1].split() == ["epoch", "lr", "train", "loss", "moving", "recomputed", "batch", "stale"]
    assert "all training images, augmented" in text


def test_noise_has_a_row_for_each_state_and_layer(home: Path, folder: Path) -> None:
    before = contents(folder)
    given = ("--images", "480", "--layers", "--csv", "--to", "made/noise.csv")
    ended = run("gradient-noise", folder, *given, folder=home)
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    whole = [row for row in rows if row["layer"] == "all weights"]
    assert [(row["epoch"], row["images"]) for row in whole] == [("1", "480"), ("2", "480"), ("4", "480")]
    assert {row["layer"] for row in rows} >= {"stem", "stem_bn", "dense"}
    assert "1,440 images went forward and backward, 480 a moment" in ended.stderr
    assert contents(folder) == before


def test_what_cannot_be_measured_is_refused_with_what_to_do(home: Path, folder: Path) -> None:
    few = run("gradient-noise", folder, "--images", "100", folder=home)
    assert few.returncode == 2
    assert problems(few)[0].startswith("--images: too few to tell noise (got 100); allowed: 480 and more")
    absent = run("bn-split", folder, "--epochs", "3", folder=home)
    assert absent.returncode == 6
    assert "no state is kept after epoch 3, only after 1, 2, 4" in absent.stderr
    picture = run("bn-split", folder, "--to", "split.bmp", folder=home)
    assert picture.returncode == 2
    nowhere = run("bn-split", "runs/none", folder=home)
    assert nowhere.returncode == 5
