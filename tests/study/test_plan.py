"""Where a study stands, and what the rest will cost: from what was measured, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_folders
from fewepochs import store
from fewepochs.study import folder, grid, plan
from fewepochs.trackers import story
from study import study_files

RISING = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)


@pytest.fixture
def study(tmp_path: Path) -> grid.Study:
    return study_files.study(tmp_path)


def test_nothing_is_written_by_looking(tmp_path: Path, study: grid.Study) -> None:
    planned = plan.make(study, out=tmp_path / "runs")
    assert planned.count("missing") == 4
    assert not (tmp_path / "runs").exists()


def test_each_state_is_told_from_the_folder_alone(tmp_path: Path, study: grid.Study) -> None:
    path = tmp_path / study.name
    done, diverged, begun, failed = study.cells
    study_files.write_cell(path, done, RISING)
    study_files.write_cell(path, diverged, RISING[:2], state="diverged")
    study_files.write_cell(path, begun, RISING[:3], state="interrupted")
    folder.note_failure(path, failed.run_name, folder.Failure(exit_code=3, attempts=1, reason="no data"))
    planned = plan.make(study, out=tmp_path)
    assert [one.state for one in planned.standings] == ["done", "done", "begun", "failed"]
    assert [one.epochs_left for one in planned.standings] == [0, 0, 3, 6]
    with store.hold(path / begun.run_name):
        assert plan.standing(path, begun, study=study).state == "running"


def test_a_run_that_stopped_by_the_rule_is_done_only_under_that_rule(tmp_path: Path) -> None:
    ruled = study_files.study(tmp_path, study_files.STUDY + "\n[stop]\ntarget = 0.2\n")
    study_files.write_cell(tmp_path / ruled.name, ruled.cells[0], RISING[:3], stopped="target")
    assert plan.make(ruled, out=tmp_path).standings[0].state == "done"
    unruled = study_files.study(tmp_path)
    assert plan.make(unruled, out=tmp_path).standings[0].state == "begun"


def test_cost_is_the_arms_own_median_else_the_studys_else_unknown(tmp_path: Path, study: grid.Study) -> None:
    first, second = study.arms
    assert plan.make(study, out=tmp_path).cost(first) is None
    assert plan.make(study, out=tmp_path).seconds_left() is None
    study_files.write_cell(tmp_path / study.name, study.cells[0], RISING, seconds=3.0)
    planned = plan.make(study, out=tmp_path)
    assert planned.cost(first) == plan.Cost(3.0, "arm")
    assert planned.cost(second) == plan.Cost(3.0, "study")
    assert planned.seconds_left() == 3.0 * 18
    study_files.write_cell(tmp_path / study.name, study.cells[2], RISING, seconds=5.0)
    planned = plan.make(study, out=tmp_path)
    assert planned.cost(second) == plan.Cost(5.0, "arm")
    assert planned.seconds_left() == 3.0 * 6 + 5.0 * 6


def test_seconds_are_those_of_every_phase(tmp_path: Path, study: grid.Study) -> None:
    phases = {"setup_seconds": 1.0, "compile_seconds": 2.0, "train_seconds": 4.0, "evaluation_seconds": 8.0}
    made = study_files.write_cell(tmp_path / study.name, study.cells[0], ())
    made.append(run_folders.epoch(1), run_folders.cost(1).model_copy(update=phases))
    made.append(run_folders.epoch(2), run_folders.cost(2).model_copy(update={**phases, "compile_seconds": None}))
    planned = plan.make(study, out=tmp_path)
    assert planned.standings[0].seconds == 15.0 + 13.0
    assert planned.cost(study.cells[0].arm) == plan.Cost(14.0, "arm")
    assert story.build(store.read(made.path)).seconds == 15.0 + 13.0


def test_runs_that_are_no_cell_are_named_and_not_counted(tmp_path: Path, study: grid.Study) -> None:
    larger = study_files.study(tmp_path, study_files.STUDY.replace("seeds = [0, 1]", "seeds = [0, 1, 2]"))
    stray = next(cell for cell in larger.cells if cell.seed == 2)
    study_files.write_cell(tmp_path / study.name, stray, RISING)
    planned = plan.make(study, out=tmp_path)
    assert planned.strays == (stray.run_name,)
    assert planned.runs() == ()
