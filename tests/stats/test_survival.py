"""Times to a target: against lifelines, a textbook, fractions by definition, and what must hold for any runs."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fewepochs.stats import survival
from oracles import survival as oracle

GOLDEN = json.loads((Path(__file__).parent.parent / "goldens" / "survival.json").read_text())
ARMS = [pytest.param(arm, id=f"{pair['name']} {k}") for pair in GOLDEN["pairs"] for k, arm in enumerate(pair["arms"])]

TIMES = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=9)


def sample(rows: list[tuple[int, bool]]) -> survival.Sample:
    return survival.Sample(tuple(float(time) for time, _ in rows), tuple(reached for _, reached in rows))


def arm_of(rows: list[tuple[int, bool]]) -> oracle.Arm:
    return [time for time, _ in rows], [reached for _, reached in rows]


# --- others' numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ARMS)
def test_curve_median_and_restricted_mean_are_those_of_lifelines(arm: dict[str, Any]) -> None:
    found = survival.Sample(tuple(arm["times"]), tuple(arm["reached"]))
    steps = survival.curve(found)
    assert [step.time for step in steps] == [row[0] for row in arm["curve"]]
    for step, (_, share, low, high) in zip(steps, arm["curve"], strict=True):
        assert step.survival == pytest.approx(share, abs=1e-12)
        if 1e-9 < share < 1 - 1e-9:
            assert (step.low, step.high) == pytest.approx((low, high), abs=1e-9)
        else:  # lifelines says [1, 1] or [0, 0] where its scale ends: no limits
            assert (step.low, step.high) == (None, None)
    exact = oracle.kaplan_meier((arm["times"], arm["reached"]))
    if Fraction(1, 2) not in exact.values():  # lifelines may miss a half by a rounding and take the next step
        assert survival.median(found) == arm["median"]
    mean = survival.restricted_mean(found, horizon=arm["horizon"])
    last_is_reached = survival.follow_up(found) is None
    assert last_is_reached or arm["horizon"] <= max(arm["times"])
    assert mean == pytest.approx(arm["restricted_mean"], abs=1e-9)


def test_remission_times_give_the_textbook_table() -> None:
    """Kleinbaum and Klein, Survival Analysis (3rd ed., ch. 2 and 7): 6-mercaptopurine, S and its standard error."""
    arm = GOLDEN["pairs"][0]["arms"][0]
    steps = {step.time: step for step in survival.curve(survival.Sample(tuple(arm["times"]), tuple(arm["reached"])))}
    table = {
        6: (21, 3, 0.8571, 0.0764),
        7: (17, 1, 0.8067, 0.0869),
        10: (15, 1, 0.7529, 0.0963),
        13: (12, 1, 0.6902, 0.1068),
        16: (11, 1, 0.6275, 0.1141),
        22: (7, 1, 0.5378, 0.1282),
        23: (6, 1, 0.4482, 0.1346),
    }
    assert {time for time, step in steps.items() if step.reached} == set(table)
    for time, (at_risk, reached, share, error) in table.items():
        step = steps[time]
        assert (step.at_risk, step.reached) == (at_risk, reached)
        assert (round(step.survival, 4), round(math.sqrt(step.variance), 4)) == (share, error)


def test_the_curve_is_scipys() -> None:
    arm = GOLDEN["pairs"][0]["arms"][0]
    times, reached = np.array(arm["times"]), np.array(arm["reached"])
    found = stats.ecdf(stats.CensoredData(uncensored=times[reached], right=times[~reached])).sf
    steps = survival.curve(survival.Sample(tuple(arm["times"]), tuple(arm["reached"])))
    np.testing.assert_allclose([step.survival for step in steps], found.evaluate([step.time for step in steps]))


# --- by definition --------------------------------------------------------------------------------------------------


@given(TIMES)
def test_the_curve_is_the_product_over_times(rows: list[tuple[int, bool]]) -> None:
    exact = oracle.kaplan_meier(arm_of(rows))
    found = {int(step.time): step.survival for step in survival.curve(sample(rows))}
    assert found == pytest.approx({time: float(share) for time, share in exact.items()})
    assert survival.median(sample(rows)) == oracle.median(arm_of(rows))


@given(TIMES, st.integers(1, 15))
def test_the_restricted_mean_is_the_sum_over_unit_steps(rows: list[tuple[int, bool]], horizon: int) -> None:
    mean = survival.restricted_mean(sample(rows), horizon=horizon)
    variance = survival.restricted_variance(sample(rows), horizon=horizon)
    known = max(time for time, _ in rows)
    all_arrived = all(reached for time, reached in rows if time == known)
    if horizon > known and not all_arrived:
        assert (mean, variance) == (None, None)
    else:
        assert mean == pytest.approx(float(oracle.restricted_mean(arm_of(rows), horizon)))
        assert variance == pytest.approx(float(oracle.restricted_variance(arm_of(rows), horizon)), abs=1e-12)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(1, 40))
def test_without_censoring_they_are_mean_and_variance_of_the_mean(times: list[int], horizon: int) -> None:
    found = sample([(time, True) for time in times])
    cut = np.minimum(times, horizon)
    assert survival.restricted_mean(found, horizon=horizon) == pytest.approx(cut.mean())
    assert survival.restricted_variance(found, horizon=horizon) == pytest.approx(cut.var() / len(cut), abs=1e-9)


@given(TIMES, st.integers(1, 15), st.data())
def test_a_resample_has_the_numbers_of_its_runs(
    rows: list[tuple[int, bool]], horizon: int, data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    medians, means = survival.replicates(sample(rows), np.array([counts]), horizons=[horizon, 2.0])
    drawn = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    expected = oracle.median(arm_of(drawn))
    assert medians[0] == (math.inf if expected is None else expected)
    for mean, end in zip(means[:, 0], (horizon, 2), strict=True):
        assert mean == pytest.approx(float(oracle.restricted_mean(arm_of(drawn), end)))


# --- for any runs ---------------------------------------------------------------------------------------------------


@given(TIMES, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(rows: list[tuple[int, bool]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert survival.curve(sample(rows)) == survival.curve(sample(shuffled))


@given(TIMES, st.sampled_from([0.5, 2.0, 1024.0]))
def test_a_change_of_unit_changes_times_and_nothing_else(rows: list[tuple[int, bool]], scale: float) -> None:
    found = sample(rows)
    scaled = survival.Sample(tuple(scale * time for time in found.times), found.reached)
    median = survival.median(found)
    assert survival.median(scaled) == (None if median is None else scale * median)
    assert [step.survival for step in survival.curve(scaled)] == [step.survival for step in survival.curve(found)]
    mean, other = (survival.restricted_mean(one, horizon=end) for one, end in ((found, 1.0), (scaled, scale)))
    assert other == (None if mean is None else pytest.approx(scale * mean))


@given(TIMES, st.integers(1, 15))
def test_a_censored_run_more_never_lowers_the_median(rows: list[tuple[int, bool]], time: int) -> None:
    before, after = survival.median(sample(rows)), survival.median(sample([*rows, (time, False)]))
    assert before is not None or after is None
    assert after is None or (before is not None and after >= before)


@given(TIMES)
def test_the_curve_falls_between_its_limits(rows: list[tuple[int, bool]]) -> None:
    steps = survival.curve(sample(rows))
    shares = [1.0, *(step.survival for step in steps)]
    assert shares == sorted(shares, reverse=True)
    for step in steps:
        if step.low is not None and step.high is not None:
            assert 0 <= step.low <= step.survival <= step.high <= 1
        else:
            assert step.survival in (0, 1)
    assert sum(step.reached + step.censored for step in steps) == len(rows)


@given(TIMES, st.integers(1, 15))
def test_what_comes_after_the_horizon_is_not_seen(rows: list[tuple[int, bool]], horizon: int) -> None:
    cut = sample(rows).until(horizon)
    assert max(cut.times) <= horizon
    for reached, time, before in zip(cut.reached, cut.times, rows, strict=True):
        assert (reached, time) == ((True, before[0]) if before[1] and before[0] <= horizon else (False, time))
    assert survival.restricted_mean(cut, horizon=horizon) == survival.restricted_mean(sample(rows), horizon=horizon)


# --- at the edge ----------------------------------------------------------------------------------------------------


def test_nothing_is_known_of_no_runs() -> None:
    empty = survival.Sample((), ())
    assert survival.curve(empty) == ()
    assert survival.median(empty) is None
    assert survival.follow_up(empty) == 0
    assert survival.restricted_mean(empty, horizon=1) is None


def test_all_censored_there_is_no_median_and_a_follow_up() -> None:
    found = sample([(20, False), (50, False)])
    assert survival.median(found) is None
    assert survival.follow_up(found) == 50
    assert survival.restricted_mean(found, horizon=50) == 50
    assert survival.restricted_mean(found, horizon=51) is None


def test_all_at_epoch_one_everything_is_one() -> None:
    found = sample([(1, True)] * 4)
    assert survival.median(found) == 1
    assert survival.follow_up(found) is None
    assert survival.restricted_mean(found, horizon=100) == 1
    assert survival.restricted_variance(found, horizon=100) == 0


def test_who_arrives_where_others_end_arrives_first() -> None:
    assert [step.survival for step in survival.curve(sample([(5, False), (5, True)]))] == [0.5]
    assert survival.median(sample([(5, False), (5, True)])) == 5


@pytest.mark.parametrize(
    ("times", "reached"), [((1.0,), ()), ((math.nan,), (True,)), ((math.inf,), (True,)), ((-1.0,), (True,))]
)
def test_what_is_no_time_is_refused(times: tuple[float, ...], reached: tuple[bool, ...]) -> None:
    with pytest.raises(ValueError):
        survival.Sample(times, reached)


# --- how many seeds -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 30), min_size=2, max_size=9), st.floats(0.5, 20))
def test_the_seeds_needed_are_the_fewest_whose_t_interval_is_that_narrow(times: list[int], width: float) -> None:
    needed = survival.seeds_needed(sample([(time, True) for time in times]), horizon=30, width=width)
    deviation = np.std(times, ddof=1)
    if deviation == 0:
        assert needed is None
        return
    assert needed is not None
    assert needed >= 2

    def wide(n: int) -> float:
        return float(2 * stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n))

    assert wide(needed) <= width * (1 + 1e-9)
    assert needed == 2 or wide(needed - 1) > width * (1 - 1e-9)


def test_without_a_spread_nothing_is_said_of_seeds() -> None:
    assert survival.seeds_needed(sample([(5, True)]), horizon=9, width=1) is None
    assert survival.seeds_needed(sample([(5, True), (5, True)]), horizon=9, width=1) is None
    assert survival.seeds_needed(sample([(5, False), (5, False)]), horizon=9, width=1) is None
