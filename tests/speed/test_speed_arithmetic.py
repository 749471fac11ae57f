"""The arithmetic of the speed benchmark."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed import arithmetic
from benchmarks.speed.images import Parts

SECONDS = st.floats(1e-3, 1e3)
SERIES = st.lists(SECONDS, min_size=1, max_size=20)


def test_a_figure_is_the_median_with_the_10th_and_90th_percentile() -> None:
    assert arithmetic.figure([float(n) for n in range(11)]) == arithmetic.Figure(median=5.0, p10=1.0, p90=9.0, n=11)
    assert arithmetic.figure([2.0]) == arithmetic.Figure(2.0, 2.0, 2.0, 1)


def test_figures_keep_four_significant_digits() -> None:
    assert arithmetic.figure([0.00123456]).median == 0.001235
    assert arithmetic.figure([123456.0]).median == 123500.0


@given(SERIES)
def test_a_figure_lies_in_its_interval_and_does_not_depend_on_the_order(values: list[float]) -> None:
    found = arithmetic.figure(values)
    assert found.p10 <= found.median <= found.p90
    assert found == arithmetic.figure(values[::-1])
    assert found.median == float(f"{statistics.median(values):.4g}")


@given(SERIES)
def test_whoever_is_compared_with_himself_is_as_fast(values: list[float]) -> None:
    assert arithmetic.ratios(values, values) == [1.0] * len(values)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(0, 5)), min_size=1, max_size=20))
def test_a_machine_that_slows_down_for_a_round_changes_no_ratio(rounds: list[tuple[int, int, int]]) -> None:
    quiet = arithmetic.ratios([float(a) for a, _, _ in rounds], [float(b) for _, b, _ in rounds])
    busy = arithmetic.ratios([a * 2.0**k for a, _, k in rounds], [b * 2.0**k for _, b, k in rounds])
    assert busy == quiet


def test_who_dropped_out_is_compared_over_the_rounds_it_took_part_in() -> None:
    assert arithmetic.ratios([4.0, 9.0], [2.0, 3.0, 5.0]) == [2.0, 3.0]
    assert arithmetic.ratios([], [2.0]) == []


def test_an_epoch_is_its_plan_its_steps_and_its_evaluation() -> None:
    seconds = arithmetic.epoch_seconds(plan=0.5, step=1.0, batch=64, evaluation=2.0, evaluated=500)
    assert seconds == 0.5 + 781.25 + 40.0


def test_an_epoch_of_twice_the_batch_at_twice_the_time_a_step_costs_the_same() -> None:
    small = arithmetic.epoch_seconds(plan=0.5, step=1.0, batch=64, evaluation=2.0, evaluated=500)
    assert arithmetic.epoch_seconds(plan=0.5, step=2.0, batch=128, evaluation=2.0, evaluated=500) == small


def test_the_share_of_the_peak_is_taken_round_by_round() -> None:
    assert arithmetic.share_of_peak([2.0, 4.0], flops=8, peaks=[8.0, 4.0]) == [0.5, 0.5]


@pytest.mark.parametrize(("total", "count"), [(10, 3), (10, 5), (10, 10), (10, 7)])
def test_parts_of_the_training_set_follow_each_other_and_begin_again(total: int, count: int) -> None:
    parts = Parts(total)
    found = [parts.take(count) for _ in range(2 * (total // count))]
    assert found == [slice(n * count, (n + 1) * count) for n in range(total // count)] * 2
