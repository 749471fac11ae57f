"""The answer of a study tells how its grid changed after there were results, and is corrected for the looks."""

from __future__ import annotations

from pathlib import Path

import pytest

import command_line
from fewepochs.report import study_answer
from fewepochs.study import folder, plan
from study import study_files

TEN = study_files.STUDY.replace("[0, 1]", '"0..9"')
SIX = study_files.STUDY.replace("[0, 1]", '"0..5"')
OTHERS = study_files.STUDY.replace("[0, 1]", '"10..15"')
ONE_ARM = TEN.replace("[1e-2, 2e-2]", "[1e-2]")


def carried_out(home: Path) -> None:
    """Write all cells of the study with ten seeds, as done."""
    study = study_files.study(home, TEN)
    folder.begin(home / "runs" / study.name, study, threads=1, done=0)
    for cell in study.cells:
        study_files.write_cell(home / "runs" / study.name, cell, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def answered(home: Path, text: str) -> tuple[int, list[str]]:
    """Return the looks and what is told of the course, of the study as the file is now."""
    found = study_answer.build(plan.make(study_files.study(home, text), out=home / "runs"))
    return found["looks"], found["course"]


def test_a_study_that_did_not_change_has_no_course(tmp_path: Path) -> None:
    carried_out(tmp_path)

    assert answered(tmp_path, TEN) == (1, [])


@pytest.mark.parametrize("recorded", [False, True])
def test_seeds_that_are_left_out_after_results_are_told_and_one_look_more(tmp_path: Path, recorded: bool) -> None:
    carried_out(tmp_path)
    if recorded:
        study = study_files.study(tmp_path, SIX)
        folder.begin(tmp_path / "runs" / study.name, study, threads=1, done=20)

    assert answered(tmp_path, SIX) == (2, ["After 20 cells were done: seeds taken out: 6, 7, 8, 9."])


def test_arms_that_are_left_out_after_results_are_told_without_another_run(tmp_path: Path) -> None:
    carried_out(tmp_path)

    assert answered(tmp_path, ONE_ARM) == (1, ["After 20 cells were done: arms taken out: lr-0.02."])


def test_new_seeds_in_place_of_all_that_gave_results_are_told(tmp_path: Path) -> None:
    carried_out(tmp_path)
    study = study_files.study(tmp_path, OTHERS)
    study_files.write_cell(tmp_path / "runs" / study.name, study.cells[0], [0.1, 0.4, 0.4, 0.4, 0.4, 0.4])

    looks, (missing, added, gone) = answered(tmp_path, OTHERS)
    assert looks == 2
    assert missing.startswith("11 of 12 cells are not done")
    assert added == "After 21 cells were done: seeds added: 10, 11, 12, 13, 14, 15."
    assert gone == "After 21 cells were done: seeds taken out: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."


def test_a_study_with_other_rules_is_not_planned(tmp_path: Path) -> None:
    carried_out(tmp_path)
    study_files.home(tmp_path, TEN.replace("0.3]", "0.4]"))

    for command in (["study", "plan"], ["show"]):
        ended = command_line.run(*command, "study.toml", folder=tmp_path)
        assert ended.returncode == 2
        assert command_line.problems(ended)[0].startswith("targets: was [0.2, 0.3] when the study began")


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_study_is_not_asked_for_other_targets(tmp_path: Path, command: str) -> None:
    study_files.home(tmp_path)
    ended = command_line.run(command, "study.toml", "--target", "0.7", folder=tmp_path)

    assert ended.returncode == 2
    assert command_line.problems(ended) == [
        "--target: a study asks for its own (got '0.7'); allowed: its run folders instead of its file"
    ]
