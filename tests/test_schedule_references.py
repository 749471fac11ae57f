"""Schedules against the classes of torch 2.13 and Keras 3.15, step by step.

Tolerance: 1e-12 of the highest value. torch's classes multiply the last rate into the next one, so that their rounding
adds up over the steps; Keras's are closed forms, computed here in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest
import torch
from torch.optim import lr_scheduler

from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates

EPOCHS, STEPS = 20, 5
TOTAL = EPOCHS * STEPS
LR = 0.3

TorchScheduler = Callable[[torch.optim.Optimizer], Any]


def ours(spec: rates.Schedule, *, steps: int = TOTAL) -> list[float]:
    horizon = Horizon.even(EPOCHS, STEPS)
    return [LR * schedules.value(spec, step, horizon=horizon) for step in range(steps)]


def torchs(
    build: TorchScheduler, *, steps: int = TOTAL, read: Callable[[dict[str, Any]], float] | None = None
) -> list[float]:
    """Return the rate of each step, or what `read` finds, with the scheduler stepped after each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler, found = build(optimizer), []
    for step in range(steps):
        found.append(float((read or (lambda group: group["lr"]))(optimizer.param_groups[0])))
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return found


def by_epoch(found: list[float]) -> list[float]:
    return [value for value in found for _ in range(STEPS)]


def same(found: list[float], expected: list[float]) -> None:
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(expected))


# --- torch --------------------------------------------------------------------------------------------------------

TORCH: list[tuple[str, rates.Schedule, TorchScheduler]] = [
    ("ConstantLR", rates.Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    (
        "MultiStepLR",
        rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(4, 12.2), factors=(1, 0.1, 0.01)),
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[20, 61], gamma=0.1),
    ),
    (
        "StepLR",
        rates.PiecewiseConstant(every="step", boundaries=(0.3, 0.6, 0.9), factors=(1, 0.5, 0.25, 0.125)),
        lambda o: lr_scheduler.StepLR(o, step_size=30, gamma=0.5),
    ),
    (
        "LinearLR",
        rates.Polynomial(end=0.25),
        lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=TOTAL),
    ),
    (
        "LinearLR upwards, then level",
        rates.PiecewiseLinear(unit="epochs", points=((0, 1 / 3), (7, 1))),
        lambda o: lr_scheduler.LinearLR(o, start_factor=1 / 3, total_iters=7 * STEPS),
    ),
    ("PolynomialLR", rates.Polynomial(power=2.5), lambda o: lr_scheduler.PolynomialLR(o, total_iters=TOTAL, power=2.5)),
    ("PolynomialLR, ended", rates.Polynomial(until=0.4), lambda o: lr_scheduler.PolynomialLR(o, total_iters=40)),
    ("ExponentialLR", rates.Exponential(end=0.97**TOTAL), lambda o: lr_scheduler.ExponentialLR(o, gamma=0.97)),
    ("CosineAnnealingLR", rates.Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL)),
    (
        "CosineAnnealingLR, eta_min",
        rates.Cosine(end=0.1),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL, eta_min=0.1 * LR),
    ),
    (
        "CosineAnnealingWarmRestarts",
        rates.CosineRestarts(unit="epochs", first=4, end=0.01),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=20, eta_min=0.01 * LR),
    ),
    (
        "CosineAnnealingWarmRestarts, longer each time",
        rates.CosineRestarts(first=0.09, stretch=3),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=9, T_mult=3),
    ),
    (
        "SequentialLR: LinearLR, CosineAnnealingLR",
        rates.WarmUp(unit="epochs", length=3, start=0.1, then=rates.Cosine()),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=15), lr_scheduler.CosineAnnealingLR(o, T_max=85)],
            milestones=[15],
        ),
    ),
    (
        "SequentialLR: LinearLR, MultiStepLR",
        rates.WarmUp(
            length=0.1,
            start=0.5,
            then=rates.PiecewiseConstant(unit="epochs", boundaries=(4, 8), factors=(1, 0.1, 0.01)),
        ),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, start_factor=0.5, total_iters=10),
                lr_scheduler.MultiStepLR(o, milestones=[20, 40]),
            ],
            milestones=[10],
        ),
    ),
    (
        "LambdaLR: quarter cosine",
        rates.Cosine(wave="quarter", end=0.1),
        lambda o: lr_scheduler.LambdaLR(
            o, lambda k: 0.1 + 0.9 * torch.cos(torch.tensor(torch.pi * k / 2 / TOTAL, dtype=torch.float64)).item()
        ),
    ),
]
TORCH_BY_EPOCH: list[tuple[str, rates.Schedule, TorchScheduler]] = [
    (
        "MultiStepLR",
        rates.PiecewiseConstant(unit="epochs", boundaries=(8, 16), factors=(1, 0.1, 0.01)),
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[8, 16], gamma=0.1),
    ),
    ("CosineAnnealingLR", rates.Cosine(every="epoch"), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS)),
    (
        "PolynomialLR",
        rates.Polynomial(every="epoch", power=3),
        lambda o: lr_scheduler.PolynomialLR(o, total_iters=EPOCHS, power=3),
    ),
    (
        "ExponentialLR",
        rates.Exponential(unit="epochs", every="epoch", until=EPOCHS, end=0.9**EPOCHS),
        lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    ),
    (
        "CosineAnnealingWarmRestarts",
        rates.CosineRestarts(unit="epochs", every="epoch", first=3, stretch=2),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    ),
    (
        "LinearLR",
        rates.PiecewiseLinear(unit="epochs", every="epoch", points=((0, 0.2), (10, 1))),
        lambda o: lr_scheduler.LinearLR(o, start_factor=0.2, total_iters=10),
    ),
]


@pytest.mark.parametrize(("spec", "build"), [row[1:] for row in TORCH], ids=[row[0] for row in TORCH])
def test_each_step_has_the_rate_of_torchs_class(spec: rates.Schedule, build: TorchScheduler) -> None:
    same(ours(spec), torchs(build))


@pytest.mark.parametrize(("spec", "build"), [row[1:] for row in TORCH_BY_EPOCH], ids=[row[0] for row in TORCH_BY_EPOCH])
def test_each_epoch_has_the_rate_of_torchs_class(spec: rates.Schedule, build: TorchScheduler) -> None:
    same(ours(spec), by_epoch(torchs(build, steps=EPOCHS)))


@pytest.mark.parametrize("rise", [0.011, 0.02, 0.05, 0.3, 0.333, 0.45])
@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_1cycle_is_torchs_in_rate_and_momentum(rise: float, anneal: Any, three_phase: bool) -> None:
    spec = rates.OneCycle(rise=rise, anneal=anneal, three_phase=three_phase, momentum=(0.8, 0.95), start=0.1, end=1e-3)

    def build(optimizer: torch.optim.Optimizer) -> lr_scheduler.OneCycleLR:
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=LR,
            total_steps=TOTAL,
            pct_start=rise,
            anneal_strategy="cos" if anneal == "cosine" else "linear",
            base_momentum=0.8,
            max_momentum=0.95,
            div_factor=10,
            final_div_factor=100,
            three_phase=three_phase,
        )

    same(ours(spec), torchs(build))
    horizon = Horizon.even(EPOCHS, STEPS)
    momenta = [schedules.momentum(spec, step, horizon=horizon) for step in range(TOTAL)]
    assert momenta == pytest.approx(torchs(build, read=lambda group: group["momentum"]), rel=1e-12)


def test_1cycle_has_torchs_defaults() -> None:
    same(ours(rates.OneCycle()), torchs(lambda o: lr_scheduler.OneCycleLR(o, max_lr=LR, total_steps=TOTAL)))


# --- Keras --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """Keras computes schedules in its default float type."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


ks = keras.optimizers.schedules
KERAS: list[tuple[str, rates.Schedule, Callable[[], Any]]] = [
    ("CosineDecay", rates.Cosine(), lambda: ks.CosineDecay(LR, TOTAL)),
    ("CosineDecay, alpha, ended", rates.Cosine(until=0.6, end=0.05), lambda: ks.CosineDecay(LR, 60, alpha=0.05)),
    (
        "CosineDecay, warm-up from 0",
        rates.WarmUp(unit="epochs", length=5, then=rates.Cosine(end=0.1)),
        lambda: ks.CosineDecay(0.0, 75, alpha=0.1, warmup_target=LR, warmup_steps=25),
    ),
    (
        "CosineDecay, warm-up from a third",
        rates.WarmUp(length=0.11, start=1 / 3, then=rates.Cosine()),
        lambda: ks.CosineDecay(LR / 3, 89, warmup_target=LR, warmup_steps=11),
    ),
    ("CosineDecayRestarts", rates.CosineRestarts(first=0.1), lambda: ks.CosineDecayRestarts(LR, 10, t_mul=1.0)),
    (
        "CosineDecayRestarts, longer and lower each time",
        rates.CosineRestarts(first=0.07, stretch=2, shrink=0.6, end=0.02),
        lambda: ks.CosineDecayRestarts(LR, 7, t_mul=2.0, m_mul=0.6, alpha=0.02),
    ),
    (
        "PolynomialDecay",
        rates.Polynomial(power=2.5, end=0.1),
        lambda: ks.PolynomialDecay(LR, TOTAL, end_learning_rate=0.1 * LR, power=2.5),
    ),
    ("PolynomialDecay, ended", rates.Polynomial(until=0.3), lambda: ks.PolynomialDecay(LR, 30, end_learning_rate=0.0)),
    ("ExponentialDecay", rates.Exponential(end=0.9**4), lambda: ks.ExponentialDecay(LR, 25, 0.9)),
    (
        "ExponentialDecay, staircase",
        rates.Exponential(unit="epochs", every="epoch", until=EPOCHS, end=0.9**EPOCHS),
        lambda: ks.ExponentialDecay(LR, STEPS, 0.9, staircase=True),
    ),
    # Keras keeps the old value in the step at the boundary, torch does not: a boundary of Keras's is one step earlier.
    (
        "PiecewiseConstantDecay",
        rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(4, 12.2), factors=(1, 0.1, 0.01)),
        lambda: ks.PiecewiseConstantDecay([19, 60], [LR, 0.1 * LR, 0.01 * LR]),
    ),
]


@pytest.mark.parametrize(("spec", "build"), [row[1:] for row in KERAS], ids=[row[0] for row in KERAS])
def test_each_step_has_the_rate_of_kerass_class(spec: rates.Schedule, build: Callable[[], Any]) -> None:
    """Keras counts the updates done before the step, as we do."""
    schedule = build()
    same(ours(spec), [float(schedule(torch.tensor(step))) for step in range(TOTAL)])
