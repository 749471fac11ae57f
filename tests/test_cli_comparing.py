"""fewepochs compare: what it prints, what it draws, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import problems, run
from report_runs import make_run, write


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Write three runs each of two recipes as folders, and return the folder that holds them."""
    arms = (("batch_size=64", 0.985), ("batch_size=32", 0.973))
    made = (make_run(arm, seed=seed, plateau=plateau) for seed in range(3) for arm, plateau in arms)
    return write(tmp_path / "runs", *made)


def test_recipes_are_compared_with_n_intervals_and_tests(tmp_path: Path, runs: Path) -> None:
    told = run("compare", runs, "--target", "0.97", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("epochs until 0.97 is first reached; intervals at 95%\n")
    assert "digits-step (batch_size = 32) needs " in told.stdout
    assert "(n = 3 and 3, paired; budget 20)" in told.stdout
    assert "note: n = 3 for " in told.stdout
    assert run("compare", runs, "--target", "0.97", folder=tmp_path).stdout == told.stdout


def test_json_is_the_whole_answer(tmp_path: Path, runs: Path) -> None:
    told = run("compare", runs, "--json", "--rule", "held", "--by", "seconds", "--looks", "2", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    found = json.loads(told.stdout)
    assert (found["rule"], found["by"], found["looks"], found["confidence"]) == ("held", "seconds", 2, 0.975)
    assert found["targets"] == [0.9, 0.97]
    assert (len(found["rows"]), len(found["pairs"]), len(found["sentences"])) == (4, 2, 2)
    assert {row["n"] for row in found["rows"]} == {3}


def test_a_horizon_and_a_width_are_asked_for(tmp_path: Path, runs: Path) -> None:
    told = run("compare", runs, "--target", "0.9", "--horizon", "15", "--width", "1", folder=tmp_path)
    assert told.returncode == 0
    assert "mean up to 15" in told.stdout
    assert "n for width 1" in told.stdout


def test_the_picture_is_named_on_stderr(tmp_path: Path, runs: Path) -> None:
    told = run("compare", runs, "--to", "share.svg", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "picture: share.svg\n")
    assert (tmp_path / "share.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--rule", "last"), "--rule: not a known choice (got 'last'); allowed: first, held"),
        (("--by", "steps"), "--by: not a known choice (got 'steps'); allowed: epochs, seconds, joules"),
        (("--horizon", "0"), "--horizon: not a size (got '0.0'); allowed: a number above 0"),
        (("--width", "nan"), "--width: not a size (got 'nan'); allowed: a number above 0"),
        (("--horizon", "inf"), "--horizon: not a size (got 'inf'); allowed: a number above 0"),
        (("--target", "92"), "--target: not an accuracy (got '92.0'); allowed: a fraction above 0, at most 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    refused = run("compare", "nowhere", *options, folder=tmp_path)
    assert (refused.returncode, refused.stdout, problems(refused)) == (2, "", [told])


def test_a_picture_of_no_known_kind_is_refused(tmp_path: Path, runs: Path) -> None:
    refused = run("compare", runs, "--to", "share.bmp", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "not a kind of picture" in refused.stderr


def test_no_looks_at_all_are_a_mistake_and_missing_folders_a_storage_error(tmp_path: Path) -> None:
    assert run("compare", "nowhere", "--looks", "0", folder=tmp_path).returncode == 2
    missing = run("compare", "nowhere", folder=tmp_path)
    assert (missing.returncode, missing.stdout) == (5, "")
