"""The script for a GPU walks all its paths on a CPU; what breaks, or is cut, leaves the rest as it was."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, gpu_bench, gpu_checks, gpu_runs, gpu_steps
from fewepochs.data import loader

COMMAND = [sys.executable, "-m", "benchmarks.gpu"]


def setting(device: str = "cpu", *, seconds: float = 1e6) -> gpu_bench.Setting:
    torch.set_num_threads(1)
    arguments = ("--device", device, "--tiny")
    return gpu_bench.Setting(torch.device(device), True, None, time.monotonic() + seconds, arguments)


def found(part: gpu_bench.Told) -> dict[str, Any]:
    return dict(gpu_bench.carry_out(part))


def failures(told: dict[str, Any]) -> dict[str, Any]:
    """Return what failed, was not passed, or could not be recorded."""
    return {
        name: value
        for name, value in told.items()
        if isinstance(value, dict) and ("failed" in value or not value.get("passed", True))
    }


def test_every_check_passes_where_a_replay_is_the_work_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_checks, "PRECISIONS", ("float32",))
    monkeypatch.setattr(gpu_checks, "OPTIMIZERS", {"muon": gpu_checks.OPTIMIZERS["muon"]})
    told = found(gpu_checks.checks(setting()))
    assert failures(told) == {}
    assert len(told) == 7


def test_a_law_that_does_not_hold_is_told_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_checks, "PRECISIONS", ("float32",))
    monkeypatch.setattr(gpu_checks, "OPTIMIZERS", {})
    monkeypatch.setattr(gpu_bench.Repeating, "record", lambda self, work: lambda: None)
    told = found(gpu_checks.checks(setting()))
    assert {name for name in told if "recorded = not" in name} <= failures(told).keys()
    assert not failures({"what cannot be recorded says why": told["what cannot be recorded says why"]})


def test_steps_are_measured_replayed_and_not() -> None:
    told = found(gpu_steps.steps(setting()))
    assert failures(told) == {}
    assert len(told) == 4
    for cost in told.values():
        assert cost["seconds_per_epoch"] == cost["milliseconds"] * 9 / 1e3  # 137 images, 16 a batch
        assert (cost["joules"] is None) == (cost["joules_reason"] is not None)


def test_traffic_counts_what_operations_read_and_write() -> None:
    told = found(gpu_steps.traffic(setting()))
    assert failures(told) == {}
    x = torch.zeros(100)
    with gpu_steps._Bytes() as counted:
        x.view(10, 10).add_(1.0)
        torch.relu(x)
    assert (counted.total, counted.operations) == (400 + 400 + 400 + 400, 2)


def test_a_plain_loop_and_whole_runs_are_measured() -> None:
    assert failures(found(gpu_runs.plain(setting()))) == {}
    told = found(gpu_runs.baseline(setting()))
    assert [name for name in told if name.endswith("2")] == ["seed 0, epoch 2", "seed 1, epoch 2"]
    cut = found(gpu_runs.fewest(setting(seconds=0.0)))
    assert list(cut) == ["epoch 0", "epoch 1"]


def part(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 60.0) -> Any:
    """Return what is in the file after a part whose process is `script`."""
    program = tmp_path / "part.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    results = gpu.Results(tmp_path / "gpu.json", minutes=1.0, command="-")
    gpu._run("steps", results, seconds=seconds)
    kept = json.loads((tmp_path / "gpu.json").read_text())
    kept["steps"].pop("seconds")
    return kept


def test_what_a_part_tells_is_kept_whatever_becomes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tells = """echo noise; echo 'told: ["a", {"x": 1}]'"""
    assert part(tmp_path, tells, monkeypatch)["steps"] == {"a": {"x": 1}}
    broken = {"a": {"x": 1}, "broken_off": "its process ended with 3"}
    assert part(tmp_path, f"{tells}; exit 3", monkeypatch)["steps"] == broken
    cut = {"a": {"x": 1}, "broken_off": "cut at its time"}
    kept = part(tmp_path, f"{tells}; kill -9 $$", monkeypatch)
    assert kept["steps"] == cut
    assert kept["whole"] is False


def test_what_comes_after_a_broken_device_is_begun_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
    for last; do :; done
    if [ $last = 0 ]; then echo 'told: ["a", 1]'; echo 'told: ["b", {"failed": "lost"}]'; exit 86; fi
    if [ $last = 2 ]; then echo 'told: ["c", 3]'; exit 0; fi
    exit 1"""
    assert part(tmp_path, script, monkeypatch)["steps"] == {"a": 1, "b": {"failed": "lost"}, "c": 3}


def test_a_part_that_loses_its_device_before_it_tells_anything_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert part(tmp_path, "exit 86", monkeypatch)["steps"] == {"broken_off": "its process ended with 86"}


def test_a_part_that_loses_its_device_ends_with_what_broke_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose() -> None:
        monkeypatch.setattr(gpu_bench.Setting, "alive", False)
        raise RuntimeError("misaligned")

    def steps(_: gpu_bench.Setting) -> gpu_bench.Told:
        yield "passed over", pytest.fail
        yield "breaks", lose
        yield "never begun", pytest.fail

    monkeypatch.setattr(gpu_steps, "steps", steps)
    with pytest.raises(SystemExit) as ended:
        gpu_bench.run_part("steps", setting(), done=1)
    assert ended.value.code == gpu_bench.DEAD
    assert [gpu_bench.heard(line) for line in capsys.readouterr().out.splitlines()] == [
        ("breaks", {"failed": "RuntimeError: misaligned"})
    ]


def test_the_environment_comes_first_and_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_checks, "checks", lambda _: iter([("a law", lambda: {"passed": True})]))
    for done, names in ((0, ["environment", "a law"]), (1, ["a law"])):
        gpu_bench.run_part("checks", setting(), done=done)
        told = [gpu_bench.heard(line) for line in capsys.readouterr().out.splitlines()]
        assert [one[0] for one in told if one] == names


def test_images_without_content_are_those_of_cifar10_in_number_and_shape() -> None:
    told = gpu_bench.Setting(torch.device("cpu"), False, None, time.monotonic(), noise=True)
    data = loader.prepare(told.dataset, spec=told.recipe().data, device=torch.device("cpu"))
    assert (len(data.train), len(data.validation), data.image, data.classes) == (50_000, 10_000, (32, 32, 3), 10)
    assert told.dataset.digest == gpu_bench.noise().digest


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (["--tiny", "--device", "cpu"], "python -m benchmarks.gpu --device cpu --tiny --minutes 10"),
        (["--noise", "--only", "steps"], "python -m benchmarks.gpu --noise --minutes 10 --only steps"),
        (["--data", "/somewhere"], "python -m benchmarks.gpu --data DIR --minutes 10"),
    ],
)
def test_the_command_is_written_down_with_its_parts(
    given: list[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", *given, "--to", "x.json"])
    assert gpu._command(gpu._arguments()) == command


def test_the_digits_are_not_without_content(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--noise", "--to", "x.json"])
    with pytest.raises(SystemExit):
        gpu._arguments()
    assert "--tiny or --noise" in capsys.readouterr().err


def test_runs_on_streams_are_measured() -> None:
    told = found(gpu_runs.streams(setting()))
    assert failures(told) == {}
    assert [len(rates["of_each"]) for rates in told.values()] == [1, 2]


def test_a_run_that_is_measured_begins_again_after_its_last_epoch() -> None:
    epochs = gpu_bench.Epochs(setting().training(setting().recipe("budget.epochs=1"), graphs=False))
    for _ in range(2 * epochs.per_epoch + 1):
        epochs.ready(1)
        epochs.step()


def test_a_part_whose_time_is_up_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Up(threading.Timer):
        def start(self) -> None:
            assert 6.0 < self.interval <= 7.0
            self.function()

    monkeypatch.setattr(threading, "Timer", Up)
    kept = part(tmp_path, "exec tail -f /dev/null", monkeypatch, seconds=7.0)
    assert kept["steps"] == {"broken_off": "cut at its time"}


@pytest.mark.slow
def test_the_whole_script_walks_all_its_paths_without_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    command = [*COMMAND, "--device", "cpu", "--tiny", "--minutes", "30", "--to", str(path)]
    subprocess.run(command, check=True, capture_output=True, cwd=gpu.ROOT)
    kept = json.loads(path.read_text())
    assert kept["whole"]
    assert set(gpu.PARTS) <= kept.keys()
    for name in gpu.PARTS:
        assert failures(kept[name]) == {}, name
        assert "broken_off" not in kept[name], name


@pytest.mark.gpu
def test_every_check_passes_on_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    command = [*COMMAND, "--device", "cuda", "--tiny", "--only", "checks", "--to", str(path)]
    subprocess.run(command, check=True, capture_output=True, cwd=gpu.ROOT)
    kept = json.loads(path.read_text())["checks"]
    assert failures(kept) == {}
    assert "broken_off" not in kept
