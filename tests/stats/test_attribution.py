"""Epochs saved: by definition, paired where seeds are shared, and what censoring does."""

from __future__ import annotations

from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from fewepochs.stats import arms, attribution, survival

TIMES = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def observed(times: list[int], *, horizon: int = 20, first_seed: int = 0, label: str = "arm") -> arms.Observed:
    """Return runs that arrive at `times`; those after the horizon are censored there."""
    sample = survival.Sample(tuple(map(float, times)), (True,) * len(times)).until(horizon)
    return arms.Observed(label, tuple((first_seed + k,) for k in range(len(times))), sample, 0, (), 0)


def saved(before: arms.Observed, after: arms.Observed, horizon: float = 20) -> attribution.Saving:
    return attribution.saving(before, after, target=0.9, horizon=horizon, confidence=0.95)


@given(TIMES, TIMES)
def test_what_is_saved_is_the_difference_of_means_up_to_the_horizon(first: list[int], second: list[int]) -> None:
    n = min(len(first), len(second))
    found = saved(observed(first), observed(second))
    if n >= attribution.FEWEST_TWINS:
        first, second = first[:n], second[:n]
    assert found.paired == (n >= 2)
    assert found.saved.value is not None
    assert abs(found.saved.value - (fmean(first) - fmean(second))) < 1e-9


@given(TIMES, TIMES)
def test_exchanging_the_arms_turns_the_sign(first: list[int], second: list[int]) -> None:
    one, other = saved(observed(first), observed(second)), saved(observed(second), observed(first))
    assert one.saved.value is not None
    assert other.saved.value is not None
    assert abs(one.saved.value + other.saved.value) < 1e-9
    assert one.n == other.n[::-1]


def test_twins_that_all_save_the_same_have_no_spread_and_strangers_have_one() -> None:
    slow, fast = [10, 14, 12, 18, 16], [7, 11, 9, 15, 13]
    paired = saved(observed(slow), observed(fast))
    assert (paired.paired, paired.n) == (True, (5, 5))
    assert paired.saved.value is not None
    assert abs(paired.saved.value - 3) < 1e-9
    assert paired.saved.low is None or paired.saved.high is None or paired.saved.high - paired.saved.low < 1e-9
    strangers = saved(observed(slow), observed(fast, first_seed=100))
    assert strangers.paired is False
    assert strangers.saved.low is not None
    assert strangers.saved.high is not None
    assert strangers.saved.high - strangers.saved.low > 2


def test_an_arm_that_never_arrives_counts_with_the_horizon() -> None:
    found = saved(observed([99, 99, 99]), observed([10, 12, 14]))
    assert (found.saved.value, found.reached) == (8, (0, 3))


def test_where_nobody_arrives_nothing_is_known() -> None:
    found = saved(observed([99, 99]), observed([99, 99]))
    assert (found.saved.value, found.saved.reason) == (None, "no run reached the target in either")
    assert saved(observed([]), observed([3])).saved.value is None
