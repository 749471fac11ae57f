"""Evaluations on request change no bit of a run, and are themselves kept, cut back and repeated as its epochs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.errors import CheckpointError
from fewepochs.records import EvaluationRecord
from fewepochs.study import cell
from fewepochs.train import checkpoint, loop, running
from fewepochs.train.step import EvaluationStoppedError, TrainingStep

EVERY = 3
RECIPES = [
    pytest.param((), id="adam"),
    pytest.param(("averaging={kind='ema', decay=0.9}", "network.dropout=0.2"), id="ema, dropout"),
    pytest.param(("averaging={kind='swa', start=0.3}", "plateau={patience=1, min_delta=10.0}"), id="swa, plateau"),
    pytest.param(("optimizer={kind='schedule-free-adamw'}",), id="schedule-free"),
]


def spec(*overrides: str) -> recipes.Recipe:
    return tiny_runs.recipe("data.validation={kind='held-out', images=1200}", "batch_size=60", *overrides)


def train(path: Path, recipe: recipes.Recipe, *, every: int | None, minutes: float = 10.0) -> store.StoredRun:
    runtime = runtimes.Runtime(
        device="cpu", kernels="torch", threads=1, evaluate_every=every, checkpoint_minutes=minutes
    )
    return running.train(path, recipe, runtime=runtime, view=cell.Quiet()).run


def weights(run: store.StoredRun) -> str:
    found, _ = checkpoint.load_newest(run.path / store.CHECKPOINTS)
    assert found is not None
    return checkpoint.digest(found.tensors)


def log(run: store.StoredRun, name: str) -> bytes:
    return (run.path / name).read_bytes()


@pytest.mark.parametrize("overrides", RECIPES)
def test_evaluations_on_request_change_no_bit_of_the_run(overrides: tuple[str, ...], tmp_path: Path) -> None:
    recipe = spec(*overrides)
    plain, looked = (train(tmp_path / str(every), recipe, every=every) for every in (None, EVERY))

    assert log(looked, store.EPOCHS) == log(plain, store.EPOCHS)
    assert weights(looked) == weights(plain)
    assert not (plain.path / store.EVALUATIONS).exists()
    assert plain.evaluations == ()
    last = looked.epochs[-1].step
    assert last is not None
    assert [record.step for record in looked.evaluations] == list(range(EVERY, last + 1, EVERY))


def test_an_evaluation_is_that_of_the_weights_at_its_step(tmp_path: Path) -> None:
    """Every step evaluated: at the end of an epoch it is the epoch's, elsewhere that of a run that ended there."""
    recipe = spec()
    run = train(tmp_path / "run", recipe, every=1)
    ends = {record.step: record for record in run.own_epochs}
    at_ends = [record for record in run.evaluations if record.step in ends]

    assert len(at_ends) == len(run.epochs) == recipe.budget.epochs
    assert [(r.epoch, r.val_loss, r.val_acc) for r in at_ends] == [
        (ends[r.step].epoch, ends[r.step].val_loss, ends[r.step].val_acc) for r in at_ends
    ]
    assert {record.epoch for record in run.evaluations} == {1, 2, 3}
    within = [record for record in run.evaluations if record.step not in ends]
    assert len({record.val_loss for record in within}) == len(within)


def test_swa_in_mid_epoch_is_the_average_of_the_epochs_that_have_ended() -> None:
    """Before the first epoch that it takes in ends, there is none: evaluation sees the weights as they are."""
    averaged = tiny_runs.training(tiny_runs.recipe("averaging={kind='swa', start=0.05}"))
    bare = tiny_runs.training(tiny_runs.recipe())
    for training in (averaged, bare):
        tiny_runs.run_to(training, 2)
    found = [loop.evaluate(training, progress=loop.Progress()) for training in (averaged, bare)]
    assert found[0] == found[1]


@pytest.mark.parametrize(("stop", "minutes"), [(1, 10.0), (2, 0.0), (3, 0.0), (4, 0.0), (6, 10.0), (7, 0.0)])
def test_a_stopped_run_goes_on_with_the_same_evaluations(
    stop: int, minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved at every step or at none: where a step is evaluated before the stop, and where the log is ahead."""
    recipe = spec()
    whole = train(tmp_path / "whole", recipe, every=EVERY)
    path, done = tmp_path / "cut", 0
    real = TrainingStep.step

    def step(self: TrainingStep, size: int) -> None:
        nonlocal done
        real(self, size)
        done += 1
        if done == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(path, recipe, every=EVERY, minutes=minutes)
    with (path / store.EVALUATIONS).open("a") as file:  # of steps that no checkpoint has come to
        file.write(EvaluationRecord(step=11, epoch=2, val_loss=9.0, val_acc=0.0).model_dump_json() + "\n")
    again = train(path, recipe, every=None)  # as often as the run began with

    assert log(again, store.EPOCHS) == log(whole, store.EPOCHS)
    assert log(again, store.EVALUATIONS) == log(whole, store.EVALUATIONS)
    assert weights(again) == weights(whole)


def test_an_evaluation_that_was_stopped_is_made_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = spec()
    whole = train(tmp_path / "whole", recipe, every=EVERY)
    real = loop.evaluate

    def stopped(training: loop.Training, *, progress: loop.Progress) -> Any:
        progress.stop = training.steps == 2 * EVERY
        if progress.stop:
            raise EvaluationStoppedError
        return real(training, progress=progress)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", stopped)
        cut = train(tmp_path / "cut", recipe, every=EVERY)
    assert cut.status.state == "interrupted"
    assert [record.step for record in cut.evaluations] == [EVERY]
    again = train(tmp_path / "cut", recipe, every=EVERY)
    assert log(again, store.EVALUATIONS) == log(whole, store.EVALUATIONS)
    assert log(again, store.EPOCHS) == log(whole, store.EPOCHS)


def test_saves_in_mid_epoch_and_evaluations_do_not_disturb_each_other(tmp_path: Path) -> None:
    recipe = spec()
    saved = train(tmp_path / "saved", recipe, every=EVERY, minutes=0)
    plain = train(tmp_path / "plain", recipe, every=EVERY)
    assert log(saved, store.EVALUATIONS) == log(plain, store.EVALUATIONS)
    assert log(saved, store.EPOCHS) == log(plain, store.EPOCHS)


def test_a_log_whose_steps_do_not_rise_is_damaged(tmp_path: Path) -> None:
    run = train(tmp_path / "run", spec(), every=EVERY)
    lines = log(run, store.EVALUATIONS).splitlines(keepends=True)
    (run.path / store.EVALUATIONS).write_bytes(b"".join((lines[0], lines[0], *lines[1:])))
    with pytest.raises(CheckpointError, match=r"evaluations.jsonl, line 2: damaged"):
        store.read(run.path)
    (run.path / store.EVALUATIONS).write_bytes(b"".join(lines)[:-5])
    assert store.read(run.path).evaluations == run.evaluations[:-1]
