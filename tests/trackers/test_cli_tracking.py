"""fewepochs track: what it prints, its exit codes, and that run folders are only read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tracked_runs

import command_line
import foreign_runs
import report_runs
import run_folders
from command_line import Ended, problems
from fewepochs import locks, store, trackers
from fewepochs.cli import tracking
from fewepochs.trackers import tensorboard, tracker

RUN = report_runs.make_run()


def track(*arguments: str | Path, folder: Path) -> Ended:
    """Return `fewepochs track ARGUMENTS` as it ends in `folder`."""
    return command_line.run_here("track", *arguments, folder=folder)


def test_the_command_offers_the_trackers_that_there_are() -> None:
    assert tracking.KINDS == tracker.KINDS


def test_it_says_what_is_new_of_each_run_and_then_that_nothing_is(tmp_path: Path) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    foreign = foreign_runs.write(foreign_runs.make(), out=tmp_path / "runs")
    first = track("tensorboard", "runs", folder=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"{RUN.name}: 20 epochs, 20 new, finished",
        f"{foreign.name} (foreign): 20 epochs, 20 new, finished",
    ]
    again = track("tensorboard", "runs", folder=tmp_path)
    assert [line.split(", ")[1] for line in again.stdout.splitlines()] == ["none new"] * 2
    assert (tmp_path / "tensorboard" / RUN.name / tensorboard.FILE).is_file()


def test_json_says_the_same(tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    ended = track("tensorboard", path, "--to", "board", "--json", folder=tmp_path)
    assert json.loads(ended.stdout) == [
        {
            "run": RUN.name,
            "path": str(path),
            "to": "board",
            "state": "finished",
            "foreign": False,
            "epochs": 20,
            "new": 20,
        }
    ]


def test_run_folders_are_only_read(tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    before = run_folders.contents(tmp_path / "runs")
    files = [path, *path.rglob("*")]
    times = [file.stat().st_mtime_ns for file in files]
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    try:
        assert track("tensorboard", "runs", "--follow", "--interval", "0.001", folder=tmp_path).returncode == 0
    finally:
        path.chmod(0o755)
        (path / store.CHECKPOINTS).chmod(0o755)
    assert run_folders.contents(tmp_path / "runs") == before
    assert [file.stat().st_mtime_ns for file in files] == times


def test_a_run_that_is_held_by_training_is_sent_and_stays_held(tmp_path: Path) -> None:
    path = tracked_runs.Growing(RUN, tmp_path).grow(3).path
    with store.hold(path):
        assert track("tensorboard", path, folder=tmp_path).returncode == 0
        assert locks.is_held(path)


# --- what fails -----------------------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_written_is_a_matter_of_storage(tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    before = run_folders.contents(path)
    (tmp_path / "file").write_text("mine")
    ended = track("tensorboard", "runs", "--to", "file/below", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert "file/below: cannot be written: Not a directory" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert run_folders.contents(path) == before


def test_what_the_library_raises_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    before = run_folders.contents(path)

    def fail(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboard.TensorBoard, "send", fail)
    for options in ((), ("--follow", "--interval", "0.001")):
        ended = track("tensorboard", "runs", *options, folder=tmp_path)
        assert ended.returncode == 5
        assert ended.stderr.splitlines()[-1] == (
            "fewepochs: tensorboard: tensorboard failed: [Errno 28] No space left on device. The runs are untouched; "
            "put it right, and the same command sends what is missing"
        )
        assert run_folders.contents(path) == before


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow", "wandb"])
def test_a_library_that_is_not_installed_is_named_with_how_to_install_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    monkeypatch.delitem(sys.modules, f"fewepochs.trackers.{kind}", raising=False)
    monkeypatch.delattr(trackers, kind, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, kind, None)
    ended = track(kind, "runs", folder=tmp_path)
    assert ended.returncode == 2
    (problem,) = problems(ended)
    assert problem.startswith(f"{kind}: not installed")
    assert problem.endswith(f"pip install 'fewepochs[{kind}]'")


def test_two_that_write_to_one_place_are_kept_apart(tmp_path: Path) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    with store.hold(tmp_path / "tensorboard"):
        ended = track("tensorboard", "runs", folder=tmp_path)
    assert ended.returncode == 5
    assert "is working on it; wait for it, or stop it" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("tensorbord", "runs"), 2, "TRACKER: not a known choice (got 'tensorbord')"),
        (("tensorboard", "runs", "--follow", "--interval", "0"), 2, "--interval: not a time between two looks"),
        (("tensorboard", "runs", "--follow", "--interval", "nan"), 2, "--interval: not a time between two looks"),
        (("tensorboard", "absent"), 5, "absent: no such run folder"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    ended = track(*arguments, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert told in ended.stderr
    assert not (tmp_path / "tensorboard").exists()


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_following_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    growing = tracked_runs.Growing(RUN, tmp_path / "runs").grow(3)
    with subprocess.Popen(
        [*command_line.COMMAND, "track", "tensorboard", "runs", "--follow", "--interval", "86400"],
        cwd=tmp_path,
        env=command_line.environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{RUN.name}: 3 epochs, 3 new, running\n"
        growing.grow(5)
        os.kill(process.pid, number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, f"{RUN.name}: 5 epochs, 2 new, running\n")
    assert err == "interrupted; the same command goes on\n"
    assert sorted(file.name for file in (tmp_path / "tensorboard").rglob("*")) == [RUN.name, tensorboard.FILE]
