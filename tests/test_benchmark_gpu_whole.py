"""Recipes trained whole on one GPU, tried on a CPU: each to its own epoch, and no longer than was said."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import torch

import command_line
from benchmarks import gpu_whole
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.study import streams

RUNTIME = runtimes.Runtime(device="cpu", kernels="torch", threads=1)


def jobs(tmp_path: Path, *texts: str) -> list[gpu_whole.Job]:
    path = tmp_path / "tiny.toml"
    path.write_text(command_line.TINY.replace(f"epochs = {command_line.EPOCHS}", "epochs = 2"))
    return [gpu_whole.Job.of(f"{path} {text}") for text in texts]


def trained(chosen: list[gpu_whole.Job], out: Path, *, lanes: int) -> list[store.StoredRun]:
    gpu_whole.train(chosen, out=out, runtime=RUNTIME, lanes=lanes, seconds=1e6)
    return [store.read(out / store.run_name(job.recipe)) for job in chosen]


def test_runs_side_by_side_have_the_bits_of_runs_alone(tmp_path: Path) -> None:
    chosen = jobs(tmp_path, "seed=0", "seed=1", "seed=2 until=1")
    alone = trained(chosen, tmp_path / "alone", lanes=1)
    together = trained(chosen, tmp_path / "together", lanes=3)
    assert [run.epochs for run in together] == [run.epochs for run in alone]
    assert [len(run.epochs) for run in together] == [2, 2, 1]
    assert [run.environment["together"] for run in (*alone, *together)] == [1, 1, 1, 3, 3, 3]


def test_a_job_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    chosen = jobs(tmp_path, "seed=0", "batch_size=100000", "seed=1")
    failed = gpu_whole.train(chosen, out=tmp_path / "runs", runtime=RUNTIME, lanes=1, seconds=1e6)
    assert len(failed) == 1
    assert "batch_size" in failed[0]
    assert [len(store.read(tmp_path / "runs" / store.run_name(chosen[i].recipe)).epochs) for i in (0, 2)] == [2, 2]


def test_when_the_time_is_up_runs_are_saved_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, begun, asked = jobs(tmp_path, "seed=0", "seed=1", "seed=2"), threading.Event(), threading.Event()
    stop = streams.Streams.stop

    def stop_and_tell(place: streams.Streams) -> None:
        stop(place)
        asked.set()

    def epoch(*_: object) -> None:
        begun.set()
        asked.wait()

    with monkeypatch.context() as patched:
        patched.setattr(streams.Streams, "stop", stop_and_tell)
        patched.setattr(gpu_whole, "tell", epoch)
        # The time is up after an epoch.
        failed = gpu_whole.train(
            chosen, out=tmp_path / "runs", runtime=RUNTIME, lanes=1, seconds=0.5, clock=lambda: float(begun.is_set())
        )
    assert failed == []
    [left] = [store.read(path) for path in (tmp_path / "runs").glob("tiny-*")]
    assert (left.status.state, left.status.reason, len(left.epochs)) == ("interrupted", "asked to stop", 1)
    whole = trained(chosen, tmp_path / "runs", lanes=2)
    assert [run.epochs for run in whole] == [run.epochs for run in trained(chosen, tmp_path / "alone", lanes=1)]


def test_who_has_no_gpu_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    runtime = runtimes.Runtime(device="cuda", graphs="on")
    [failed] = gpu_whole.train(jobs(tmp_path, "seed=0"), out=tmp_path / "runs", runtime=runtime, lanes=1, seconds=1e6)
    assert "--device: this machine has 0 usable CUDA devices" in failed


@pytest.mark.parametrize("job", ["nonsense", "digits-step until=x", "digits-step until=0", "digits-step lr=1"])
def test_a_job_that_cannot_be_says_so(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_whole", job, "--device", "cpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as leaving:
        gpu_whole.main()
    assert leaving.value.code == 2
    assert job.split()[-1].split("=")[0] in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    words = ["digits-step", "--device", "cpu", "--out", str(tmp_path / "file" / "runs")]
    monkeypatch.setattr(sys, "argv", ["gpu_whole", *words])
    with pytest.raises(SystemExit, match=r"gpu_whole: .*cannot be written: Not a directory"):
        gpu_whole.main()
