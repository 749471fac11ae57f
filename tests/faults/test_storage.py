"""A disk that is full, read-only, or limited: the old checkpoint stays whole, nothing half written stays, exit 5."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import command_line
from faults import faulty_runs
from faults.faulty_runs import OFTEN, TRAIN, Whole
from fewepochs import store
from fewepochs.train import checkpoint
from fork_server import Forks

FULL = [
    "open:checkpoint:7",
    "write:checkpoint:7",
    "fsync:checkpoint:7",
    "rename:checkpoint:7",
    "write:best.ckpt:1",
    "write:epochs.jsonl:2",
    "fsync:costs.jsonl:2",
    "write:status.json:5",
]


@pytest.mark.parametrize("moment", FULL)
def test_a_disk_that_fills_up_costs_no_bit(moment: str, forks: Forks, whole: Whole, home: Path) -> None:
    ended = forks.run(*TRAIN, *OFTEN, folder=home, at={moment: "ENOSPC"})
    path = faulty_runs.run_path(home)
    assert (ended.returncode, "Traceback" in ended.stderr) == (5, False)
    said = ended.stderr.splitlines()[-1]
    assert said.startswith(f"fewepochs: runs/{path.name}/")
    assert "cannot be written: No space left on device: needs " in said
    assert said.endswith(" free; free space, or choose another place")
    assert not list(home.rglob("*.part"))
    for whole_one in checkpoint.newest_first(path / store.CHECKPOINTS):
        checkpoint.load(whole_one)
    assert store.read(path).status.state == "crashed"
    assert forks.run("resume", path, folder=home).returncode == 0
    assert faulty_runs.bits(path) == whole.bits


@pytest.mark.parametrize("moment", ["write:environment.json:1", "fsync:status.json:1", "rename:recipe.toml:1"])
def test_a_disk_that_is_full_before_a_run_begins_leaves_nothing(moment: str, forks: Forks, home: Path) -> None:
    ended = forks.run(*TRAIN, folder=home, at={moment: "ENOSPC"})
    assert (ended.returncode, "Traceback" in ended.stderr) == (5, False)
    assert not (home / "runs").exists()


def test_a_limit_on_the_size_of_files_is_a_message_with_the_size_that_is_needed(whole: Whole, home: Path) -> None:
    """Blocks of 512 bytes: the log fits, a checkpoint does not."""
    size = (whole.path / store.CHECKPOINTS / checkpoint.BEST).stat().st_size
    limit = 4_096
    assert size > limit
    command = ["/bin/sh", "-c", f'ulimit -f {limit // 512}; exec "$@"', "sh", *faulty_runs.in_the_real_command(*TRAIN)]
    ended = subprocess.run(
        command, cwd=home, env=command_line.environment(home), capture_output=True, text=True, check=False
    )
    path = faulty_runs.run_path(home)
    assert (ended.returncode, "Traceback" in ended.stderr) == (5, False)
    assert re.search(r"/best.ckpt: cannot be written: File too large: needs 5,\d\d\d bytes; free", ended.stderr)
    assert list((path / store.CHECKPOINTS).iterdir()) == []
    assert command_line.run("resume", path, folder=home).returncode == 0
    assert faulty_runs.bits(path) == whole.bits


# --- real file systems --------------------------------------------------------------------------------------------


def _mounted(folder: Path, options: str) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"\0" * 4096)


@pytest.fixture
def small(home: Path) -> Iterator[Path]:
    """Return a folder on a file system of its own with 1 MiB."""
    if not _mounted(home / "small", "size=1m"):
        pytest.skip("mounting needs root")
    yield home / "small"
    subprocess.run(["umount", str(home / "small")], check=True)


def test_a_real_disk_that_fills_up_while_a_run_trains_costs_no_bit(small: Path, whole: Whole, home: Path) -> None:
    """Whoever fills it has read that an epoch has ended; the run has epochs enough not to end before."""
    longer = ("--set", "budget.epochs=4000")
    training = command_line.Training(*TRAIN[:2], "--out", "small", *command_line.TRAINING, *longer, *OFTEN, folder=home)
    training.wait_for(epochs=1)
    _fill(small)
    ended = training.stop()
    assert (ended.returncode, "Traceback" in ended.stderr) == (5, False)
    assert "No space left on device: needs " in ended.stderr
    assert not list(small.rglob("*.part"))
    (path,) = store.find([small])
    kept = checkpoint.newest_first(path / store.CHECKPOINTS)
    assert kept
    for each in kept:
        checkpoint.load(each)
    (small / "filler").unlink()
    again = command_line.Training("resume", str(path), folder=home)
    again.wait_for(epochs=1)
    assert again.stop(signal.SIGTERM).returncode == 143


def test_too_little_space_is_refused_before_a_run_begins(small: Path, forks: Forks, home: Path) -> None:
    (small / "filler").write_bytes(b"\0" * 900_000)
    ended = forks.run("train", "tiny.toml", "--out", "small/runs", *command_line.TRAINING, folder=home)
    assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (5, "", False)
    assert "too little space: checkpoints need 0.3 MB, " in ended.stderr
    assert [entry.name for entry in small.iterdir()] == ["filler"]


def test_a_read_only_file_system_is_named_and_left_alone(home: Path, forks: Forks) -> None:
    if not _mounted(home / "frozen", "ro"):
        pytest.skip("mounting needs root")
    try:
        ended = forks.run("train", "tiny.toml", "--out", "frozen/runs", *command_line.TRAINING, folder=home)
    finally:
        subprocess.run(["umount", str(home / "frozen")], check=True)
    assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (5, "", False)
    assert "cannot be written: Read-only file system; choose another place" in ended.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named_and_left_alone(home: Path, forks: Forks) -> None:
    (home / "frozen").mkdir(mode=0o555)
    ended = forks.run("train", "tiny.toml", "--out", "frozen/runs", *command_line.TRAINING, folder=home)
    assert (ended.returncode, "Permission denied" in ended.stderr) == (5, True)
    assert list((home / "frozen").iterdir()) == []
