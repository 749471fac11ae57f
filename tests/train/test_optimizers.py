"""Every optimizer in a run: it learns, and a run resumed in mid-epoch repeats every bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_runs
import torch

from device_reads import Reads
from fewepochs.specs import updates
from fewepochs.train import checkpoint, loop

EPOCHS = 3
DECOUPLED = "weight_decay={kind='decoupled', strength=0.05}"
ALLOWED = ("torch.optim",)
OWN = {
    "adam": ("optimizer={kind='adam', lr=1e-2, semantics='torch'}", "weight_decay={kind='coupled', on='kernels'}"),
    "adamw": (
        "optimizer={kind='adamw', lr=1e-2}",
        "weight_decay={kind='decoupled', schedule={kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 0.1]}}",
    ),
    "nadam": ("optimizer={kind='nadam', lr=5e-3}", DECOUPLED),
    "sgd": (
        "optimizer={kind='sgd', lr=0.1, momentum=0.9, semantics='torch'}",
        "schedule={kind='1cycle', momentum=[0.7, 0.95]}",
    ),
    "rmsprop": ("optimizer={kind='rmsprop', lr=3e-3, centered=true}", "weight_decay={kind='independent'}"),
    "lion": ("optimizer={kind='lion', lr=2e-3}", DECOUPLED),
    "lamb": ("optimizer={kind='lamb', lr=3e-2}", "weight_decay={kind='decoupled', on='conv-kernels'}"),
    "muon": ("optimizer={kind='muon', unit_filters=true, auxiliary={kind='adamw', lr=1e-2}}", DECOUPLED),
}
FOREIGN = {
    "schedule-free-sgd": (
        "optimizer={kind='schedule-free-sgd', lr=0.5, warm_up_steps=4}",
        "weight_decay={kind='decoupled', strength=0.002, on='kernels'}",
    ),
    "schedule-free-adamw": ("optimizer={kind='schedule-free-adamw', lr=1e-2}", "precision=bfloat16"),
    "python": ("optimizer={kind='python', target='torch.optim.NAdam', lr=5e-3, arguments={betas=[0.8, 0.99]}}",),
}
every_kind = pytest.mark.parametrize("overrides", [pytest.param(o, id=kind) for kind, o in {**OWN, **FOREIGN}.items()])


def training(overrides: tuple[str, ...], *more: str) -> loop.Training:
    return tiny_runs.training(tiny_runs.recipe(f"budget.epochs={EPOCHS}", *overrides, *more), allow_code=ALLOWED)


def test_the_table_has_every_kind() -> None:
    kinds = {kind.model_fields["kind"].default for kind in updates.Optimizer.__args__[0].__args__}
    assert {*OWN, *FOREIGN} == kinds


@every_kind
def test_every_optimizer_learns(overrides: tuple[str, ...]) -> None:
    records = tiny_runs.finish(training(overrides, "augmentation={kind='none'}", "budget.epochs=8"))
    assert records[-1].acc > 0.45  # of ten classes, on 120 images seen eight times


@every_kind
def test_a_run_resumed_in_mid_epoch_repeats_every_bit(overrides: tuple[str, ...], tmp_path: Path) -> None:
    whole = training(overrides)
    expected = list(tiny_runs.finish(whole))
    steps = whole.horizon.epoch_steps[0]
    for stop in (0, steps + steps // 2):
        first = training(overrides)
        records = tiny_runs.run_to(first, stop)
        second = training(overrides)
        second.restore(checkpoint.load(checkpoint.save(tmp_path, first.snapshot())))
        assert records + list(tiny_runs.finish(second)) == expected
        tiny_runs.assert_same_bits(second, whole)


@pytest.mark.parametrize("overrides", [pytest.param(overrides, id=kind) for kind, overrides in OWN.items()])
def test_no_step_of_our_own_rules_asks_the_device_anything(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training(overrides)
    run.program.begin_epoch(loop.plan(run, epoch=1), controls=loop._controls(run, epoch=1))
    with Reads.forbidden(monkeypatch, sending=True) as reads:
        run.program.step(16)
        run.program.step(16)
    assert reads.seen == []


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_step_of_a_foreign_rule_asks_once_whether_it_is_live(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training(FOREIGN[kind])
    run.program.begin_epoch(loop.plan(run, epoch=1), controls=loop._controls(run, epoch=1))
    asked: list[torch.Tensor] = []
    original = torch.Tensor.__bool__

    def counted(tensor: torch.Tensor) -> bool:
        asked.append(tensor)
        return original(tensor)

    monkeypatch.setattr(torch.Tensor, "__bool__", counted)
    run.program.step(16)
    assert len(asked) == 1


def test_schedule_free_evaluates_its_average_and_goes_on_from_where_it_was() -> None:
    run = training(FOREIGN["schedule-free-sgd"], "budget.epochs=1")
    program = run.program
    tiny_runs.finish(run)
    before = tiny_runs.state(run)
    average = program.optimizer.averaged()
    assert average is not None
    assert not torch.equal(average, before["weights"])
    found = program.evaluate(run.data.validation, done=1.0)
    assert {name: t.numpy().tobytes() for name, t in tiny_runs.state(run).items()} == {
        name: t.numpy().tobytes() for name, t in before.items()
    }
    program.weights.master.copy_(average)
    penalty = 1e-4 * sum(float(w.square().sum()) for n, w in program.weights.named().items() if w.dim() == 4)
    assert found.penalty == pytest.approx(penalty, rel=1e-5)
