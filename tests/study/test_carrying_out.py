"""A study on the command line, with real workers: planned, carried out, killed, gone on with, extended, answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

import command_line
from fewepochs import locks, store
from fewepochs import recipe as recipes
from study import study_files
from study.test_local import alive, until

RUN = ("study", "run", "study.toml", "--out", "runs", "--jobs", "2", *command_line.TRAINING)
LONG = study_files.STUDY.replace("[axes]", "[set]\nbudget.epochs = 30\n[axes]")
TWO_CELLS = LONG.replace("seeds = [0, 1]", "seeds = [0]")


def fingerprints(path: Path) -> Mapping[str, tuple[int, int]]:
    """Return inode and time of every file of the runs: equal if nobody wrote them again."""
    files = [file for file in sorted(path.glob("*-s*/**/*")) if file.is_file() and file.name != locks.FILE]
    return {str(file.relative_to(path)): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the logs of the long study's cells, each trained by itself."""
    folder = tmp_path_factory.mktemp("whole")
    for k, cell in enumerate(study_files.study(folder, LONG).cells):
        (folder / f"{k}.toml").write_text(recipes.to_toml(cell.recipe))
    files = [file.name for file in sorted(folder.glob("[0-9].toml"))]
    for file in files:
        ended = command_line.run("train", file, "--out", "alone", *command_line.TRAINING, folder=folder)
        assert ended.returncode == 0, ended.stderr
    assert len(files) == len(study_files.logs(folder / "alone")) == 4
    return study_files.logs(folder / "alone")


def has_the_bits(path: Path, whole: Mapping[str, bytes], *, cells: int) -> bool:
    """Say whether a study's folder has as many `cells`, each with the logs of one that was trained by itself."""
    found = study_files.logs(path)
    return len(found) == cells and found.items() <= whole.items()


def begun(folder: Path, text: str = TWO_CELLS) -> subprocess.Popen[str]:
    """Begin a long study in a process group of its own, and return when two cells have an epoch."""
    study_files.home(folder, text)
    running = subprocess.Popen(
        [*command_line.COMMAND, *RUN, "--progress", "plain"],
        cwd=folder,
        env=command_line.environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: sum(bool(log) for log in study_files.logs(folder / "runs" / "two-rates").values()) >= 2)
    return running


def workers_of(folder: Path) -> list[int]:
    """Return the processes that hold a run folder under `folder`."""
    found = []
    for lock in (folder / "runs" / "two-rates").glob(f"*/{locks.FILE}"):
        words = lock.read_text().split()
        if words and alive(int(words[1])):
            found.append(int(words[1]))
    return found


# --- undisturbed ------------------------------------------------------------------------------------------------------


def test_plan_run_answer_as_a_user_meets_them(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    planned = command_line.run("study", "plan", "study.toml", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "2 arms x 2 seeds = 4 cells" in planned.stdout
    assert "cost: unknown" in planned.stdout
    early = command_line.run("study", "answer", "study.toml", folder=tmp_path)
    assert early.returncode == 5
    assert "no cell of two-rates has an epoch yet" in early.stderr

    ended = command_line.run(*RUN, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Which rate?\n")
    assert "[4/4]" in ended.stderr
    assert not any(line.startswith("[") for line in ended.stdout.splitlines()), "data alone go to stdout"

    path = tmp_path / "runs" / "two-rates"
    before = fingerprints(path)
    again = command_line.run(*RUN, folder=tmp_path)
    assert (again.returncode, again.stdout) == (0, ended.stdout)
    assert fingerprints(path) == before, "a finished cell is never touched again"

    answer = command_line.run("study", "answer", "study.toml", "--json", folder=tmp_path)
    found = json.loads(answer.stdout)
    assert found["cells"] == {"done": 4, "running": 0, "begun": 0, "failed": 0, "missing": 0}
    assert found["question"] == "Which rate?"
    plan = json.loads(command_line.run("study", "plan", "study.toml", "--json", folder=tmp_path).stdout)
    assert [cell["state"] for cell in plan["cells"]] == ["done"] * 4
    assert plan["seconds_left"] == 0


@pytest.mark.slow
def test_a_cell_is_the_run_that_train_makes_of_its_recipe(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    command_line.run(*RUN, "--cells", "0", folder=tmp_path)
    (cell,) = (tmp_path / "runs" / "two-rates").glob(f"*/{store.RECIPE}")
    command_line.run("train", cell, "--out", "alone", *command_line.TRAINING, folder=tmp_path)
    assert study_files.logs(tmp_path / "alone") == study_files.logs(tmp_path / "runs" / "two-rates")


@pytest.mark.slow
def test_some_cells_only_and_the_rest_later(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    assert command_line.run(*RUN, "--cells", "1,3", folder=tmp_path).returncode == 0
    assert len(study_files.logs(tmp_path / "runs" / "two-rates")) == 2
    wrong = command_line.run(*RUN, "--cells", "4", folder=tmp_path)
    assert wrong.returncode == 2
    assert "no such cell" in wrong.stderr
    assert command_line.run(*RUN, folder=tmp_path).returncode == 0
    assert len(study_files.logs(tmp_path / "runs" / "two-rates")) == 4


@pytest.mark.slow
def test_a_study_is_extended_without_repeating_anything(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    command_line.run(*RUN, folder=tmp_path)
    before = fingerprints(tmp_path / "runs" / "two-rates")
    study_files.home(tmp_path, study_files.STUDY.replace("[1e-2, 2e-2]", "[1e-2, 2e-2, 4e-2]"))
    ended = command_line.run(*RUN, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    after = fingerprints(tmp_path / "runs" / "two-rates")
    assert {name: after[name] for name in before} == before
    assert len(study_files.logs(tmp_path / "runs" / "two-rates")) == 6
    assert "After 4 cells were done: arms added or changed: lr-0.04" in ended.stdout


@pytest.mark.slow
def test_other_rules_after_the_first_cell_are_refused(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    command_line.run(*RUN, "--cells", "0", folder=tmp_path)
    study_files.home(tmp_path, study_files.STUDY.replace("0.3]", "0.4]"))
    for command in (RUN, ("study", "answer", "study.toml", "--out", "runs")):
        ended = command_line.run(*command, folder=tmp_path)
        assert ended.returncode == 2
        assert "targets: was [0.2, 0.3] when the study began" in ended.stderr


@pytest.mark.slow
def test_cells_that_cannot_be_trained_are_said_and_the_others_are_done(tmp_path: Path) -> None:
    study_files.home(tmp_path, study_files.STUDY + "\n[arms.good]\n[arms.bad]\ndata.kind = 'npz'\n")
    ended = command_line.run(*RUN, folder=tmp_path)
    assert ended.returncode == 7, ended.stderr
    assert "4 of 8 cells failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    planned = command_line.run("study", "plan", "study.toml", folder=tmp_path)
    assert "4 done, 4 failed" in planned.stdout
    found = json.loads(command_line.run("study", "answer", "study.toml", "--json", folder=tmp_path).stdout)
    assert "4 of 8 cells are not done, 4 of them failed: this is a look, not the answer." in found["caveats"]


@pytest.mark.slow
def test_json_progress_is_one_event_a_line(tmp_path: Path) -> None:
    study_files.home(tmp_path)
    ended = command_line.run(*RUN, "--progress", "json", "--json", folder=tmp_path)
    lines = ended.stdout.splitlines()
    events = [json.loads(line) for line in lines if line.startswith('{"event"')]
    assert [event["event"] for event in events].count("done") == 4
    assert {event["seed"] for event in events} == {0, 1}


# --- killed -----------------------------------------------------------------------------------------------------------


SLOW = pytest.mark.slow


@pytest.mark.parametrize("what", ["worker", pytest.param("driver", marks=SLOW), pytest.param("all", marks=SLOW)])
def test_whatever_is_killed_the_same_command_ends_in_the_same_bits(
    tmp_path: Path, whole: Mapping[str, bytes], what: str
) -> None:
    running = begun(tmp_path)
    at_work = workers_of(tmp_path)
    assert at_work
    if what == "worker":
        os.kill(at_work[0], signal.SIGKILL)
    else:
        os.kill(running.pid, signal.SIGKILL)
        for pid in at_work if what == "all" else ():
            os.kill(pid, signal.SIGKILL)
    _, said = running.communicate()
    if what == "worker":
        assert running.returncode == 0, said
        assert "once more: killed by SIGKILL" in said
    else:
        until(lambda: not any(map(alive, at_work)))
        ended = command_line.run(*RUN, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
    assert has_the_bits(tmp_path / "runs" / "two-rates", whole, cells=2)


@pytest.mark.parametrize(("number", "code"), [pytest.param(signal.SIGINT, 130, marks=SLOW), (signal.SIGTERM, 143)])
def test_a_signal_saves_all_cells_and_the_same_command_goes_on(
    tmp_path: Path, whole: Mapping[str, bytes], number: signal.Signals, code: int
) -> None:
    running = begun(tmp_path)
    at_work = workers_of(tmp_path)
    os.killpg(running.pid, number)
    _, said = running.communicate()
    assert running.returncode == code, said
    assert "saved after" in said
    assert "the same command goes on" in said
    assert not any(map(alive, at_work))
    assert command_line.run(*RUN, folder=tmp_path).returncode == 0
    assert has_the_bits(tmp_path / "runs" / "two-rates", whole, cells=2)


@pytest.mark.slow
def test_two_processes_share_a_studys_cells(tmp_path: Path, whole: Mapping[str, bytes]) -> None:
    first = begun(tmp_path, LONG)
    ended = command_line.run(*RUN, folder=tmp_path)
    _, said = first.communicate()
    assert (first.returncode, ended.returncode) == (0, 0), said + ended.stderr
    assert has_the_bits(tmp_path / "runs" / "two-rates", whole, cells=4)
    runs = [store.read(log.parent) for log in (tmp_path / "runs" / "two-rates").glob(f"*/{store.EPOCHS}")]
    assert len(runs) == 4
    assert not any(run.environment.get("resumed") for run in runs), "each cell was trained by one of them, once"
