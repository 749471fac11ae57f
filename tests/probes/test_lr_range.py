"""The sweep on the device: which rates act, what repeats, where it ends, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
import torch
from tape import TapeRecorder

from device_reads import Reads
from fewepochs import errors
from fewepochs import recipe as recipes
from fewepochs.api import probing, training
from fewepochs.optim.layout import Controls
from fewepochs.probes import bench as benches
from fewepochs.probes import lr_range, sweeps
from fewepochs.probes.sweeps import Curve, Sweep
from fewepochs.specs import updates
from fewepochs.train import loop, replay
from fewepochs.train.step import TrainingStep

SWEEP = Sweep(1e-4, 1.0, steps=30)
EPOCH = tiny_runs.TRAIN // 16
"""Whole batches in an epoch of the tiny run; eight images are left over."""


def measure(
    *overrides: str, seeds: Sequence[int] = (0,), sweep: Sweep = SWEEP, progress: lr_range.Progress | None = None
) -> list[Curve]:
    torch.set_num_threads(1)
    recipe = tiny_runs.recipe(*overrides)
    bench = benches.Bench(tiny_runs.data(recipe), torch.device("cpu"))
    progress = progress or lr_range.Progress()
    return list(lr_range.measure(recipe, seeds=seeds, sweep=sweep, bench=bench, progress=progress))


def test_a_sweep_whose_steps_are_replayed_has_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    [plain] = measure()
    tape = TapeRecorder()
    monkeypatch.setattr(replay, "recorder", lambda device: tape)
    [replayed] = measure()
    assert replayed.losses.tolist() == plain.losses.tolist()
    assert tape.replayed == len(plain.losses)


class Steps:
    """What each step of every training was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.controls: list[Controls] = []
        step, controls = TrainingStep.step, TrainingStep._step_controls

        def watched_step(program: Any, size: int) -> None:
            self.sizes.append(size)
            step(program, size)

        def watched_controls(program: Any, live: torch.Tensor) -> Controls:
            self.controls.append(controls(program, live))
            return self.controls[-1]

        monkeypatch.setattr(TrainingStep, "step", watched_step)
        monkeypatch.setattr(TrainingStep, "_step_controls", watched_controls)


@pytest.mark.parametrize("kind", sweeps.KINDS)
def test_every_step_updates_at_its_rate_of_the_sweep(kind: sweeps.Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    sweep = replace(SWEEP, kind=kind, factor=1e9)
    decay = "weight_decay={kind='decoupled', strength=0.02}"
    [curve] = measure("optimizer={kind='adamw', beta_1=0.8}", decay, sweep=sweep)
    assert [float(given.lr) for given in steps.controls] == sweep.rates().tolist() == curve.rates.tolist()
    assert [given.on_host for given in steps.controls] == [(lr, 0.8, 0.02) for lr in sweep.rates()]
    assert {(float(given.momentum), float(given.decay)) for given in steps.controls} == {(0.8, 0.02)}
    assert steps.sizes == [16] * 30


def test_losses_are_those_of_the_batches_before_each_update() -> None:
    """Slow twin: the same steps by hand, the running sum of each epoch's losses read after every one of them."""
    [curve] = measure("mixing={kind='mixup'}", "label_smoothing=0.1", seeds=(3,))
    spec = lr_range.unscheduled(tiny_runs.recipe("mixing={kind='mixup'}", "label_smoothing=0.1", "seed=3"), steps=30)
    twin = tiny_runs.training(spec)
    losses = []
    for done in range(30):
        if done % EPOCH == 0:
            moved = np.zeros((3, EPOCH))
            moved[0, : min(EPOCH, 30 - done)] = SWEEP.rates()[done : done + EPOCH]
            moved[1] = 0.9
            twin.program.begin_epoch(loop.plan(twin, epoch=1 + done // EPOCH), controls=moved)
        before = twin.program.totals().loss
        twin.program.step(16)
        losses.append((twin.program.totals().loss - before) / 16)
    assert curve.losses.tolist() == losses


@pytest.mark.parametrize("overrides", [("precision=float16",), ("network.dropout=0.3",)], ids=str)
def test_the_same_seeds_give_the_same_bits_and_others_do_not(overrides: tuple[str, ...]) -> None:
    first = measure(*overrides, seeds=(0, 1))
    again = measure(*overrides, seeds=(1, 0))
    assert [curve.seed for curve in again] == [1, 0]
    for ours, theirs in zip(first, again[::-1], strict=True):
        assert ours.losses.tobytes() == theirs.losses.tobytes()
        assert ours.stop == theirs.stop
    assert first[0].losses[0] != first[1].losses[0]


def test_a_seed_is_that_of_the_run() -> None:
    """The first step's loss needs no update: it is the run's own."""
    [curve] = measure(seeds=(5,))
    run = tiny_runs.training(tiny_runs.recipe("seed=5"))
    run.program.begin_epoch(loop.plan(run, epoch=1), controls=np.zeros((3, 8)))
    run.program.step(16)
    assert curve.losses[0] == run.program.totals().loss / 16


def test_what_moves_over_a_budget_is_left_out() -> None:
    recipe = tiny_runs.recipe(
        "schedule={kind='1cycle', momentum=[0.5, 0.9]}",
        "batch_schedule={kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 2.0]}",
        "weight_decay={kind='coupled', schedule={kind='cosine'}}",
        "averaging={kind='ema'}",
        "plateau={patience=1}",
    )
    found = lr_range.unscheduled(recipe, steps=77)
    assert {found.schedule.kind, found.batch_schedule.kind, found.momentum_schedule.kind} == {"constant"}
    assert isinstance(found.weight_decay, updates.Coupled)
    assert found.weight_decay == updates.Coupled()
    assert (found.averaging.kind, found.plateau, found.budget.epochs) == ("none", None, 77)
    kept = ("data", "augmentation", "network", "optimizer", "regularisation", "precision", "batch_size", "seed")
    assert all(getattr(found, name) == getattr(recipe, name) for name in kept)
    warm = tiny_runs.recipe("optimizer={kind='schedule-free-adamw', warm_up_steps=50}")
    assert lr_range.unscheduled(warm, steps=5).optimizer == updates.ScheduleFreeAdamW()


# --- where it ends ------------------------------------------------------------------------------------------------


def test_a_sweep_that_stays_calm_goes_to_its_end() -> None:
    [curve] = measure(sweep=Sweep(1e-5, 1e-3, steps=24))
    assert (curve.stop.kind, curve.stop.steps, curve.stop.lr) == ("end", 24, 1e-3)
    assert len(curve.losses) == len(curve.rates) == 24


def test_a_loss_above_the_factor_ends_the_sweep_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    sweep = Sweep(1e-3, 100.0, steps=70, factor=1.5)
    [curve] = measure(sweep=sweep)
    assert curve.stop.kind == "loss"
    assert 5 < curve.stop.steps < 60
    assert curve.stop.lr == sweep.rates()[curve.stop.steps - 1] == curve.rates[-1]
    # The host learns of it at the next reading and asks for no step more.
    assert len(steps.sizes) == -(-curve.stop.steps // lr_range.READ_EVERY) * lr_range.READ_EVERY
    calm = measure(sweep=replace(sweep, factor=1e9))[0]
    assert calm.losses[: len(curve.losses)].tobytes() == curve.losses.tobytes()


def test_a_gradient_that_is_not_finite_ends_the_sweep_at_the_step_that_the_device_froze() -> None:
    sweep = Sweep(1e-3, 1e30, steps=40, factor=1e30)
    [curve] = measure(sweep=sweep)
    assert curve.stop.kind == "not finite"
    assert np.isfinite(curve.losses).all()
    assert len(curve.losses) == curve.stop.steps < 40
    assert curve.stop.lr == sweep.rates()[curve.stop.steps] > curve.rates[-1]


def test_a_wish_to_stop_ends_the_seed_and_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = lr_range.Progress()
    step = TrainingStep.step

    def wishing(program: Any, size: int) -> None:
        step(program, size)
        progress.stop = progress.step >= 24  # during the 25th step

    monkeypatch.setattr(TrainingStep, "step", wishing)
    found = measure(seeds=(0, 1), progress=progress)
    monkeypatch.undo()
    assert [curve.seed for curve in found] == [0]
    assert (found[0].stop.kind, found[0].stop.steps, found[0].stop.lr) == ("interrupted", 25, SWEEP.rates()[25])
    assert found[0].losses.tobytes() == measure()[0].losses[:25].tobytes()


# --- no trace -----------------------------------------------------------------------------------------------------


def test_the_device_is_read_once_in_so_many_steps_and_never_between(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lr_range.READ_EVERY == 20
    reads: list[int] = []
    original = torch.Tensor.tolist

    def counted(self: torch.Tensor) -> Any:
        reads.append(self.numel())
        return original(self)

    sweep = replace(SWEEP, steps=26, factor=1e9)
    recipe = tiny_runs.recipe()
    training = tiny_runs.training(lr_range.unscheduled(recipe, steps=26))
    sweeping = lr_range._Sweeping(training, sweep=sweep, progress=lr_range.Progress())
    with Reads.forbidden(monkeypatch) as seen, monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", counted)
        sweeping.run()
    assert seen.seen == []
    assert reads == [21, 8]  # each chunk's sums, but for the first the one before, and whether the device is frozen


def test_a_training_before_and_after_has_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipes.load("digits-step", overrides=("budget.epochs=1", "batch_size=64"))
    small = replace(SWEEP, steps=25)
    runtime = training.Runtime(device="cpu", kernels="torch", threads=1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    before = tiny_runs.finish(tiny_runs.training(tiny_runs.recipe("budget.epochs=1")))
    torch.set_num_threads(3)
    measured = probing.lr_range(recipe, sweep=small, seeds=(0, 1), runtime=runtime)
    assert torch.get_num_threads() == 3
    after = tiny_runs.finish(tiny_runs.training(tiny_runs.recipe("budget.epochs=1")))
    torch.set_num_threads(threads)
    assert before == after
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.rglob("*")) == []
    assert measured.complete
    assert [curve.seed for curve in measured.curves] == [0, 1]
    assert measured.environment["threads"] == 1


def test_the_default_sweep_suits_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sweep] = []
    monkeypatch.setattr(probing, "_measure", lambda recipe, *, sweep, **_: asked.append(sweep))
    probing.lr_range(tiny_runs.recipe("optimizer={kind='sgd'}"))
    assert asked == [Sweep(1e-5, 10.0)]


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    recipe = recipes.load("digits-step", overrides=("batch_size=5000",))
    with pytest.raises(errors.RecipeError, match="batch_size: larger than the training set"):
        probing.lr_range(recipe, sweep=SWEEP, runtime=training.Runtime(device="cpu", kernels="torch"))
