"""The smoothed curve, its noise, its band over seeds, and the rule that ends a sweep, by numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.probes import smoothing
from fewepochs.probes.smoothing import Smooth
from fewepochs.probes.sweeps import Curve, Stop, Sweep, Values

HALF = Sweep(steps=10, smoothing=0.1 / math.log(2.0))
"""A neighbour weighs half."""


def curve(losses: list[float], *, kind: str = "end") -> Curve:
    rates = Sweep(steps=max(2, len(losses))).rates()[: len(losses)]
    return Curve(0, rates, np.array(losses), Stop(kind, len(losses), 1.0))  # type: ignore[arg-type]


def smooth(losses: list[float], *, sweep: Sweep = HALF) -> Smooth:
    return smoothing.smooth(curve(losses), sweep=sweep)


def test_the_past_is_the_usual_mean_with_its_bias_corrected() -> None:
    assert HALF.weight == pytest.approx(0.5)
    found = smoothing.past(np.array([1.0, 2.0, 4.0]), weight=0.5)
    assert found == pytest.approx([1.0, (0.5 + 2) / 1.5, (0.25 + 1 + 4) / 1.75])


def test_the_curve_weighs_both_sides() -> None:
    found = smooth([1.0, 2.0, 4.0]).loss
    assert found == pytest.approx([(1 + 1 + 1) / 1.75, (0.5 + 2 + 2) / 2, (0.25 + 1 + 4) / 1.75])


def test_the_curve_does_not_lag() -> None:
    """A straight line stays where it is, ends aside; the mean of the past is late by w / (1 - w) steps."""
    line = np.arange(400, 0, -1.0)
    sweep = Sweep(steps=400, smoothing=0.02)
    found = smoothing.smooth(Curve(0, sweep.rates(), line, Stop("end", 400, 1.0)), sweep=sweep).loss
    assert found[150:250] == pytest.approx(line[150:250], rel=1e-6)
    late = smoothing.past(line, weight=sweep.weight) - line
    assert late[200] == pytest.approx(sweep.weight / (1 - sweep.weight), rel=1e-6)


def test_a_constant_stays_a_constant_without_noise() -> None:
    found = smooth([2.5] * 30)
    assert found.loss == pytest.approx([2.5] * 30)
    assert found.noise == 0
    assert found.error.tolist() == [0.0] * 30


def test_the_noise_sees_neither_a_slope_nor_an_explosion() -> None:
    rng = np.random.default_rng(3)
    slope = np.linspace(9.0, 1.0, 3000)
    losses = slope + rng.normal(scale=0.2, size=3000)
    losses[-300:] += np.geomspace(1.0, 1e9, 300)
    assert smoothing.noise(slope) == pytest.approx(0.0, abs=1e-12)
    assert smoothing.noise(losses) == pytest.approx(0.2, rel=0.15)
    assert smoothing.noise(np.array([1.0, 2.0])) == 0


def test_the_error_is_that_of_the_curve_over_many_seeds() -> None:
    rng = np.random.default_rng(4)
    sweep = Sweep(steps=100, factor=100.0)
    found = [smooth((5 + rng.normal(scale=0.5, size=100)).tolist(), sweep=sweep) for _ in range(300)]
    spread = np.std([one.loss for one in found], axis=0)
    error = np.mean([one.error for one in found], axis=0)
    assert spread.mean() == pytest.approx(error.mean(), rel=0.1)
    assert error[0] > 1.3 * error[50]
    assert spread[0] > 1.2 * spread[50]


def test_an_explosion_does_not_reach_back() -> None:
    calm = smooth([1.0] * 30).loss
    exploded = smooth([1.0] * 30 + [1e30]).loss
    assert exploded[:24] == pytest.approx(calm[:24], rel=0.05)
    assert exploded.max() <= HALF.factor


def test_a_sweep_ends_where_the_smoothed_loss_passes_the_factor() -> None:
    losses = np.array([1.0, 1.0, 1.0, 6.9, 1.0])  # (0.125 + 0.25 + 0.5 + x) / 1.875 > 4 from x = 6.625 on
    assert smoothing.stop_step(losses, sweep=HALF) == 3
    assert smoothing.stop_step(np.array([1.0, 1.0, 1.0, 6.6]), sweep=HALF) is None
    assert smoothing.stop_step(losses[:3], sweep=HALF) is None
    assert smoothing.stop_step(np.zeros(0), sweep=HALF) is None


def test_the_lowest_so_far_counts_not_the_first() -> None:
    losses = np.array([8.0] * 4 + [1.0] * 12 + [6.9] * 4)  # 3.95, then 5.4
    assert smoothing.stop_step(losses, sweep=HALF) == 17
    assert smoothing.stop_step(losses[4:], sweep=HALF) == 13


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_a_sweep(value: float) -> None:
    assert smoothing.stop_step(np.array([1.0, 2.0, value, 1.0]), sweep=HALF) == 2
    assert smoothing.stop_step(np.array([1.0, 90.0, value]), sweep=HALF) == 1


def made(losses: Values, *, kind: str) -> Smooth:
    sweep = Sweep(steps=20)
    rates = sweep.rates()[: len(losses)]
    return Smooth(rates, losses, np.full_like(losses, 0.25), noise=1.0, edge=1, exploded=kind != "end")


def test_the_band_is_median_and_range_and_an_exploded_seed_is_above_all() -> None:
    low, middle, high = np.full(20, 1.0), np.full(20, 2.0), np.full(12, 3.0)
    found = smoothing.band([made(middle, kind="end"), made(high, kind="loss"), made(low, kind="end")])
    assert found.median.tolist() == [2.0] * 20
    assert found.lowest.tolist() == [1.0] * 20
    assert found.highest.tolist() == [3.0] * 12 + [math.inf] * 8
    early = smoothing.band([made(middle, kind="end"), made(high, kind="loss"), made(low[:5], kind="loss")])
    assert early.median.tolist() == [2.0] * 5 + [3.0] * 7
    assert len(early.rates) == 12


def test_the_band_of_one_seed_is_two_errors_to_both_sides() -> None:
    found = smoothing.band([made(np.full(20, 2.0), kind="end")])
    assert (found.lowest[3], found.median[3], found.highest[3]) == (1.5, 2.0, 2.5)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60), st.integers(-60, 60))
def test_scaling_the_losses_scales_the_curve_bit_for_bit(losses: list[float], power: int) -> None:
    factor = 2.0**power
    plain, scaled = smooth(losses), smooth([loss * factor for loss in losses])
    assert (plain.loss * factor).tolist() == scaled.loss.tolist()
    assert (plain.error * factor).tolist() == scaled.error.tolist()
    ours, theirs = (smoothing.stop_step(np.array(losses) * scale, sweep=HALF) for scale in (1.0, factor))
    assert ours == theirs


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60))
def test_the_curve_stays_within_its_losses(losses: list[float]) -> None:
    found = smooth(losses).loss
    assert (found <= max(losses) * (1 + 1e-12)).all()
    assert (found >= min(losses) * (1 - 1e-12)).all()
    if HALF.factor * min(losses) >= max(losses):  # nothing is capped
        assert smooth(losses[::-1]).loss == pytest.approx(found[::-1], rel=1e-12)
