"""A loop that ends and is run again goes on as if it had not; what asks it to end is looked at after each step."""

from __future__ import annotations

import math
import time

import pytest
import tiny_runs

from fewepochs import errors, records
from fewepochs.train import checkpoint, loop, step, sums

SPECS = [
    pytest.param((), id="adam"),
    pytest.param(("averaging={kind='ema', decay=0.9}", "network.dropout=0.2"), id="ema, dropout"),
    pytest.param(("averaging={kind='swa', start=0.3}", "plateau={patience=1, min_delta=10.0}"), id="swa, plateau"),
    pytest.param(("optimizer={kind='schedule-free-adamw'}",), id="schedule-free"),
]


def bits(training: loop.Training) -> str:
    return checkpoint.digest(training.snapshot().tensors)


@pytest.mark.parametrize("overrides", SPECS)
def test_a_loop_that_ends_after_every_step_does_what_an_undisturbed_one_does(overrides: tuple[str, ...]) -> None:
    spec = tiny_runs.recipe(*overrides)
    whole = tiny_runs.training(spec)
    expected = list(tiny_runs.finish(whole))
    training, pauses = tiny_runs.training(spec), 0
    found: list[records.EpochRecord] = []
    while training.epochs < spec.budget.epochs:
        before = training.steps
        found += tiny_runs.finish(training, progress=loop.Progress(pause_at=-math.inf))
        assert training.steps <= before + 1 + len(found)
        pauses += 1
    assert found == expected
    assert bits(training) == bits(whole)
    assert pauses >= whole.steps - 2 * spec.budget.epochs


@pytest.mark.parametrize("overrides", SPECS)
def test_an_evaluation_that_is_stopped_has_not_been(overrides: tuple[str, ...]) -> None:
    """Also where averaged weights are being evaluated: those trained come back."""
    spec = tiny_runs.recipe(*overrides)
    whole = tiny_runs.training(spec)
    expected = list(tiny_runs.finish(whole))
    training = tiny_runs.training(spec)
    progress = loop.Progress()
    real = training.program._sums

    def stopping(*arguments: object, **named: object) -> object:
        progress.stop = True
        return real(*arguments, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.program, "_sums", stopping)
        assert list(tiny_runs.finish(training, progress=progress)) == []
    assert (training.epochs, training.epoch_steps) == (0, training.horizon.epoch_steps[0])
    resumed = tiny_runs.training(spec)
    resumed.restore(training.snapshot())
    assert list(tiny_runs.finish(resumed)) == expected
    assert bits(resumed) == bits(whole)


def test_a_loop_ends_at_its_time_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    training = tiny_runs.training(tiny_runs.recipe())
    real = training.program.step

    def slow(size: int) -> None:
        now[0] += 1.0
        real(size)

    monkeypatch.setattr(training.program, "step", slow)
    tiny_runs.finish(training, progress=loop.Progress(pause_at=13.0))
    assert training.epoch_steps == 3


def test_a_loop_that_is_to_stop_does_no_step() -> None:
    training = tiny_runs.training(tiny_runs.recipe())
    assert list(tiny_runs.finish(training, progress=loop.Progress(stop=True))) == []
    assert training.steps == 0


def test_a_divergence_is_noticed_where_the_loop_ends() -> None:
    """A state that would be saved there is looked at first."""
    training = tiny_runs.training(tiny_runs.recipe())
    mean = training.data.mean
    assert mean is not None
    mean.fill_(math.nan)
    with pytest.raises(errors.DivergedError, match="not finite at step 1"):
        tiny_runs.finish(training, progress=loop.Progress(pause_at=-math.inf))
    for name, tensor in training.snapshot().tensors.items():
        assert name == "loss_sum" or tensor.isfinite().all(), name


@pytest.mark.parametrize("progress", [loop.Progress(pause_at=-math.inf), loop.Progress(halt_every=1)])
def test_weights_that_an_update_has_spoiled_are_noticed_where_the_loop_ends(progress: loop.Progress) -> None:
    """Loss and gradient of the step were finite; the next loss would not be."""
    training = tiny_runs.training(tiny_runs.recipe("optimizer={kind='sgd', lr=1e60}"))
    with pytest.raises(errors.DivergedError, match="weights or statistics not finite after step 1"):
        tiny_runs.finish(training, progress=progress)


@pytest.mark.parametrize(
    "changes", [{"steps": 7}, {"epochs": 9}, {"epoch_steps": 99}, {"epochs": 1}, {"epochs": 3, "epoch_steps": 1}]
)
def test_a_place_where_a_run_cannot_stand_is_refused_and_nothing_is_taken_over(changes: dict[str, int]) -> None:
    training = tiny_runs.training(tiny_runs.recipe())
    before = bits(training)
    made = training.snapshot()
    tensors = {name: tensor + 1 for name, tensor in made.tensors.items()}
    with pytest.raises(errors.CheckpointError, match="impossible here"):
        training.restore(checkpoint.Snapshot(tensors, made.facts.model_copy(update=changes)))
    assert bits(training) == before


def test_between_two_readings_nobody_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals are read where the loop ends, and at an epoch's end: as often as that, and no more."""
    reads: list[int] = []
    real = step.TrainingStep.totals

    def counted(self: step.TrainingStep) -> sums.Totals:
        reads.append(1)
        return real(self)

    monkeypatch.setattr(step.TrainingStep, "totals", counted)
    tiny_runs.finish(tiny_runs.training(tiny_runs.recipe("budget.epochs=2")))
    assert len(reads) == 2
