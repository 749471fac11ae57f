"""Asked to stop at any moment, the command saves what there is, leaves nothing else, and says 130 or 143."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import environment
from faults import faulty_runs
from faults.faulty_runs import OFTEN, TRAIN, Whole
from fewepochs import store
from fewepochs.train import checkpoint
from fork_server import Forks, knowing_tests

# --- while it trains ----------------------------------------------------------------------------------------------

AT_WORK = {
    "begin:step:8": (1, 8),
    "begin:evaluate:2": (1, 10),
    "write:checkpoint:8": (1, 9),
    "unlink:checkpoint:6": (1, 8),
    "write:epochs.jsonl:2": (2, 10),
}
"""The moment of the signal; epochs logged and steps saved in the end."""


@pytest.mark.parametrize(
    ("moment", "name", "code"),
    [*((moment, "TERM", 143) for moment in AT_WORK), ("begin:step:8", "INT", 130), ("begin:step:8", "HUP", 143)],
)
def test_a_signal_at_work_is_answered_with_a_checkpoint_of_that_step(
    moment: str, name: str, code: int, forks: Forks, whole: Whole, home: Path
) -> None:
    """No further step is begun, and an evaluation is left, so that no grace time is spent on either."""
    ended = forks.run(*TRAIN, *OFTEN, folder=home, at={moment: name})
    path = faulty_runs.run_path(home)
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.splitlines()[-1] == f"interrupted; go on with: fewepochs resume {path.relative_to(home)}"
    run = store.read(path)
    epochs, steps = AT_WORK[moment]
    assert (run.status.state, run.status.reason, len(run.epochs)) == ("interrupted", "stopped by a signal", epochs)
    assert checkpoint.newest_first(path / store.CHECKPOINTS)[0].name == f"step-{steps:09d}.ckpt"
    if name == "TERM":  # the other two were saved by the same lines
        assert forks.run("resume", path, folder=home).returncode == 0
        assert faulty_runs.bits(path) == whole.bits


def test_out_at_once_after_the_last_line_of_the_log_is_not_done(forks: Forks, whole: Whole, home: Path) -> None:
    """The log is complete then, and the state is not saved."""
    ended = forks.run(*TRAIN, folder=home, at={"open:costs.jsonl:4": "INT", "fsync:epochs.jsonl:4": "INT"})
    assert (ended.returncode, "Traceback" in ended.stderr) == (130, False)
    path = faulty_runs.run_path(home)
    run = store.read(path)
    assert (run.status.state, run.status.reason) == ("interrupted", "stopped at once by a signal")
    assert len(run.epochs) == faulty_runs.EPOCHS
    again = forks.run(*TRAIN, folder=home)
    assert (again.returncode, "already done" in again.stderr) == (0, False)
    assert faulty_runs.bits(path) == whole.bits


def test_sigusr1_saves_after_the_step_and_goes_on(forks: Forks, whole: Whole, home: Path) -> None:
    asked = forks.run(*TRAIN, folder=home, at={"begin:step:8": "USR1", "begin:step:9": "KILL"})
    path = faulty_runs.run_path(home)
    assert asked.returncode == -9
    assert checkpoint.newest_first(path / store.CHECKPOINTS)[0].name == "step-000000008.ckpt"
    again = forks.run(*TRAIN, folder=home, at={"begin:step:1": "USR1"})
    assert again.returncode == 0, again.stderr
    assert faulty_runs.bits(path) == whole.bits


def test_a_hang_up_that_is_ignored_stays_ignored(whole: Whole, home: Path) -> None:
    """As under nohup."""
    code = f"trap '' HUP; exec {sys.executable} -c '{SENDING}' begin:step:8 HUP {' '.join(TRAIN)}"
    ended = subprocess.run(
        ["/bin/sh", "-c", code], cwd=home, env=knowing_tests(environment(home)), capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert faulty_runs.bits(faulty_runs.run_path(home)) == whole.bits


def test_ctrl_c_reaches_the_whole_process_group_and_leaves_no_orphan(home: Path) -> None:
    process = subprocess.Popen(
        faulty_runs.in_the_real_command(*TRAIN, "--set", "budget.epochs=4000", "--progress", "json"),
        cwd=home,
        env=knowing_tests(environment(home)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b'"epoch"' in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


# --- before there is anything to save -----------------------------------------------------------------------------

SENDING = """
import sys
from faults import moments
moment, name = sys.argv[1:3]
del sys.argv[1:3]
moments.watch({moment: name})
from fewepochs.cli import start
start.main()
"""
"""The real command, whose process sends itself a signal at a moment."""

IMPORTING = """
import importlib.abc, os, sys
module, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
from fewepochs.cli import start
start.main()
"""
"""The real command, whose process sends itself a signal when a module is about to be imported."""


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("begin:load:1", "TERM"),
        ("begin:prepare:1", "INT"),
        ("begin:build:1", "HUP"),
        ("write:environment.json:1", "TERM"),
    ],
)
def test_a_signal_during_set_up_leaves_nothing_behind(moment: str, name: str, forks: Forks, home: Path) -> None:
    ended = forks.run(*TRAIN, folder=home, at={moment: name})
    assert (ended.returncode, ended.stderr, ended.stdout) == (130 if name == "INT" else 143, "", "")
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("typer", signal.SIGINT),
        ("fewepochs.api", signal.SIGTERM),
        ("torch", signal.SIGTERM),
        ("torch.nn", signal.SIGINT),
        ("fewepochs.train.session", signal.SIGTERM),
    ],
)
def test_a_signal_during_imports_leaves_nothing_behind(module: str, number: signal.Signals, home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTING, module, str(int(number)), *TRAIN],
        cwd=home,
        env=knowing_tests(environment(home)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (130 if number == signal.SIGINT else 143, "", "")
    assert not (home / "runs").exists()


def test_a_signal_while_kernels_are_compiled_leaves_nothing_behind(home: Path) -> None:
    """The compiler is one that tells its parent to stop, and would then take for ever."""
    compiler = home / "slow-c++"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\nkill -TERM $PPID\nexec tail -f /dev/null\n')
    compiler.chmod(0o755)
    ended = subprocess.run(
        faulty_runs.in_the_real_command("train", "tiny.toml", "--threads", "1", "--kernels", "fused"),
        cwd=home,
        env={**knowing_tests(environment(home)), "CXX": str(compiler)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (143, "")
    assert not (home / "runs").exists()
    assert list((home / "cache" / "kernels").iterdir()) == []


def test_a_signal_while_a_known_run_is_read_changes_nothing(forks: Forks, home: Path) -> None:
    assert forks.run(*TRAIN, *OFTEN, folder=home, at={"begin:step:8": "KILL"}).returncode == -9
    before = {path: path.read_bytes() for path in (home / "runs").rglob("*") if path.is_file() and path.name != "lock"}
    ended = forks.run(*TRAIN, folder=home, at={"begin:build:1": "TERM"})
    assert (ended.returncode, ended.stderr) == (143, "")
    after = {path: path.read_bytes() for path in (home / "runs").rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before
