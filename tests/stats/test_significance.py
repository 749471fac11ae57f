"""Tests between two arms: against lifelines, R and scipy, against enumeration by definition, and their laws."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewepochs.stats import significance, survival
from oracles import survival as oracle

GOLDEN = json.loads((Path(__file__).parent.parent / "goldens" / "survival.json").read_text())
ROWS = st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=4)


def sample(rows: list[tuple[int, bool]]) -> survival.Sample:
    return survival.Sample(tuple(float(time) for time, _ in rows), tuple(reached for _, reached in rows))


def arm_of(rows: list[tuple[int, bool]]) -> oracle.Arm:
    return [time for time, _ in rows], [reached for _, reached in rows]


def arrived(*times: int) -> survival.Sample:
    return sample([(time, True) for time in times])


# --- others' numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", GOLDEN["pairs"], ids=lambda pair: str(pair["name"]))
def test_chi_square_and_its_p_are_those_of_lifelines(pair: dict[str, Any]) -> None:
    first, second = (survival.Sample(tuple(arm["times"]), tuple(arm["reached"])) for arm in pair["arms"])
    found = significance.logrank(first, second)
    if pair["logrank"] is None:
        assert (found.p, found.chi2, found.reason) == (None, None, significance.NOBODY)
        return
    assert found.chi2 == pytest.approx(pair["logrank"]["chi2"], abs=1e-9)
    assert found.chi2_p == pytest.approx(pair["logrank"]["p"], abs=1e-9)


def test_remission_times_give_rs_chi_square() -> None:
    """R's survdiff (survival package) says of these data: Chisq = 16.8 on 1 degree of freedom, p = 4e-05."""
    first, second = (survival.Sample(tuple(arm["times"]), tuple(arm["reached"])) for arm in GOLDEN["pairs"][0]["arms"])
    found = significance.logrank(first, second)
    assert found.chi2 is not None
    assert found.chi2_p is not None
    assert (round(found.chi2, 1), f"{found.chi2_p:.0e}") == (16.8, "4e-05")
    assert (found.p, found.method, found.n) == (1 / (1 + significance.DRAWS), "monte-carlo", 42)


def test_the_chi_square_is_the_square_of_scipys_statistic() -> None:
    first, second = (GOLDEN["pairs"][0]["arms"][k] for k in (0, 1))
    one, other = [
        stats.CensoredData(
            uncensored=[t for t, r in zip(arm["times"], arm["reached"], strict=True) if r],
            right=[t for t, r in zip(arm["times"], arm["reached"], strict=True) if not r],
        )
        for arm in (first, second)
    ]
    expected = stats.logrank(one, other)
    found = significance.logrank(
        *(survival.Sample(tuple(arm["times"]), tuple(arm["reached"])) for arm in (first, second))
    )
    assert found.chi2 == pytest.approx(expected.statistic**2)
    assert found.chi2_p == pytest.approx(expected.pvalue)


# --- by enumeration -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(ROWS, ROWS)
def test_the_p_is_the_share_of_all_relabellings(one: list[tuple[int, bool]], other: list[tuple[int, bool]]) -> None:
    found = significance.logrank(sample(one), sample(other))
    if not any(reached for _, reached in (*one, *other)):
        assert found.p is None
        return
    assert found.p == pytest.approx(float(oracle.permutation_p(arm_of(one), arm_of(other))))
    assert (found.method, found.rearrangements) == ("exact", math.comb(len(one) + len(other), len(one)))
    scores = significance.scores(sample([*one, *other]))
    assert scores[: len(one)].sum() == pytest.approx(float(oracle.excess(arm_of(one), arm_of(other))))


@settings(deadline=None)
@given(st.lists(st.tuples(ROWS.map(lambda rows: rows[0]), ROWS.map(lambda rows: rows[0])), min_size=1, max_size=5))
def test_the_paired_p_is_the_share_of_all_exchanges(pairs: list[tuple[tuple[int, bool], tuple[int, bool]]]) -> None:
    one, other = ([pair[k] for pair in pairs] for k in (0, 1))
    found = significance.paired(sample(one), sample(other))
    if not any(reached for _, reached in (*one, *other)):
        assert found.p is None
        return
    assert found.p == pytest.approx(float(oracle.exchange_p(arm_of(one), arm_of(other))))
    assert (found.method, found.rearrangements, found.pairs) == ("exact", 2 ** len(pairs), len(pairs))


@pytest.mark.parametrize(("count", "paired_p", "p"), [(3, 1 / 4, 1 / 10), (5, 1 / 16, 1 / 126), (6, 1 / 32, 1 / 462)])
def test_few_runs_wholly_apart_cannot_prove_more_than_there_are_rearrangements(
    count: int, paired_p: float, p: float
) -> None:
    early, late = arrived(*range(1, count + 1)), arrived(*range(101, 101 + count))
    found, within = significance.logrank(early, late), significance.paired(early, late)
    assert found.p == found.smallest_p == pytest.approx(p)
    assert within.p == within.smallest_p == pytest.approx(paired_p)
    assert found.chi2_p is not None
    assert found.chi2_p < p  # the textbook's p promises more than so few runs can show


def test_many_runs_are_sampled_and_come_near_the_chi_square() -> None:
    draw = np.random.default_rng(5)
    first, second = arrived(*draw.integers(1, 60, 40)), arrived(*draw.integers(8, 68, 40))
    found = significance.logrank(first, second)
    assert (found.method, found.rearrangements) == ("monte-carlo", significance.DRAWS)
    assert found.p == pytest.approx(found.chi2_p, abs=0.015)
    within = significance.paired(first, second)
    assert (within.method, within.rearrangements, within.smallest_p) == ("monte-carlo", 9_999, 1 / 10_000)
    assert significance.logrank(first, second) == found


def test_sampled_rearrangements_are_what_they_should_be() -> None:
    members, signs = significance.memberships(12, 9), significance.signs_of(40)
    assert members.shape == (significance.DRAWS, 21)
    assert (members.sum(axis=1) == 12).all()
    np.testing.assert_allclose(members.mean(axis=0), 12 / 21, atol=0.025)
    assert set(np.unique(signs)) == {-1, 1}
    np.testing.assert_allclose(signs.mean(axis=0), 0, atol=0.05)


@pytest.mark.parametrize("n", [4, 9])
def test_if_the_arms_do_not_differ_p_is_uniform(n: int) -> None:
    """At most a share p of null experiments may say p or less; 2,000 of them, three standard errors."""
    draw = np.random.default_rng(n)
    ps = []
    for _ in range(2_000):
        times = np.minimum(draw.geometric(0.1, size=2 * n), 20)
        rows = [(int(time), bool(time < 20)) for time in times]
        found = significance.logrank(sample(rows[:n]), sample(rows[n:]))
        ps.append(1.0 if found.p is None else found.p)
    for level in (0.05, 0.1, 0.5):
        assert np.mean(np.array(ps) <= level + 1e-12) <= level + 3 * math.sqrt(level * (1 - level) / 2_000)


# --- laws -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(ROWS, ROWS, st.sampled_from([0.5, 3.0]))
def test_a_test_knows_neither_order_nor_unit_nor_side(
    one: list[tuple[int, bool]], other: list[tuple[int, bool]], scale: float
) -> None:
    found = significance.logrank(sample(one), sample(other))
    turned = significance.logrank(sample(one[::-1]), sample(other[::-1]))
    scaled = [survival.Sample(tuple(scale * t for t in s.times), s.reached) for s in (sample(one), sample(other))]
    sides = significance.logrank(sample(other), sample(one))
    for another in (turned, significance.logrank(*scaled), sides):
        assert (another.p, another.reason) == (found.p, found.reason)
        assert another.chi2 == (None if found.chi2 is None else pytest.approx(found.chi2))


# --- at the edge ----------------------------------------------------------------------------------------------------


def test_arms_alike_do_not_differ() -> None:
    for times in ((3, 5, 8), (1, 1, 1)):
        assert significance.logrank(arrived(*times), arrived(*times)).p == 1
        assert significance.paired(arrived(*times), arrived(*times)).p == 1
    assert significance.logrank(arrived(1, 1), arrived(1, 1)).chi2 is None


def test_without_runs_or_arrivals_there_is_a_reason_and_no_p() -> None:
    nobody = sample([(5, False), (9, False)])
    for found in (
        significance.logrank(nobody, nobody),
        significance.paired(nobody, nobody),
        significance.logrank(arrived(), arrived(1)),
        significance.paired(arrived(), arrived()),
    ):
        assert (found.p, found.chi2, found.smallest_p) == (None, None, None)
        assert found.reason
    assert significance.logrank(arrived(1), arrived(2)).p == 1
    with pytest.raises(ValueError):
        significance.paired(arrived(1), arrived(1, 2))


# --- many tests, many looks -----------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    """Holm's procedure on 0.01, 0.04, 0.03, 0.005: times 3, 1, 2 and 4, none below the one before it."""
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert significance.holm([0.01, 0.04, 0.03, 0.005], looks=2) == pytest.approx((0.06, 0.12, 0.12, 0.04))
    assert significance.holm([0.6, 0.7]) == (1.0, 1.0)
    assert significance.holm([None, 0.02, None]) == (None, 0.02, None)
    assert significance.holm([]) == ()


@given(st.lists(st.fractions(0, 1).map(float), max_size=8), st.integers(1, 4))
def test_holm_keeps_the_order_and_is_between_nothing_and_bonferroni(ps: list[float], looks: int) -> None:
    corrected = significance.holm(ps, looks=looks)
    for i, (p, q) in enumerate(zip(ps, corrected, strict=True)):
        assert q is not None
        assert min(1.0, p * looks) <= q <= min(1.0, p * looks * len(ps))
        for p_other, q_other in zip(ps[i:], corrected[i:], strict=True):
            assert q_other is not None
            assert p == p_other or (p < p_other) == (q < q_other) or q == q_other


def test_scores_of_exact_fractions() -> None:
    """By hand: three arrive at 1, 2, 4, one ends at 3. Hazards 1/4, 1/4 + 1/3, and 1 more."""
    found = significance.scores(sample([(1, True), (2, True), (3, False), (4, True)]))
    steps = (Fraction(1, 4), Fraction(1, 4) + Fraction(1, 3), Fraction(1, 4) + Fraction(1, 3) + 1)
    assert found.tolist() == pytest.approx([1 - steps[0], 1 - steps[1], -steps[1], 1 - steps[2]])
