"""The rules by which a claim counts as reproduced: their laws, their edges, the numbers they lean on."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.claims import catalogue, rules
from fewepochs.stats import ranges

OPEN = ranges.Bounds(201, None)
EPOCHS = st.integers(60, 140)


def runs(*numbers: float) -> list[ranges.Bounds]:
    return [ranges.exactly(number) for number in numbers]


def epochs_to(
    value: float, *, relation: catalogue.Relation = "equals", variation: float | None = 15.0
) -> catalogue.Typical:
    return catalogue.Typical(quantity="epochs", target=0.92, relation=relation, value=value, variation=variation)


@given(st.lists(st.integers(-7, 7), min_size=5, max_size=60), EPOCHS)
def test_a_claim_at_the_median_of_runs_that_vary_as_published_is_reproduced(offsets: list[int], middle: int) -> None:
    numbers = [middle + offset for offset in offsets]
    found = rules.typical(epochs_to(statistics.median(numbers)), runs(*numbers))
    assert (found.verdict, found.why) == ("reproduced", "inside")


@given(st.lists(EPOCHS, min_size=5, max_size=60), st.integers(1, 300), st.booleans())
def test_a_claim_beyond_every_run_and_its_variation_is_not_reproduced(
    numbers: list[int], beyond: int, above: bool
) -> None:
    value = max(numbers) + 15 + beyond if above else max(min(numbers) - 15 - beyond, 0.5)
    found = rules.typical(epochs_to(value), runs(*numbers))
    if value > 0.5:
        assert (found.verdict, found.why) == ("not reproduced", "outside")


@given(st.lists(EPOCHS, min_size=0, max_size=4), st.floats(1, 300))
def test_few_runs_have_no_verdict_whatever_they_say(numbers: list[int], value: float) -> None:
    found = rules.typical(epochs_to(value), runs(*numbers))
    assert found.verdict == "not testable"
    assert found.why == ("few-runs" if numbers else "no-runs")


@given(st.lists(EPOCHS, min_size=5, max_size=30), st.data())
def test_runs_that_are_not_known_can_take_a_verdict_but_never_turn_it(numbers: list[int], data: st.DataObject) -> None:
    value = float(data.draw(EPOCHS))
    whole = rules.typical(epochs_to(value), runs(*numbers)).verdict
    unknown = [ranges.Bounds(data.draw(st.integers(1, number)), None) for number in numbers[:2]]
    assert rules.typical(epochs_to(value), [*unknown, *runs(*numbers[2:])]).verdict in (whole, "not testable")


def test_a_wide_interval_that_holds_the_claim_does_not_reproduce_it() -> None:
    found = rules.typical(epochs_to(84), runs(50, 70, 84, 110, 150))
    assert (found.verdict, found.why, found.value, found.low, found.high) == ("not testable", "overlap", 84, 50, 150)


@pytest.mark.parametrize(
    ("relation", "value", "variation", "numbers", "verdict"),
    [
        ("equals", 84, 15, (82, 82, 82, 82, 82), "reproduced"),
        ("equals", 84, 15, (69, 99, 80, 80, 80), "reproduced"),
        ("equals", 84, 15, (68, 80, 80, 80, 80), "not testable"),
        ("equals", 84, 15, (100, 101, 102, 103, 104), "not reproduced"),
        ("at-most", 50, 0, (45, 46, 47, 48, 50), "reproduced"),
        ("at-most", 50, 0, (45, 46, 47, 48, 51), "not testable"),
        ("at-most", 50, 0, (51, 52, 53, 54, 55), "not reproduced"),
        ("more-than", 96, 15, (82, 100, 120, 130, 140), "reproduced"),
        ("more-than", 96, 15, (81, 100, 120, 130, 140), "not testable"),
        ("more-than", 96, 15, (70, 75, 80, 80, 81), "not reproduced"),
        ("more-than", 96, 15, (70, 75, 80, 80, 82), "not testable"),
        ("at-least", 96, 15, (81, 90, 90, 90, 90), "reproduced"),
        ("at-least", 96, 15, (70, 75, 80, 80, 80), "not reproduced"),
        ("at-least", 96, 15, (70, 75, 80, 80, 81), "not testable"),
    ],
)
def test_the_ends_of_what_is_claimed(
    relation: catalogue.Relation, value: float, variation: float, numbers: tuple[int, ...], verdict: str
) -> None:
    item = epochs_to(value, relation=relation, variation=variation)
    assert rules.typical(item, runs(*numbers)).verdict == verdict


def test_runs_that_never_got_there_speak_against_within_and_for_more_than() -> None:
    never = [OPEN] * 6
    assert rules.typical(epochs_to(50, relation="at-most", variation=0), never).verdict == "not reproduced"
    assert rules.typical(epochs_to(140, relation="more-than"), never).verdict == "reproduced"
    assert rules.typical(epochs_to(84), never).verdict == "not reproduced"
    assert rules.typical(epochs_to(190), never).verdict == "not testable"


@pytest.mark.parametrize(("n", "verdict"), [(5, "not testable"), (38, "not testable"), (39, "not reproduced")])
def test_without_a_published_variation_only_many_runs_can_exclude_one_more(n: int, verdict: str) -> None:
    item = epochs_to(200, variation=None)
    found = rules.typical(item, runs(*range(100, 100 + n)))
    assert (found.verdict, found.coverage) == (verdict, (n - 1) / (n + 1))
    inside = rules.typical(item, runs(*range(190, 190 + n)))
    assert inside.verdict == ("reproduced" if n > 10 else "not testable")


def test_an_unfinished_run_may_widen_the_range_but_not_hold_the_claim_inside() -> None:
    item, late = epochs_to(133, variation=None), runs(140, 141, 142, 143, 144)
    unknown = ranges.Bounds(82, 200)
    for sure in (late, runs(100, 101, 102, 103, 104)):
        found = rules.typical(item, [*sure, unknown])
        assert (found.verdict, found.why) == ("not testable", "overlap")
    assert rules.typical(item, [*late, *runs(120), unknown]).verdict == "reproduced"
    assert rules.typical(item, [*late, ranges.Bounds(150, None)]).why == "beyond"


@given(st.permutations(range(6)))
def test_one_further_run_falls_within_the_range_as_often_as_said(order: list[int]) -> None:
    """Any of n + 1 exchangeable runs may be the further one: it is outside in two cases of n + 1."""
    outside = [k for k in order if not min(order[:k] + order[k + 1 :]) < order[k] < max(order[:k] + order[k + 1 :])]
    assert len(outside) in (1, 2)
    inside = [x for x in order if min(order) < x < max(order)]
    assert len(inside) / 6 == (5 - 1) / (5 + 1)


# --- shares ---------------------------------------------------------------------------------------------------------

NEVER = catalogue.Share(target=0.93, within=200, reached=0, runs=5)
MOST = catalogue.Share(target=0.924, within=24, share=0.84)


@pytest.mark.parametrize(
    ("item", "reached", "n", "verdict"),
    [
        (NEVER, 0, 5, "reproduced"),
        (NEVER, 1, 5, "not testable"),
        (NEVER, 5, 5, "not testable"),
        (NEVER, 6, 6, "not reproduced"),
        (NEVER, 0, 4, "not testable"),
        (MOST, 6, 6, "reproduced"),
        (MOST, 5, 5, "not testable"),
        (MOST, 0, 5, "not reproduced"),
        (MOST, 20, 40, "not reproduced"),
        (MOST, 34, 40, "reproduced"),
        (MOST, 70, 100, "not reproduced"),
    ],
)
def test_shares_of_runs(item: catalogue.Share, reached: int, n: int, verdict: str) -> None:
    found = rules.share(item, runs(*[20] * reached, *[400] * (n - reached)))
    assert (found.verdict, found.value) == (verdict, reached / n)


def test_runs_that_ended_too_early_count_for_either_side() -> None:
    early = ranges.Bounds(50, None)
    found = rules.share(NEVER, [*[OPEN] * 5, early])
    assert (found.verdict, found.value) == ("not testable", None)
    assert rules.share(NEVER, []).why == "no-runs"


# --- spreads and trends ---------------------------------------------------------------------------------------------

SPREAD = catalogue.Spread(target=0.92, low=10, high=15)


@given(st.lists(EPOCHS, min_size=5, max_size=9))
def test_the_mean_range_is_that_of_all_choices_of_five(numbers: list[int]) -> None:
    slow = [max(five) - min(five) for five in itertools.combinations(numbers, 5)]
    assert rules.mean_range(numbers) == pytest.approx(sum(slow) / len(slow))


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((82, 82, 83, 84, 84), "not reproduced"),
        ((80, 82, 84, 86, 92), "reproduced"),
        ((20, 82, 84, 86, 120), "not reproduced"),
        ((82, 95), "not testable"),
    ],
)
def test_spreads(numbers: tuple[int, ...], verdict: str) -> None:
    assert rules.spread(SPREAD, runs(*numbers)).verdict == verdict


def test_a_spread_with_runs_that_never_arrived_is_not_known() -> None:
    found = rules.spread(SPREAD, [*runs(80, 82, 84, 86), OPEN])
    assert (found.verdict, found.reason) == ("not testable", "1 of 5 not known to the epoch")


def test_the_factor_between_two_ranges_of_five_is_what_chance_makes_of_it() -> None:
    draw = np.random.default_rng(0).standard_normal((2, 200_000, 5))
    first, second = np.ptp(draw, axis=2)
    assert np.quantile(first / second, 0.975) == pytest.approx(rules.RANGE_FACTOR, abs=0.1)


def test_trends() -> None:
    growing = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert rules.trend(growing).verdict == "reproduced"
    assert rules.trend(growing[::-1]).verdict == "not reproduced"
    assert rules.trend([[1.0, 4.0], [3.0, 2.0], [2.0, 3.0]]).verdict == "not testable"
    assert rules.trend([[1.0], [], [2.0]]).reason == "1 of 3 recipes have no run"
