"""Successive halving: who goes on, against the obvious way to find out."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from fewepochs.stats import halving

SCORES = st.dictionaries(
    st.integers(0, 50), st.sampled_from([0.1, 0.5, 0.5, 0.9, halving.WORST]), min_size=1, max_size=30
)


@given(SCORES, st.integers(2, 5))
def test_who_goes_on_has_fewer_better_ones_than_there_are_places(scores: dict[int, float], reduction: int) -> None:
    places = max(1, len(scores) // reduction)

    def better(number: int) -> int:
        own = scores[number]
        return sum(score > own or (score == own and other < number) for other, score in scores.items())

    expected = [n for n in sorted(scores) if better(n) < places and scores[n] > halving.WORST]
    assert list(halving.promoted(scores, reduction=reduction)) == expected


@given(SCORES, st.integers(2, 5), st.randoms())
def test_the_order_in_which_trials_end_changes_nothing(
    scores: dict[int, float], reduction: int, chance: random.Random
) -> None:
    numbers = list(scores)
    chance.shuffle(numbers)
    shuffled = {number: scores[number] for number in numbers}
    assert halving.promoted(shuffled, reduction=reduction) == halving.promoted(scores, reduction=reduction)


def test_where_all_diverged_nobody_goes_on() -> None:
    assert halving.promoted({0: halving.WORST, 1: halving.WORST}, reduction=2) == ()


@given(st.integers(1, 50), st.integers(2, 6), st.integers(1, 300))
def test_rungs_rise_by_the_reduction_and_end_with_the_budget(first: int, reduction: int, budget: int) -> None:
    found = halving.rungs(first=first, reduction=reduction, budget=budget)
    assert found[-1] == budget
    assert all(early < late for early, late in itertools.pairwise(found))
    assert all(late == early * reduction for early, late in itertools.pairwise(found[:-1]))
    assert first >= budget or found[0] == first
