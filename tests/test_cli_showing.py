"""show and report as a user has them: runs, studies, while they grow, and served."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

import run_folders
from command_line import COMMAND, environment, problems, run
from report_runs import make_run, write


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "pair.toml").write_text(run_folders.STUDY)
    return Path("pair.toml")


def test_a_study_is_shown_where_it_stands(tmp_path: Path, study: Path) -> None:
    told = run("show", study, folder=tmp_path)

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("pair: Which batch?\n2 arms x 2 seeds = 4 cells in runs/pair\n")


def test_a_study_as_json_has_its_cells_and_no_answer_yet(tmp_path: Path, study: Path) -> None:
    found = json.loads(run("show", study, "--json", folder=tmp_path).stdout)

    assert (found["study"], len(found["cells"]), found["answer"]) == ("pair", 4, None)


def test_the_report_of_a_study_has_its_question(tmp_path: Path, study: Path) -> None:
    told = run("report", study, "-o", "r.html", folder=tmp_path)

    assert (told.returncode, told.stdout) == (0, "r.html\n")
    assert '<p class="question">Which batch?</p>' in (tmp_path / "r.html").read_text()


def test_watching_runs_that_have_ended_tells_their_epochs_and_ends(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run(epochs=3))
    told = run("show", "runs", "--watch", "--interval", "0.01", folder=tmp_path)

    assert (told.returncode, told.stderr) == (0, "")
    assert [line.split("  ")[0] for line in told.stdout.splitlines()[:3]] == [
        f"{make_run(epochs=3).name}: epoch {epoch}/20" for epoch in (1, 2, 3)
    ]
    assert "best val_acc" in told.stdout


def test_watching_with_json_gives_the_records_alone(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run(epochs=3))
    told = run("show", "runs", "--watch", "--json", "--interval", "0.01", folder=tmp_path)

    assert [json.loads(line)["record"]["epoch"] for line in told.stdout.splitlines()] == [1, 2, 3]


def test_ctrl_c_ends_the_watching(tmp_path: Path) -> None:
    run_folders.make(tmp_path / "runs" / "run", epochs=1)
    with _started("show", "runs", "--watch", "--interval", "0.05", folder=tmp_path) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("run: epoch 1/")
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=600) == 130


def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run())
    with _started("report", "runs", "--serve", "--port", "0", folder=tmp_path) as child:
        assert child.stdout is not None
        address = child.stdout.readline().split()[0]
        with urlopen(address, timeout=600) as answer:
            assert make_run().name in answer.read().decode()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=600) == 130


@pytest.mark.parametrize("command", [("show", "--watch"), ("report", "--serve")])
def test_a_study_file_with_mistakes_is_told_at_once(tmp_path: Path, command: tuple[str, str]) -> None:
    (tmp_path / "bad.toml").write_text("name = 3\n")
    ended = run(command[0], "bad.toml", command[1], folder=tmp_path)

    assert ended.returncode == 2
    assert "bad.toml" in ended.stderr


def test_an_interval_is_a_time(tmp_path: Path) -> None:
    ended = run("show", "runs", "--watch", "--interval", "0", folder=tmp_path)

    assert ended.returncode == 2
    assert problems(ended) == ["--interval: not a time between two looks (got '0.0'); allowed: seconds, up to a day"]


def _started(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
