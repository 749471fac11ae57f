"""Schedules: the published script's own function, boundaries, and laws that every schedule keeps."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.schedules import Horizon
from fewepochs.specs import rates
from recipe_samples import batch_schedules
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


# --- boundaries ---------------------------------------------------------------------------------------------------


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


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 99))
def test_a_horizon_counts_to_and_fro(epoch_steps: list[int], step: int) -> None:
    """After the budget every epoch is like its last."""
    horizon = Horizon(tuple(epoch_steps))
    lengths = [*epoch_steps, *[epoch_steps[-1]] * 99]
    epochs = [epoch for epoch, length in enumerate(lengths, start=1) for _ in range(length)]
    assert horizon.epoch(step) == epochs[step]
    assert horizon.first(epochs[step]) == epochs.index(epochs[step])
    assert horizon.steps == sum(epoch_steps)
    for unit in ("epochs", "budget"):
        assert horizon.step_at(horizon.position(step, unit=unit), unit=unit) == step


# --- laws that every schedule keeps -----------------------------------------------------------------------------------

LAWS = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
HORIZONS = st.lists(st.integers(1, 9), min_size=1, max_size=8).map(lambda steps: Horizon(tuple(steps)))


def everything(spec: rates.Schedule, *, horizon: Horizon, beyond: int = 0) -> list[float]:
    return [schedules.value(spec, step, horizon=horizon) for step in range(horizon.steps + beyond)]


def course(spec: rates.Schedule) -> Any:
    return spec.then if isinstance(spec, rates.WarmUp) else spec


@LAWS
@given(any_schedule(), HORIZONS)
def test_factors_are_finite_and_not_negative(spec: rates.Schedule, horizon: Horizon) -> None:
    for factor in everything(spec, horizon=horizon, beyond=9):
        assert math.isfinite(factor)
        assert factor >= 0


@LAWS
@given(any_schedule(), HORIZONS)
def test_a_momentum_lies_between_its_low_and_its_high(spec: rates.Schedule, horizon: Horizon) -> None:
    momenta = [schedules.momentum(spec, step, horizon=horizon) for step in range(horizon.steps + 9)]
    asked = course(spec).momentum if isinstance(course(spec), rates.OneCycle) else None
    if asked is None:
        assert momenta == [None] * len(momenta)
    else:
        assert all(momentum is not None and asked[0] <= momentum <= asked[1] for momentum in momenta)


@LAWS
@given(any_schedule(), HORIZONS, st.floats(1e-6, 1.0))
def test_an_epochs_rates_are_the_values_of_its_steps(spec: rates.Schedule, horizon: Horizon, lr: float) -> None:
    seen: list[float] = []
    for epoch, steps in enumerate(horizon.epoch_steps, start=1):
        found = schedules.epoch_rates(spec, lr=lr, epoch=epoch, horizon=horizon)
        assert found.dtype == np.float64
        assert len(found) == steps
        assert found.tolist() == (lr * schedules.epoch_factors(spec, epoch=epoch, horizon=horizon)).tolist()
        seen.extend(found)
    assert seen == [lr * factor for factor in everything(spec, horizon=horizon)]


@LAWS
@given(any_schedule(), HORIZONS)
def test_by_epoch_means_constant_inside_an_epoch(spec: rates.Schedule, horizon: Horizon) -> None:
    assume(getattr(course(spec), "every", "step") == "epoch")
    begin = horizon.step_at(spec.length, unit=spec.unit) if isinstance(spec, rates.WarmUp) else 0
    found = everything(spec, horizon=horizon)
    for epoch in range(1, len(horizon.epoch_steps) + 1):
        assert len(set(found[max(begin, horizon.first(epoch)) : horizon.first(epoch + 1)])) <= 1


@LAWS
@given(any_schedule(), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_what_is_pinned_to_epochs_does_not_move_with_the_budget(
    spec: rates.Schedule, steps: int, short: int, long: int
) -> None:
    parts = {spec, course(spec)} - {rates.Constant()}
    assume(all(getattr(part, "unit", "budget") == "epochs" for part in parts))
    one, other = Horizon.even(short, steps), Horizon.even(long, steps)
    within = steps * min(short, long)
    assert everything(spec, horizon=one)[:within] == everything(spec, horizon=other)[:within]


STRETCHED = any_schedule().filter(lambda spec: getattr(spec, "unit", "budget") == "budget" and spec.kind != "warm-up")
"""A warm-up ends with a whole step, which moves what follows by less than that; it has a law of its own."""


@LAWS
@given(STRETCHED, st.integers(1, 8))
def test_what_is_a_fraction_of_the_budget_stretches_with_it(spec: Any, budget: int) -> None:
    """1cycle counts steps from its first to its last, so that its fractions are of one step less."""
    assume(spec.kind != "1cycle" and getattr(spec, "every", "step") == "step")
    short, long = Horizon.even(budget, 4), Horizon.even(2 * budget, 4)  # quarters are exact
    assert everything(spec, horizon=long)[::2] == everything(spec, horizon=short)


@LAWS
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4]), any_schedule())
def test_after_a_warm_up_comes_the_same_as_in_a_shorter_run(length: int, left: int, steps: int, spec: Any) -> None:
    """A warm-up of whole epochs, each of a power of two steps, so that positions are exact."""
    then = course(spec)
    spec = rates.WarmUp(unit="epochs", length=length, start=0.5, then=then)
    horizon, alone = Horizon.even(length + left, steps), Horizon.even(left, steps)
    found, expected = everything(spec, horizon=horizon), everything(then, horizon=alone)
    assert found[length * steps :] == expected
    ramp = [expected[0] * (0.5 + 0.5 * k / (length * steps)) for k in range(length * steps)]
    assert found[: length * steps] == pytest.approx(ramp, rel=1e-12)


@LAWS
@given(any_schedule(), HORIZONS)
def test_at_an_epochs_begin_it_does_not_matter_how_many_steps_epochs_have(spec: Any, horizon: Horizon) -> None:
    """But for 1cycle, which counts steps; and a warm-up, which ends with a whole one."""
    assume(spec.kind not in ("1cycle", "warm-up"))
    even = Horizon.even(len(horizon.epoch_steps), 7)
    for epoch in range(1, len(horizon.epoch_steps) + 1):
        found = schedules.value(spec, horizon.first(epoch), horizon=horizon)
        assert found == schedules.value(spec, even.first(epoch), horizon=even)


@pytest.mark.parametrize(
    ("spec", "end"),
    [
        (rates.Polynomial(), 0.0),
        (rates.Cosine(end=0.25), 0.25),
        (rates.Cosine(wave="quarter"), 0.0),  # exactly: a rate of 1e-17 is none, but shows on a logarithmic axis
        (rates.Exponential(end=0.5), 0.5),
        (rates.Trapezoid(end=0.25), 0.25),
        (rates.OneCycle(end=0.0), 0.0),
        (rates.OneCycle(end=0.0, anneal="linear"), 0.0),
        (rates.WarmUp(length=0.5, then=rates.Cosine()), 0.0),
    ],
)
def test_after_the_budget_it_stays_at_its_end(spec: rates.Schedule, end: float) -> None:
    horizon = Horizon.even(3, 4)
    assert {schedules.value(spec, step, horizon=horizon) for step in range(12, 40)} == {end}


@LAWS
@given(batch_schedules(), st.integers(1, 512), st.integers(1, 20))
def test_batch_sizes_are_whole_and_follow_the_factors(spec: Any, batch_size: int, budget: int) -> None:
    found = schedules.batch_sizes(spec, batch_size=batch_size, budget_epochs=budget)
    horizon = Horizon.even(budget, 1)
    assert len(found) == budget
    for size, factor in zip(found, everything(spec, horizon=horizon), strict=True):
        assert size >= 1
        assert abs(size - batch_size * factor) <= (0.5 if batch_size * factor >= 0.5 else 1.0)


def test_a_long_run_costs_little_on_the_host() -> None:
    """782 steps of the 100th of 200 epochs; a slower machine has ten times as long."""
    horizon = Horizon.even(200, 782)
    boundaries = tuple((k + 1) / 4096 for k in range(4095))
    for spec in (
        rates.WarmUp(unit="epochs", length=5, then=rates.Cosine()),
        rates.WarmUp(length=0.1, then=rates.PiecewiseLinear(points=((0, 0), (0.2, 1), (1, 0)))),
        rates.OneCycle(momentum=(0.85, 0.95)),
        rates.PiecewiseConstant(every="step", boundaries=boundaries, factors=(1.0,) * 4096),
    ):
        begin = time.process_time()
        schedules.epoch_factors(spec, epoch=100, horizon=horizon)
        assert time.process_time() - begin < 0.2
