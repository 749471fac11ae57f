"""Parts of a recipe that cannot stand beside each other are refused, and the message says what could."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates
from recipe_samples import FULL, parse, problems
from recipe_samples import schedules as any_schedule

DOUBLED = "{kind='piecewise-constant', factors=[2.0]}"
REFUSED = [
    (("optimizer.kind=adamw",), "AdamW is Adam with a decoupled weight decay: give weight_decay.kind = 'decoupled'"),
    (("optimizer.kind=adamw", "weight_decay={kind='coupled'}"), "give weight_decay.kind = 'decoupled'"),
    (("weight_decay={kind='decoupled'}",), "Adam with decoupled weight decay is AdamW: say optimizer.kind = 'adamw'"),
    (("weight_decay={kind='independent'}",), "Adam with independent weight decay is AdamW"),
    (("optimizer={kind='schedule-free-sgd'}", "weight_decay={kind='coupled'}"), "Schedule-Free takes no coupled"),
    (("optimizer={kind='schedule-free-sgd'}", "averaging={kind='ema'}"), "Schedule-Free averages by itself"),
    (("optimizer={kind='lion'}", "momentum_schedule={kind='cosine'}"), "(lion) has no momentum"),
    (("optimizer={kind='lamb'}", "schedule={kind='1cycle', momentum=[0.8, 0.9]}"), "(lamb) has no momentum"),
    (
        ("schedule={kind='1cycle', momentum=[0.8, 0.9]}", "momentum_schedule={kind='cosine'}"),
        "both momentum_schedule and 1cycle's momentum move the momentum",
    ),
    ((f"momentum_schedule={DOUBLED}",), "momentum times the highest factor of momentum_schedule must stay below 1"),
    (
        ("optimizer.kind=adamw", f"weight_decay={{kind='independent', strength=0.5, schedule={DOUBLED}}}"),
        "strength times the schedule's highest factor must stay below 1",
    ),
    (
        ("optimizer.lr=1e308", "schedule={kind='piecewise-constant', factors=[10.0]}"),
        "optimizer.lr times the highest factor of schedule is not finite",
    ),
    (
        ("weight_decay={kind='coupled', strength=1e308, schedule={kind='piecewise-constant', factors=[10.0]}}",),
        "weight_decay.strength times the highest factor of its schedule is not finite",
    ),
    (("optimizer={kind='sgd', nesterov=true}",), "nesterov needs a momentum above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_parts_that_do_not_agree_are_refused(overrides: tuple[str, ...], said: str) -> None:
    (problem,) = problems(FULL, *overrides)
    assert said in problem


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer.kind=adamw", "weight_decay={kind='independent'}"),
        ("optimizer={kind='schedule-free-adamw'}", "weight_decay={kind='decoupled'}"),
        ("optimizer={kind='sgd', momentum=0.45}", f"momentum_schedule={DOUBLED}"),
        ("optimizer={kind='muon'}", "schedule={kind='warm-up', length=0.1, then={kind='1cycle', momentum=[0, 0.9]}}"),
    ],
)
def test_parts_that_agree_are_not(overrides: tuple[str, ...]) -> None:
    parse(FULL, *overrides)


@settings(deadline=None, max_examples=200)
@given(any_schedule(), st.integers(1, 6), st.integers(1, 6))
def test_no_factor_exceeds_the_highest(spec: rates.Schedule, budget: int, steps: int) -> None:
    horizon = Horizon.even(budget, steps)
    top = max(schedules.value(spec, step, horizon=horizon) for step in range(budget * steps))
    assert top <= rates.highest(spec) * (1 + 1e-12)
