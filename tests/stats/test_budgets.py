"""Which budget is tried next, and what those tried say: against looking at every budget."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.stats import budgets

LOWEST, HIGHEST = 3, 60


def searched(enough: dict[int, bool], *, lowest: int, highest: int) -> dict[int, bool]:
    """Return what a search tries where `enough` is the truth."""
    found: dict[int, bool] = {}
    while (budget := budgets.following(found, lowest=lowest, highest=highest)) is not None:
        assert budget not in found, "nothing is tried twice"
        found[budget] = enough[budget]
    return found


def answered(found: dict[int, bool], *, lowest: int, highest: int, share: float = 0.8) -> budgets.Answer:
    rows = {b: budgets.tried(b, reached=5 if yes else 0, n=5, share=share) for b, yes in found.items()}
    return budgets.answer(rows, lowest=lowest, highest=highest, share=share)


@given(lowest=st.integers(1, 30), span=st.integers(0, 200), step=st.integers(-1, 201))
def test_a_search_finds_what_looking_at_every_budget_finds(lowest: int, span: int, step: int) -> None:
    highest = lowest + span
    truth = {budget: budget >= lowest + step for budget in range(lowest, highest + 1)}
    smallest = next((budget for budget, yes in truth.items() if yes), None)
    found = searched(truth, lowest=lowest, highest=highest)
    answer = answered(found, lowest=lowest, highest=highest)
    assert answer.smallest == smallest
    assert answer.complete
    assert answer.not_enough == (highest if smallest is None else smallest - 1 if smallest > lowest else None)
    assert len(found) <= 2 + max(1, span).bit_length()


@given(st.lists(st.booleans(), min_size=HIGHEST + 1, max_size=HIGHEST + 1))
def test_whatever_the_truth_is_the_answer_is_enough_and_its_neighbour_is_not(truth: list[bool]) -> None:
    """Where more is not always better a search finds one of the edges, and says nothing false of it."""
    found = searched(dict(enumerate(truth)), lowest=LOWEST, highest=HIGHEST)
    answer = answered(found, lowest=LOWEST, highest=HIGHEST)
    if answer.smallest is not None:
        assert truth[answer.smallest]
        assert answer.smallest == LOWEST or not truth[answer.smallest - 1]
    else:
        assert not truth[HIGHEST]


@given(st.integers(1, 60), st.fractions(Fraction(1, 100), 1).filter(lambda p: p.denominator <= 100))
def test_so_many_runs_are_needed_as_the_share_says_exactly(n: int, share: Fraction) -> None:
    assert budgets.needed(n, float(share)) == max(1, ceil(share * n))


def test_an_answer_that_is_still_open_says_so() -> None:
    assert not answered({}, lowest=4, highest=20).complete
    assert not answered({20: True, 4: False}, lowest=4, highest=20).complete
    assert answered({20: True, 4: True}, lowest=4, highest=20).complete


def test_budgets_outside_the_range_do_not_count() -> None:
    answer = answered({2: True, 20: True, 4: False, 30: False}, lowest=4, highest=20)
    assert (answer.smallest, answer.not_enough) == (20, 4)


@pytest.mark.parametrize(
    ("reached", "n", "surely", "surely_not"),
    [(5, 5, None, None), (17, 17, 9, None), (16, 17, None, None), (0, 5, None, 9), (1, 5, None, 9), (2, 5, None, None)],
)
def test_only_an_interval_on_one_side_of_the_share_makes_sure(
    reached: int, n: int, surely: int | None, surely_not: int | None
) -> None:
    row = budgets.tried(9, reached=reached, n=n, share=0.8)
    found = budgets.answer({9: row}, lowest=9, highest=9, share=0.8)
    assert (found.surely, found.surely_not) == (surely, surely_not)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 0.9, 0.99999])
def test_so_many_runs_make_certain_and_one_fewer_do_not(share: float) -> None:
    n = budgets.seeds_for_certainty(share)
    assert share**n <= 0.025 < share ** (n - 1)
