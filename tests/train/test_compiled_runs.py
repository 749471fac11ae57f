"""Runs on kernels that torch compiles: compiled before the first step, without a trace, and resumed to the bit."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import tiny_runs
import torch

import command_line
from fewepochs.train import loop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler here"),
]
AVERAGED = ("averaging={kind='ema', decay=0.9, bn_images=30}", "batch_size=50", "budget.epochs=2")
"""Batches of 50 and a tail of 20 in training, of 40 in evaluation, of 30 where statistics are taken anew."""


def training(*overrides: str) -> loop.Training:
    return tiny_runs.training(tiny_runs.recipe(*overrides), kernels="inductor")


def test_all_is_compiled_before_the_first_step_and_leaves_no_trace() -> None:
    ours, plain = training(*AVERAGED), tiny_runs.training(tiny_runs.recipe(*AVERAGED))
    assert ours.compile_seconds > 0 == plain.compile_seconds
    tiny_runs.assert_same_bits(ours, plain)
    with torch.compiler.set_stance("fail_on_recompile"):
        records = tiny_runs.finish(ours)
    assert [record.epoch for record in records] == [1, 2]


def test_a_run_follows_one_on_torchs_operators() -> None:
    overrides = ("precision=float64", "budget.epochs=1")
    runs = training(*overrides), tiny_runs.training(tiny_runs.recipe(*overrides))
    ours, theirs = (tiny_runs.finish(run)[0] for run in runs)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-9)
    assert (ours.acc, ours.val_acc) == (theirs.acc, theirs.val_acc)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_stopped_run_goes_on_to_the_same_bits(stop: int) -> None:
    whole = training(*AVERAGED)
    expected = list(tiny_runs.finish(whole))
    first, second = training(*AVERAGED), training(*AVERAGED)
    before = tiny_runs.run_to(first, stop)
    second.restore(first.snapshot())
    assert before + list(tiny_runs.finish(second)) == expected
    tiny_runs.assert_same_bits(second, whole)


def test_the_command_counts_compiling_and_keeps_what_it_compiled(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_runs.RECIPE)
    asked = ("tiny.toml", "--set", "budget.epochs=2", "--kernels", "inductor", "--threads", "1", "--out", "runs")
    assert command_line.run("train", *asked, folder=tmp_path).returncode == 0
    (run,) = (tmp_path / "runs").glob("tiny-*")
    assert json.loads((run / "environment.json").read_text())["kernels"] == "inductor"
    first, second = (json.loads(line)["compile_seconds"] for line in (run / "costs.jsonl").read_text().splitlines())
    assert first > 0 == second
    assert any((tmp_path / "cache" / "inductor").iterdir())
