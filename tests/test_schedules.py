"""Schedules against hand-written tables, the published script's own function, and Keras's callbacks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates
from recipe_samples import schedules as any_schedule


def atienza(epoch: int) -> float:
    """The published script's lr_schedule, as it stands there; `epoch` counts from 0."""
    lr = 1e-3
    if epoch > 180:
        lr *= 0.5e-3
    elif epoch > 160:
        lr *= 1e-3
    elif epoch > 120:
        lr *= 1e-2
    elif epoch > 80:
        lr *= 1e-1
    return lr


def factors(spec: rates.Schedule, *, epochs: int, steps: int, budget: int | None = None) -> list[float]:
    horizon = Horizon.even(budget or epochs, steps)
    return [schedules.value(spec, k, horizon=horizon) for k in range(epochs * steps)]


# --- the published rule -----------------------------------------------------------------------------------------


def test_the_baseline_has_the_published_rate_in_every_step_of_every_epoch() -> None:
    recipe = recipes.load("resnet56v2-adam-atienza")
    horizon = Horizon.even(200, 3)
    for epoch in range(200):
        found = schedules.epoch_rates(recipe.schedule, lr=recipe.optimizer.lr, epoch=epoch + 1, horizon=horizon)
        assert found.tolist() == [atienza(epoch)] * 3, f"epoch {epoch + 1}"


@pytest.mark.parametrize(
    ("first", "before", "now"),
    [(82, 1e-3, 1e-4), (122, 1e-4, 1e-5), (162, 1e-5, 1e-6), (182, 1e-6, 5e-7)],
)
def test_the_82nd_epoch_is_the_first_at_a_tenth(first: int, before: float, now: float) -> None:
    recipe = recipes.load("resnet56v2-adam-atienza")
    found = [
        schedules.epoch_rates(recipe.schedule, lr=recipe.optimizer.lr, epoch=epoch, horizon=Horizon.even(200, 1))[0]
        for epoch in (first - 1, first)
    ]
    assert found == pytest.approx([before, now], rel=1e-15)


@pytest.mark.parametrize("budget", [1, 5, 81, 100, 400])
def test_a_pinned_schedule_does_not_move_with_the_budget(budget: int) -> None:
    recipe = recipes.load("resnet56v2-adam-atienza", overrides=[f"budget.epochs={budget}"])
    horizon = Horizon.even(budget, 2)
    found = [schedules.epoch_rates(recipe.schedule, lr=1e-3, epoch=e, horizon=horizon)[0] for e in range(1, budget + 1)]
    assert found == [atienza(epoch) for epoch in range(budget)]


@pytest.mark.parametrize(("budget", "drops"), [(20, [9, 13, 17, 19]), (200, [81, 121, 161, 181]), (10, [5, 7, 9, 10])])
def test_a_stretched_schedule_drops_at_the_same_fractions(budget: int, drops: list[int]) -> None:
    """0.405 of 20 epochs is 8.1: the first whole epoch after it is the tenth, nine are done."""
    schedule = recipes.load("digits-step").schedule
    found = factors(schedule, epochs=budget, steps=4)
    levels = [1.0, 0.1, 0.01, 0.001, 0.0005]
    assert found == [levels[sum(epoch >= drop for drop in drops)] for epoch in range(budget) for _ in range(4)]


# --- laws --


@given(st.integers(1, 999), st.integers(1, 300), st.integers(1, 40))
@example(290, 100, 1)
@example(405, 20, 36)
def test_a_boundary_lies_where_its_decimal_fraction_lies(thousandth: int, budget: int, steps: int) -> None:
    """Binary rounding of 0.29 * 100 must not delay a boundary by a step."""
    spec = rates.PiecewiseConstant(every="step", boundaries=(thousandth / 1000,), factors=(1.0, 0.0))
    first = math.ceil(Fraction(thousandth, 1000) * budget * steps)
    horizon = Horizon.even(budget, steps)
    assert schedules.value(spec, first, horizon=horizon) == 0.0
    assert schedules.value(spec, first - 1, horizon=horizon) == 1.0


@given(st.integers(1, 10**6), st.integers(1, 2000))
def test_a_boundary_in_whole_epochs_is_exact(epoch: int, steps: int) -> None:
    spec = rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(epoch,), factors=(1.0, 0.0))
    horizon = Horizon.even(1, steps)
    assert schedules.value(spec, epoch * steps, horizon=horizon) == 0.0
    assert schedules.value(spec, epoch * steps - 1, horizon=horizon) == 1.0


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(any_schedule(), st.integers(1, 12), st.integers(1, 12), st.floats(1e-6, 1.0))
def test_an_epochs_rates_are_the_values_of_its_steps(spec: rates.Schedule, budget: int, steps: int, lr: float) -> None:
    horizon = Horizon.even(budget, steps)
    seen: list[float] = []
    for epoch in range(1, budget + 1):
        found = schedules.epoch_rates(spec, lr=lr, epoch=epoch, horizon=horizon)
        assert found.dtype == np.float64
        assert len(found) == steps
        seen.extend(found)
    assert seen == [lr * schedules.value(spec, k, horizon=horizon) for k in range(budget * steps)]
    if isinstance(spec, rates.PiecewiseConstant | rates.PiecewiseLinear) and spec.every == "epoch":
        assert all(len(set(seen[k : k + steps])) == 1 for k in range(0, len(seen), steps))
