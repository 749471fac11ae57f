"""Recorded steps: the bits of steps that are not recorded, whatever the recipe, and no trace of recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
import torch
from tape import TapeRecorder
from test_loop import VARIANTS, variant
from test_optimizers import ALLOWED, FOREIGN, OWN

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.errors import RecipeError
from fewepochs.study import cell
from fewepochs.train import loop, replay, running

RECIPES = [
    *VARIANTS,
    *(pytest.param(overrides, id=kind) for kind, overrides in OWN.items()),
    pytest.param(("averaging={kind='ema', decay=0.9, every=3}", "batch_size=25"), id="ema, tail"),
]


def training(spec: recipes.Recipe, *, recorder: replay.Recorder | None = None) -> loop.Training:
    torch.set_num_threads(1)
    data = tiny_runs.data(spec, train=60)
    return loop.Training(spec, data=data, device=torch.device("cpu"), allow_code=ALLOWED, recorder=recorder)


def two_epochs(overrides: tuple[str, ...]) -> recipes.Recipe:
    spec: recipes.Recipe = variant((*overrides, "budget.epochs=2"))
    return spec


@pytest.mark.parametrize("overrides", RECIPES)
def test_a_recorded_run_has_the_bits_of_one_that_is_not(overrides: tuple[str, ...]) -> None:
    spec = two_epochs(overrides)
    plain, recorder = training(spec), TapeRecorder()
    recorded = training(spec, recorder=recorder)
    assert recorded.recorded
    tiny_runs.assert_same_bits(recorded, plain)  # recording has left no trace
    assert tiny_runs.finish(recorded) == tiny_runs.finish(plain)
    tiny_runs.assert_same_bits(recorded, plain)
    evaluations = 2 * (1 if recorded.data.test is None else 2)
    assert recorder.replayed == plain.steps + evaluations


def test_each_size_of_a_batch_is_recorded_once_and_the_evaluations_too() -> None:
    recorder = TapeRecorder()
    training(tiny_runs.recipe("batch_size=25", "data.validation={kind='held-out', images=20}"), recorder=recorder)
    assert recorder.rehearsed == 4 * replay.REHEARSALS  # 25, a tail of 15, validation and test images
    recorder = TapeRecorder()
    training(tiny_runs.recipe("batch_size=20"), recorder=recorder)
    assert recorder.rehearsed == 2 * replay.REHEARSALS  # 20 of 60, no tail, validation images alone


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_recorded_run_stopped_in_mid_epoch_is_gone_on_with_recorded_or_not(stop: int) -> None:
    spec = two_epochs(("averaging={kind='swa', start=0.3}", "network.dropout=0.3"))
    whole = training(spec)
    expected = list(tiny_runs.finish(whole))
    for first, second in ((TapeRecorder(), None), (None, TapeRecorder())):
        begun = training(spec, recorder=first)
        records = tiny_runs.run_to(begun, stop)
        then = training(spec, recorder=second)
        then.restore(begun.snapshot())
        assert records + list(tiny_runs.finish(then)) == expected
        tiny_runs.assert_same_bits(then, whole)


def test_an_evaluation_in_mid_epoch_changes_no_bit_of_a_recorded_run() -> None:
    spec = two_epochs(("averaging={kind='ema', decay=0.9}",))
    plain, recorded = training(spec), training(spec, recorder=TapeRecorder())
    found = []
    for run in (plain, recorded):
        tiny_runs.run_to(run, 3)
        found.append(loop.evaluate(run, progress=loop.Progress()))
        tiny_runs.finish(run)
    assert found[0] == found[1] is not None
    tiny_runs.assert_same_bits(recorded, plain)


def test_a_recorded_run_freezes_where_its_loss_is_not_finite() -> None:
    plain, recorded = (training(tiny_runs.recipe(), recorder=r) for r in (None, TapeRecorder()))
    for run in (plain, recorded):
        program = run.program
        program.begin_epoch(loop.plan(run, epoch=1), controls=loop._controls(run, epoch=1))
        program.step(16)
        assert run.data.mean is not None
        run.data.mean.fill_(float("nan"))
        program.step(16)
        run.data.mean.fill_(0.0)
        program.step(16)
    assert recorded.program.totals().diverged_at == 2
    tiny_runs.assert_same_bits(recorded, plain)


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_rule_that_reads_the_device_is_not_recorded_and_says_so(kind: str) -> None:
    spec = two_epochs(FOREIGN[kind])
    plain, recorder = training(spec), TapeRecorder()
    asked = training(spec, recorder=recorder)
    assert not asked.recorded
    assert asked.not_recorded == f"the optimizer {kind!r} reads the device in each step"
    assert recorder.rehearsed == 0
    assert tiny_runs.finish(asked) == tiny_runs.finish(plain)
    tiny_runs.assert_same_bits(asked, plain)


class Failing(TapeRecorder):
    """Fails while it records, after the work was done, and fails once more while it cleans up, as CUDA does."""

    def record(self, work: replay.Work) -> replay.Work:
        try:
            work()
            raise ValueError("not here\nsecond line")
        finally:
            raise RuntimeError("the recording was broken off")


def test_where_recording_fails_steps_are_done_as_ever_and_the_first_reason_is_told() -> None:
    spec = two_epochs(())
    plain, failed = training(spec), training(spec, recorder=Failing())
    assert (failed.recorded, failed.not_recorded) == (False, "ValueError: not here")
    assert tiny_runs.finish(failed) == tiny_runs.finish(plain)
    tiny_runs.assert_same_bits(failed, plain)


# --- the switch -------------------------------------------------------------------------------------------------------


@dataclass
class Listening(cell.Quiet):
    told: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize(
    ("recorder", "graphs", "told"),
    [(None, "off", []), (TapeRecorder(), "on", []), (Failing(), "off", ["graphs: off: ValueError: not here"])],
)
def test_a_runs_environment_says_whether_its_steps_were_replayed(
    recorder: TapeRecorder | None, graphs: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_recorder", lambda wanted, device: recorder)
    view = Listening()
    runtime = runtimes.Runtime(device="cpu", kernels="torch", threads=1)
    spec = tiny_runs.recipe("budget.epochs=1", "batch_size=500")
    run = running.train(tmp_path / "run", spec, runtime=runtime, view=view).run
    assert run.environment["graphs"] == graphs
    assert view.told == told


def test_steps_are_recorded_on_cuda_unless_that_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CudaRecorder", lambda device: ("recorder", device))
    cuda = torch.device("cuda", 1)
    recorders: list[object] = [running._recorder(wanted, cuda) for wanted in ("auto", "on")]
    assert recorders == [("recorder", cuda)] * 2
    assert running._recorder("off", cuda) is None
    assert replay.recorder(torch.device("cpu")) is None


def test_who_insists_on_graphs_is_refused_where_there_are_none() -> None:
    cpu = torch.device("cpu")
    assert running._recorder("auto", cpu) is None
    with pytest.raises(RecipeError, match=r"--graphs: need a CUDA device \(got 'on'\); allowed: auto, off"):
        running._recorder("on", cpu)
    failed = training(tiny_runs.recipe(), recorder=Failing())
    with pytest.raises(RecipeError, match=r"--graphs: not here: ValueError: not here \(got 'on'\)"):
        running._require_graphs(failed, wanted="on", say=lambda text: None)


# --- the tape itself --------------------------------------------------------------------------------------------------


def recorded(work: Callable[[], Any]) -> replay.Work:
    return TapeRecorder().record(work)


def test_a_tape_knows_tensors_by_their_place_and_numbers_by_their_value() -> None:
    x, y, held = torch.ones(2), torch.zeros(2), {"number": 3.0}
    again = recorded(lambda: y.add_(torch.relu(x * held["number"]).view(1, 2).sum(0)))
    assert y.tolist() == [3.0, 3.0]
    x.fill_(2.0)
    held["number"] = 100.0
    again()
    assert y.tolist() == [9.0, 9.0]


def test_a_tape_does_not_see_a_tensor_that_takes_anothers_place() -> None:
    held = {"x": torch.ones(1)}
    y = torch.zeros(1)
    again = recorded(lambda: y.add_(held["x"]))
    held["x"] = torch.full((1,), 5.0)
    again()
    assert y.tolist() == [2.0]


def test_a_tape_refuses_to_be_read() -> None:
    with pytest.raises(RuntimeError, match="_local_scalar_dense while recording"):
        recorded(lambda: float(torch.ones(1)))
