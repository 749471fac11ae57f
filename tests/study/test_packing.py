"""Seeds side by side: the bits of runs alone, cores of their own, and no run that suffers from another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import command_line
from fewepochs import locks, runtime, store
from fewepochs.api import training
from fewepochs.cli import options
from fewepochs.errors import RecipeError
from fewepochs.report import study_console
from fewepochs.study import local, packing
from study import study_files
from study.test_local import alive, ending, job, place, until

PACK = ("train", "tiny.toml", "--seeds", "0..2", "--out", "runs", "--kernels", "torch", "--pack", "2")


# --- how many at a time, and where ------------------------------------------------------------------------------------


@given(cores=st.sets(st.integers(0, 63), min_size=1), count=st.integers(1, 70))
def test_shares_are_of_one_size_have_no_core_in_common_and_leave_less_than_one_each(
    cores: set[int], count: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: cores)
        found = local.shares(count)
    if count > len(cores):
        assert found == ()
        return
    assert len(found) == count
    assert {len(share) for share in found} == {len(cores) // count}
    assert len(frozenset().union(*found)) == sum(map(len, found)), "no core twice"
    assert frozenset().union(*found) <= cores


@pytest.mark.parametrize(
    ("asked", "cores", "seeds", "device", "gpus", "expected"),
    [
        (None, 8, 3, "cpu", (), 3),
        (None, 2, 8, "cpu", (), 2),
        (None, 2, 8, "auto", (), 2),
        (None, 16, 8, "auto", ("0", "1"), 2),
        (None, 16, 8, "cuda:1", ("0", "1"), 1),
        (None, 16, 8, "cpu", ("0", "1"), 8),
        (5, 2, 8, "cpu", (), 5),
    ],
)
def test_auto_is_one_process_a_core_or_a_gpu_and_no_more_than_seeds(
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None,
    cores: int,
    seeds: int,
    device: str,
    gpus: tuple[str, ...],
    expected: int,
) -> None:
    monkeypatch.setattr(local, "cores", lambda: cores)
    monkeypatch.setattr(local, "gpus", lambda: gpus)
    assert packing.processes(asked, seeds=seeds, device=device) == expected


TELLS_ITS_PLACE = """
import os, sys
sys.stdin.readline()
print(sorted(os.sched_getaffinity(0)), os.environ.get('OMP_NUM_THREADS'), file=sys.stderr)
print('{"exit_code": 0}')
"""


@pytest.mark.parametrize(("threads", "told"), [(None, "1"), (7, "7")])
def test_a_process_is_on_its_cores_before_it_has_its_job(tmp_path: Path, threads: int | None, told: str) -> None:
    core = max(os.sched_getaffinity(0))
    where = place(tmp_path, TELLS_ITS_PLACE, pins=(frozenset({core}),))
    where.begin("cell", job(tmp_path / "cell", threads=threads))
    assert ending(where).exit_code == 0
    where.close()
    assert (tmp_path / "cell.log").read_text() == f"[{core}] {told}\n"


@pytest.mark.parametrize(
    ("asked", "threads", "pinned", "given"),
    [(2, None, 2, None), (2, 2, 2, 2), (2, 3, 0, 3), (4, None, 4, None), (5, None, 0, 1), (1, None, 1, None)],
)
def test_threads_are_cores_over_processes_and_too_many_of_them_are_not_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, threads: int | None, pinned: int, given: int | None
) -> None:
    """Of four cores. Threads that are left open are those of a run that goes on, or as many as it has cores."""
    seen: dict[str, Any] = {}

    class Stage(local.Local):
        def __init__(self, **arguments: Any) -> None:
            seen.update(arguments)
            super().__init__(**{**arguments, "command": ("true",)})

        def begin(self, name: str, asked_for: Any) -> None:
            seen["threads"] = asked_for.runtime.threads
            super().begin(name, asked_for)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(local, "Local", Stage)
    monkeypatch.setattr(packing, "RETRIES", 0)
    how = runtime.Runtime(device="cpu", threads=threads)
    runs = study_files.seeds_of_tiny(tmp_path)
    packing.train(runs, out=tmp_path / "runs", runtime=how, asked=asked, view=study_console.View())
    assert (seen["slots"], len(seen["pins"]), seen["threads"]) == (asked, pinned, given)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "", "99999"])
def test_what_is_no_number_of_processes_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--pack: not a number of processes"):
        options.processes(text)
    assert (options.processes("auto"), options.processes("3")) == (None, 3)


# --- trained ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_run_has_the_bits_of_one_that_is_trained_alone(tmp_path: Path) -> None:
    runs, alone = study_files.seeds_of_tiny(tmp_path, "budget.epochs=2"), tmp_path / "alone"
    how = runtime.Runtime(device="cpu", threads=1, kernels="torch")
    done = training.pack(runs[:2], out=tmp_path / "runs", processes=2, runtime=how)
    assert [one.state for one in done.plan.standings] == ["done", "done"]
    for one in runs[:2]:
        training.train(one, out=alone, runtime=how)
    assert len(study_files.logs(alone)) == 2
    assert study_files.logs(tmp_path / "runs") == study_files.logs(alone)
    again = training.pack(runs[:2], out=tmp_path / "runs", processes=2, runtime=how)
    assert [one.state for one in again.before.standings] == ["done", "done"], "and nothing is begun"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs trained one after the other, with a thread each."""
    folder = tmp_path_factory.mktemp("whole")
    command_line.tiny(folder)
    ended = command_line.run(*PACK[:-2], "--threads", "1", folder=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "runs"


def begun(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Begin the command in a process group of its own; return when a run has an epoch."""
    command_line.tiny(folder)
    running = subprocess.Popen(
        [*command_line.COMMAND, *PACK, "--threads", "1", *more],
        cwd=folder, env=command_line.environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until(lambda: any(study_files.logs(folder / "runs").values()))
    return running


def workers_of(folder: Path) -> list[int]:
    words = [lock.read_text().split() for lock in sorted((folder / "runs").glob(f"*/{locks.FILE}"))]
    return [int(found[1]) for found in words if found]


@pytest.mark.slow
def test_a_signal_saves_all_and_the_same_command_goes_on_to_the_same_bits(tmp_path: Path, whole: Path) -> None:
    running = begun(tmp_path)
    at_work = workers_of(tmp_path)
    assert at_work
    os.killpg(running.pid, signal.SIGINT)
    out, said = running.communicate()
    assert running.returncode == 130, said
    states = [store.read(one.parent).status.state for one in (tmp_path / "runs").glob(f"*/{store.RECIPE}")]
    assert set(states) <= {"interrupted", "finished"}, "one may have come to its end meanwhile"
    assert said.count("saved after") >= states.count("interrupted") >= 1, "one may have been left without an epoch"
    assert said.endswith("interrupted; the same command goes on\n")
    assert "interrupted" in out
    assert not any(map(alive, at_work))
    ended = command_line.run(*PACK, "--threads", "1", "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [entry["state"] for entry in json.loads(ended.stdout)["runs"]] == ["finished"] * 3
    assert study_files.logs(tmp_path / "runs") == study_files.logs(whole)


@pytest.mark.slow
def test_a_run_that_is_killed_disturbs_no_other_and_goes_on(tmp_path: Path, whole: Path) -> None:
    running = begun(tmp_path)
    os.kill(workers_of(tmp_path)[0], signal.SIGKILL)
    _, said = running.communicate()
    assert running.returncode == 0, said
    assert "once more: killed by SIGKILL" in said
    assert study_files.logs(tmp_path / "runs") == study_files.logs(whole)


@pytest.mark.slow
def test_a_run_that_was_begun_keeps_its_threads(tmp_path: Path) -> None:
    command_line.tiny(tmp_path)
    first = command_line.Training(*PACK[:-2], "--threads", "3", folder=tmp_path)
    first.wait_for(epochs=2)
    first.stop(signal.SIGINT)
    assert command_line.run(*PACK, folder=tmp_path).returncode == 0
    found = [store.read(log.parent).environment for log in sorted((tmp_path / "runs").glob(f"*/{store.EPOCHS}"))]
    share = len(os.sched_getaffinity(0)) // 2 or 1
    assert [one["threads"] for one in found] == [3, share, share]
    assert found[0]["resumed"][0]["bit_exact"]


@pytest.mark.slow
def test_failed_runs_are_said_with_their_reason_and_the_others_are_trained(tmp_path: Path) -> None:
    runs = study_files.seeds_of_tiny(tmp_path)
    path = tmp_path / "runs" / store.run_name(runs[1])
    path.parent.mkdir()
    path.write_text("a file where a folder should be")
    ended = command_line.run(*PACK, folder=tmp_path)
    assert ended.returncode == 7
    assert "1 of 3 cells failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(study_files.logs(tmp_path / "runs")) == sorted(store.run_name(runs[k]) for k in (0, 2))


@pytest.mark.slow
def test_progress_as_json_is_events_and_a_summary(tmp_path: Path) -> None:
    study_files.seeds_of_tiny(tmp_path)
    ended = command_line.run(*PACK, "--progress", "json", folder=tmp_path)
    found = command_line.events(ended.stdout)
    assert [event["event"] for event in found].count("done") == 3
    assert found[-1]["event"] == "summary"
    assert [entry["seed"] for entry in found[-1]["runs"]] == [0, 1, 2]
