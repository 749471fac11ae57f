"""Intervals from resamples: the percentiles taken, what draws depend on, and what must hold for any runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewepochs.stats import resampling, survival
from oracles import survival as oracle

NAME = (0, 0, 0, 0)
ROWS = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=2, max_size=7)


def sample(rows: list[tuple[int, bool]]) -> survival.Sample:
    return survival.Sample(tuple(float(time) for time, _ in rows), tuple(reached for _, reached in rows))


# --- draws ----------------------------------------------------------------------------------------------------------


def test_a_resample_draws_n_of_n_runs_each_as_often_as_any_other() -> None:
    counts = np.concatenate(resampling.blocks(5, NAME, 20_000))
    assert counts.shape == (20_000, 5)
    assert (counts.sum(axis=1) == 5).all()
    # Binomial(5, 1/5) has variance 4/5.
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=5 * math.sqrt(0.8 / 20_000))
    np.testing.assert_allclose(counts.var(axis=0), 0.8, rtol=0.05)


def test_draws_are_named_and_repeat_bit_for_bit() -> None:
    found = [np.concatenate(resampling.blocks(4, name, 100)) for name in ((1, 2), (1, 2), (2, 1))]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_draws_take_nothing_from_a_global_state_and_leave_none() -> None:
    np.random.seed(0)
    first = resampling.blocks(4, NAME, 10)[0]
    after = np.random.random()
    np.random.seed(1)
    np.testing.assert_array_equal(first, resampling.blocks(4, NAME, 10)[0])
    np.random.seed(0)
    assert np.random.random() == after


def test_draws_are_pinned() -> None:
    """Equal names must give equal intervals in every version: these counts may not change."""
    assert resampling.blocks(3, (7,), 4)[0].tolist() == PINNED


PINNED = [[1, 1, 1], [1, 0, 2], [1, 1, 1], [2, 1, 0]]


@pytest.mark.parametrize("n", [1, 3, 400])
def test_blocks_are_as_many_rows_as_asked(n: int) -> None:
    assert sum(len(block) for block in resampling.blocks(n, NAME, 3_001)) == 3_001


# --- percentiles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "percent"), [(5, 0.1), (10, 0.9), (20, 1.6), (40, 2.0), (1000, 2.5)])
def test_the_levels_are_those_of_hesterbergs_formula(n: int, percent: float) -> None:
    found = resampling.level(n, confidence=0.95)
    assert found == pytest.approx(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)))
    assert round(100 * found, 1) == percent


def test_the_interval_of_a_mean_is_the_t_interval_where_resamples_are_normal() -> None:
    n = 10
    values = stats.norm.ppf((np.arange(n) + 0.5) / n)
    replicates = np.random.default_rng(0).normal(values.mean(), values.std() / math.sqrt(n), size=400_000)
    low, high, _ = resampling.interval(replicates, n=n, value=values.mean(), confidence=0.95)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    assert low == pytest.approx(-half, rel=0.01)
    assert high == pytest.approx(half, rel=0.01)


def test_few_runs_give_the_percentiles_of_all_their_resamples() -> None:
    """With three runs all 27 resamples can be listed; the interval of their median is lowest to highest."""
    medians, _ = resampling.survival_replicates(sample([(4, True), (9, True), (11, True)]), name=NAME, horizons=[12.0])
    listed = [sorted(drawn)[1] for drawn in itertools.product((4, 9, 11), repeat=3)]
    for time in (4, 9, 11):
        assert (medians == time).mean() == pytest.approx(listed.count(time) / 27, abs=0.02)
    assert resampling.interval(medians, n=3, value=9.0, confidence=0.95) == (4.0, 11.0, None)


# --- for any runs ---------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(ROWS, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_holds_the_estimate_and_grows_with_its_confidence(
    rows: list[tuple[int, bool]], confidence: float
) -> None:
    found = sample(rows)
    horizon = float(max(time for time, _ in rows))
    medians, means = resampling.survival_replicates(found, name=NAME, horizons=[horizon], draws=500)
    for replicates, value in (
        (medians, survival.median(found)),
        (
            means[horizon],
            float(oracle.restricted_mean(([time for time, _ in rows], [reached for _, reached in rows]), int(horizon))),
        ),
    ):
        if value is None:
            continue
        low, high, reason = resampling.interval(replicates, n=len(rows), value=value, confidence=confidence)
        if reason is not None:
            assert (low, high) == (None, None)
            continue
        assert low is not None
        assert low <= value <= (math.inf if high is None else high)
        wider_low, wider_high, _ = resampling.interval(replicates, n=len(rows), value=value, confidence=0.995)
        assert wider_low is not None
        assert wider_low <= low
        assert wider_high is None or (high is not None and wider_high >= high)


@settings(max_examples=50, deadline=None)
@given(ROWS, ROWS, st.sampled_from([0.25, 8.0]))
def test_a_ratio_does_not_depend_on_the_unit(
    one: list[tuple[int, bool]], other: list[tuple[int, bool]], scale: float
) -> None:
    found = []
    for factor in (1.0, scale):
        medians = []
        for rows in (one, other):
            scaled = survival.Sample(tuple(factor * time for time, _ in rows), tuple(r for _, r in rows))
            medians.append(resampling.survival_replicates(scaled, name=NAME, horizons=[factor], draws=300)[0])
        found.append(resampling.ratio_interval(medians[0], medians[1], n=2, value=1.0, confidence=0.9))
    assert found[0] == found[1]


# --- at the edge ----------------------------------------------------------------------------------------------------


def test_one_run_and_runs_alike_have_no_interval() -> None:
    single = np.full(10, 5.0)
    assert resampling.interval(single, n=1, value=5.0, confidence=0.95) == (None, None, resampling.SINGLE)
    assert resampling.interval(single, n=4, value=5.0, confidence=0.95) == (None, None, resampling.ALIKE)


def test_an_end_beyond_every_number_is_open() -> None:
    half = np.array([5.0] * 50 + [math.inf] * 50)
    assert resampling.interval(half, n=4, value=5.0, confidence=0.95) == (5.0, None, None)


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ([2.0, 4.0], [4.0, 4.0], (0.5, 1.0, None)),
        ([2.0, math.inf], [4.0, 4.0], (0.5, None, None)),
        ([2.0, 4.0], [4.0, math.inf], (None, 0.7, None)),  # the estimate itself is the highest known
        ([2.0, math.inf], [4.0, math.inf], (None, None, "too many")),  # it could be anything
        ([2.0, 2.0], [0.0, 4.0], (None, None, "no time")),
        ([2.0, 2.0], [4.0, 4.0], (None, None, "alike")),
    ],
)
def test_a_ratio_is_open_where_a_resample_has_no_median(
    above: list[float], below: list[float], expected: tuple[float | None, float | None, str | None]
) -> None:
    ends = (np.array(above * 50), np.array(below * 50))
    low, high, reason = resampling.ratio_interval(*ends, n=4, value=0.7, confidence=0.95)
    assert (low, high) == expected[:2]
    assert reason is None if expected[2] is None else reason is not None and expected[2] in reason
