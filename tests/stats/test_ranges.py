"""The interval of a median by order statistics: against enumeration, and for runs that are not known."""

from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.stats import ranges

NUMBERS = st.lists(st.integers(0, 200), min_size=1, max_size=40)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 12])
def test_the_coverage_is_the_share_of_ways_in_which_runs_fall_to_either_side_of_the_median(n: int) -> None:
    for k in range(1, n // 2 + 1):
        ways = [sum(sides) for sides in itertools.product((0, 1), repeat=n)]
        held = Fraction(sum(k <= above <= n - k for above in ways), len(ways))
        assert ranges.coverage(n, k) == pytest.approx(float(held), abs=1e-12)


@pytest.mark.parametrize(("n", "k", "least"), [(5, 1, 0.9375), (6, 1, 0.96875), (9, 2, 0.9609), (20, 6, 0.9586)])
def test_the_ranks_are_those_of_the_textbook(n: int, k: int, least: float) -> None:
    assert ranges.rank(n, confidence=0.95) == k
    assert ranges.coverage(n, k) == pytest.approx(least, abs=5e-5)


@given(NUMBERS)
def test_of_known_runs_the_median_lies_in_its_interval_and_that_in_the_range(numbers: list[int]) -> None:
    found = ranges.median([ranges.exactly(number) for number in numbers])
    assert found.value == statistics.median(numbers)
    assert found.high is not None
    assert min(numbers) == found.lowest <= found.low <= found.value <= found.high <= max(numbers) == found.highest


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20) | st.none()), min_size=1, max_size=12), st.data())
def test_whatever_the_unknown_runs_turn_out_to_be_the_interval_was_no_narrower(
    rows: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    """An unknown number is drawn between its bounds; an open one anywhere above."""
    bounds = [ranges.Bounds(low, None if more is None else low + more) for low, more in rows]
    truth = [data.draw(st.integers(low, low + (500 if more is None else more))) for low, more in rows]
    before, after = ranges.median(bounds), ranges.median([ranges.exactly(number) for number in truth])
    assert before.low <= after.low
    assert after.high is not None
    assert before.high is None or after.high <= before.high
    assert before.value is None or before.value == after.value


def test_of_nine_runs_the_interval_goes_from_the_second_to_the_eighth() -> None:
    found = ranges.median([ranges.exactly(number) for number in (9, 1, 8, 2, 7, 3, 6, 4, 5)])
    assert (found.lowest, found.low, found.value, found.high, found.highest) == (1, 2, 5, 8, 9)


def test_a_median_that_an_unfinished_run_decides_is_not_known() -> None:
    found = ranges.median([*map(ranges.exactly, (80, 90)), ranges.Bounds(60, None)])
    assert (found.value, found.low, found.high) == (None, 60, None)


def test_half_of_the_runs_without_an_end_leave_the_median_open() -> None:
    open_end = ranges.Bounds(201, None)
    assert ranges.median([*map(ranges.exactly, (80, 90, 100)), open_end, open_end]).value == 100
    assert ranges.median([*map(ranges.exactly, (80, 90)), open_end, open_end]).value is None
