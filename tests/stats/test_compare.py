"""Arms against arms: what a run says, what a table says of it, what pairs say, and the edges of all of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossing_arms import HIGH, LOW, TARGET, arm, run
from fewepochs.stats import arms, compare, estimates, profiles, survival


def ask(*groups: arms.Arm, targets: Sequence[float] = (TARGET,), **rest: Any) -> compare.Comparison:
    return compare.compare(groups, targets=targets, **rest)


# --- what a run says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "rule", "time", "reached"),
    [
        (run(7), "first", 7, True),
        (run(7), "held", 7, True),
        (run(None), "first", 20, False),
        (run(None), "held", 18, False),  # a crossing at 19 would not have been seen to hold
        (run(19), "held", 18, False),
        (run(None, epochs=0), "first", 0, False),
        (run(None, epochs=1), "held", 0, False),
        (run(None, epochs=5, state="interrupted"), "first", 5, False),
        (run(None, epochs=5, state="running"), "first", 5, False),
        (run(None, epochs=5, state="diverged"), "first", 20, False),  # more epochs would not have helped
        (run(None, epochs=0, state="diverged"), "first", 20, False),
        (run(3, epochs=5, state="diverged"), "first", 3, True),
    ],
)
def test_a_run_says_when_it_arrived_or_up_to_when_it_had_not(
    one: arms.Run, rule: arms.Rule, time: float, reached: bool
) -> None:
    observed = arms.observe(arms.Arm("a", (one,)), TARGET, rule=rule, hold=3)["epochs"]
    assert observed.sample == survival.Sample((time,), (reached,))


@pytest.mark.parametrize(
    ("one", "seconds", "joules"),
    [
        (run(7), 14.0, 21.0),
        (run(None), 40.0, 60.0),
        (run(None, epochs=5, state="crashed"), 10.0, 15.0),
        (run(None, epochs=5, state="diverged"), 40.0, 60.0),  # the rest of its budget at the pace it had
        (run(7, joules=None), 14.0, None),
        (run(None, joules=None), 40.0, None),
        (run(7, seconds=None), None, None),
        (run(None, epochs=0), 0.0, 0.0),
        (run(None, epochs=0, state="diverged"), None, None),
    ],
)
def test_seconds_and_joules_are_sums_to_the_same_epoch(
    one: arms.Run, seconds: float | None, joules: float | None
) -> None:
    answers: dict[arms.By, float | None] = {"seconds": seconds, "joules": joules}
    for by, expected in answers.items():
        observed = arms.observe(arms.Arm("a", (one,)), TARGET, rule="first", hold=3)[by]
        assert observed.sample.times == (() if expected is None else (expected,))
        assert observed.lost == (("run 0",) if expected is None else ())


def test_runs_come_in_the_order_of_their_seeds_and_none_twice() -> None:
    runs = (run(5, seed=2), run(9, seed=0), run(7, seed=1))
    observed = arms.observe(arms.Arm("a", runs), TARGET, rule="first", hold=3)["epochs"]
    assert (observed.sample.times, observed.seeds[0]) == ((9.0, 7.0, 5.0), (0, 0, 0, 0))
    with pytest.raises(ValueError, match="same seeds"):
        arms.Arm("a", (run(5), run(6)))


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_by_hand() -> None:
    """Ten runs: 6, 7, ..., 14 and one that never arrives in 20. S falls by tenths; half are there at 10.

    A resample's median is its fifth. It is 6 in 0.16% (binomial: five of ten draws with p = 0.1), at most 7 in 3.3%, at
    least 13 in 4.7% and at least 14 in 0.64%; 0.86% are left out at either end.
    """
    found = ask(arm("a", [*range(6, 15), None], drop_after=8), horizon=None)
    (row,) = found.rows
    assert (row.arm, row.target, row.n, row.reached, row.early) == ("a", TARGET, 10, 9, 0)
    assert row.pinned == 2  # 9 and 10
    assert (row.median.value, row.median.low, row.median.high) == (10, 7, 13)
    assert row.horizon == 20
    assert row.restricted_mean.value == pytest.approx((sum(range(6, 15)) + 20) / 10)
    assert (row.seconds.value, row.joules.value) == (20, 30)
    assert row.share.value == 0.9
    assert row.share.low == pytest.approx(0.554984, abs=1e-6)  # Clopper and Pearson, 9 of 10
    assert row.share.high == pytest.approx(0.997471, abs=1e-6)
    assert len(row.curve) == 10
    assert found.pairs == ()
    assert found.profile == ()


def test_accuracies_are_means_over_runs_with_the_gap_of_the_chosen_epoch() -> None:
    (found,) = ask(arms.Arm("a", (run(5, gap=0.01), run(6, seed=1, gap=0.03), run(None, seed=2)))).accuracies
    assert found.n == 3
    assert found.best_val_acc.value == pytest.approx((2 * HIGH + LOW) / 3)
    assert (found.test_acc.n, found.selection_gap.n) == (2, 2)
    assert found.selection_gap.value == pytest.approx(0.02)
    assert (found.selection_gap.low, found.selection_gap.high) == pytest.approx((0.01, 0.03))


def test_all_censored_gives_a_bound_and_no_estimate() -> None:
    (row,) = ask(arm("a", [None] * 5)).rows
    assert (row.median.value, row.median.above, row.median.low, row.median.high) == (None, 20, None, None)
    assert row.median.reason == estimates.NEVER
    assert (row.restricted_mean.value, row.seconds.value, row.seconds.above) == (None, None, 40)
    assert (row.share.value, row.share.low) == (0, 0)
    assert row.share.high == pytest.approx(1 - 0.025 ** (1 / 5))
    assert row.seeds_needed is None


def test_runs_that_ended_early_are_in_the_share_whether_they_arrived_or_not() -> None:
    """Ten runs at epoch 10 of 20, three of them there: the other seven may come or not."""
    runs = tuple(run(5 if seed < 3 else None, seed=seed, epochs=10, state="running") for seed in range(10))
    (row,) = ask(arms.Arm("a", runs)).rows
    whole = estimates.share(3, 10, confidence=0.95)

    assert (row.early, row.share.value, row.share.n) == (7, None, 10)
    assert (row.share.low, row.share.high) == (whole.low, 1)
    part = estimates.share(3, 10, unknown=2, confidence=0.95)
    assert (part.low, part.high) == (whole.low, estimates.share(5, 10, confidence=0.95).high)
    assert part.reason == "2 of 10 runs ended before their budget"


@pytest.mark.parametrize("crossings", [[], [4], [None], [1, 1, 1], [4, 4, None], [None, None]])
@pytest.mark.parametrize("others", [[], [4], [None], [1, 1, 1], [9, 10, 11]])
@pytest.mark.parametrize("by", ["epochs", "seconds", "joules"])
def test_whatever_the_runs_are_every_number_is_finite_or_absent_with_a_reason(
    crossings: list[int | None], others: list[int | None], by: arms.By
) -> None:
    found = ask(arm("a", crossings), arm("b", others), by=by, width=1.0)
    checked = 0
    for estimate in _estimates(found.model_dump()):
        known = [estimate[end] for end in ("value", "low", "high", "above", "below") if estimate[end] is not None]
        assert all(math.isfinite(value) and value >= 0 for value in known)
        assert estimate["value"] is not None or estimate["reason"]
        assert estimate["reason"] or (estimate["low"], estimate["high"]) != (None, None)
        if estimate["value"] is not None:
            assert (estimate["low"] or 0) <= estimate["value"] <= (estimate["high"] or math.inf)
        checked += 1
    assert checked == 2 * 3 + 2 * 5 + 2
    for pair in found.pairs:
        for test in (pair.logrank, pair.paired_test):
            assert (test.p is None) == (test.reason is not None)


@pytest.mark.parametrize("by", ["epochs", "seconds", "joules"])
def test_runs_without_an_epoch_count_and_say_nothing(by: arms.By) -> None:
    nothing = arm("nothing", [None, None], epochs=0, state="crashed")
    (row,) = ask(nothing, by=by).rows
    assert (row.n, row.reached, row.early, row.horizon) == (2, 0, 2, None)
    assert (row.median.value, row.median.above, row.restricted_mean.reason) == (None, None, "no epoch done")
    assert row.share.reason == "2 of 2 runs ended before their budget"
    assert (row.share.low, row.share.high) == (0, 1)
    (pair,) = ask(nothing, arm("b", [4, 5, 6]), by=by).pairs
    assert (pair.median_ratio.value, pair.logrank.n) == (None, 5)
    assert pair.logrank.p is not None


def _estimates(dumped: Any) -> list[dict[str, Any]]:
    if isinstance(dumped, dict):
        return [dumped] if "above" in dumped else [one for value in dumped.values() for one in _estimates(value)]
    return [one for value in dumped for one in _estimates(value)] if isinstance(dumped, list | tuple) else []


def test_unknown_costs_are_said_and_left_out() -> None:
    runs = (run(5), run(6, seed=1, joules=None), run(7, seed=2))
    (row,) = ask(arms.Arm("a", runs), by="joules").rows
    assert (row.n, row.lost, row.median.value) == (2, ("run 1",), 15)
    assert (row.joules.value, row.joules.reason) == (None, "not known in 1 of 3 runs")


# --- horizons -------------------------------------------------------------------------------------------------------


def test_the_horizon_is_as_far_as_all_were_followed() -> None:
    short, long = arm("short", [5, None, None], budget=10, epochs=10), arm("long", [12, 14, 30], budget=40, epochs=40)
    done = arm("done", [3, 4, 5])
    found = ask(short, long, done)
    assert {row.horizon for row in found.rows} == {10}
    assert [pair.horizon for pair in found.pairs] == [10, 10, 30]
    assert found.rows[1].restricted_mean.value is None
    assert "within 10" in str(found.rows[1].restricted_mean.reason)
    # To epoch 10 the long arm has shown nothing: nobody of it arrived.
    assert found.pairs[0].logrank.n == 6
    assert ask(done, horizon=2).rows[0].restricted_mean.value is None
    assert ask(short, horizon=11).rows[0].restricted_mean.reason == (
        "no run was followed to the horizon, 11; the longest ended at 10"
    )


def test_the_shortest_follow_up_decides() -> None:
    found = ask(arm("a", [4, None], budget=10, epochs=10), arm("b", [4, None]), arm("nothing", [None], epochs=0))
    assert {row.horizon for row in found.rows} == {10}
    assert [pair.horizon for pair in found.pairs] == [10, 10, 20]


def test_a_test_looks_no_further_than_the_horizon() -> None:
    """The second arm was stopped at 10; that the first went on to arrive at 11 must not count for it."""
    first, second = arm("a", [11, 12, 13], budget=20), arm("b", [None] * 3, budget=10, epochs=10)
    (pair,) = ask(first, second).pairs
    assert (pair.horizon, pair.logrank.p) == (10, None)
    assert pair.logrank.reason == "no run reached the target within the 10 epochs that both were followed"
    (asked,) = ask(first, arm("b", [None] * 3), horizon=5).pairs
    assert asked.logrank.reason == "no run reached the target within the 5 epochs that were asked"
    (never,) = ask(arm("a", [None] * 3), second).pairs
    assert never.logrank.reason == "no run reached the target"


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_a_ratio_by_hand_and_its_inverse() -> None:
    fast, slow = arm("fast", [4, 5, 6, 7, 8]), arm("slow", [16, 8, 12, 10, 14])
    one, other = ask(fast, slow).pairs[0], ask(slow, fast).pairs[0]
    assert one.median_ratio.value == one.restricted_mean_ratio.value == 0.5
    assert other.median_ratio.value == other.restricted_mean_ratio.value == 2
    assert (one.n, one.twins, one.paired) == ((5, 5), 5, True)
    assert one.logrank.p == other.logrank.p
    assert other.median_ratio.low == pytest.approx(1 / (one.median_ratio.high or 1))


def test_twins_make_the_ratio_sharper() -> None:
    """Both arms depend on the seed alike: seed by seed one needs half, exactly."""
    fast, slow = arm("fast", [4, 6, 8, 10]), arm("slow", [8, 12, 16, 20])
    paired, apart = ask(fast, slow).pairs[0], ask(fast, arm("slow", [8, 12, 16, 20], first_seed=50)).pairs[0]
    assert paired.restricted_mean_ratio.reason is not None
    assert "alike" in paired.restricted_mean_ratio.reason
    assert (apart.paired, apart.twins) == (False, 0)
    assert apart.paired_test.reason == "no seeds are shared"
    assert apart.restricted_mean_ratio.low is not None
    assert apart.restricted_mean_ratio.low < 0.5


def test_some_twins_are_tested_and_the_others_are_not() -> None:
    (pair,) = ask(arm("a", [4, 5, 6]), arm("b", [8, 9, 10], first_seed=1)).pairs
    assert (pair.twins, pair.paired, pair.paired_test.pairs, pair.paired_test.p) == (2, False, 2, 0.5)


@pytest.mark.parametrize(
    ("first", "second", "above", "below"),
    [([4, 5, 6], [None] * 3, None, 0.25), ([None] * 3, [4, 5, 6], 4.0, None), ([None] * 3, [None] * 3, None, None)],
)
def test_a_ratio_with_an_arm_that_never_arrives_is_a_bound(
    first: list[int | None], second: list[int | None], above: float | None, below: float | None
) -> None:
    ratio = ask(arm("a", first), arm("b", second)).pairs[0].median_ratio
    assert (ratio.value, ratio.above, ratio.below) == (None, above, below)
    assert ratio.reason


def test_all_pairs_of_few_arms_and_the_first_against_many() -> None:
    few = ask(*(arm(str(k), [k + 2, k + 3]) for k in range(4)), targets=(0.6, TARGET))
    assert (len(few.pairs), few.tests, few.baseline) == (12, 12, None)
    many = ask(*(arm(str(k), [k + 2, k + 3]) for k in range(10)))
    assert (len(many.pairs), {pair.first for pair in many.pairs}, many.baseline) == (9, {"0"}, "0")


def test_looks_widen_intervals_and_multiply_ps() -> None:
    fast, slow = arm("fast", range(4, 14)), arm("slow", range(8, 18))
    once, thrice = ask(fast, slow), ask(fast, slow, looks=3)
    assert thrice.confidence == pytest.approx(1 - 0.05 / 3)
    assert once.pairs[0].p_corrected == once.pairs[0].logrank.p
    assert thrice.pairs[0].p_corrected == pytest.approx(3 * (once.pairs[0].logrank.p or 0))
    one, other = once.rows[0].restricted_mean, thrice.rows[0].restricted_mean
    assert other.low is not None
    assert one.low is not None
    assert other.low < one.low


def test_seeds_are_counted_on_request_alone() -> None:
    group = arm("a", [6, 8, 10, 12])
    assert ask(group).rows[0].seeds_needed is None
    narrow, wide = (ask(group, width=width).rows[0].seeds_needed for width in (1.0, 4.0))
    assert (narrow, wide) == (105, 9)


# --- for any runs ---------------------------------------------------------------------------------------------------

CROSSINGS = st.lists(st.one_of(st.none(), st.integers(1, 20)), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None)
@given(CROSSINGS, CROSSINGS, st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_no_bit(one: list[int | None], other: list[int | None], draw: random.Random) -> None:
    groups = [arm("a", one), arm("b", other, first_seed=2)]
    shuffled = [arms.Arm(group.label, tuple(draw.sample(group.runs, len(group.runs)))) for group in groups]
    assert ask(*groups, targets=(0.6, TARGET)) == ask(*shuffled, targets=(0.6, TARGET))


@settings(max_examples=15, deadline=None)
@given(CROSSINGS)
def test_seconds_of_a_steady_machine_are_epochs_in_another_unit(crossings: list[int | None]) -> None:
    epochs, seconds = (ask(arm("a", crossings, seconds=2.0), by=by).rows[0] for by in ("epochs", "seconds"))
    for one, other in ((epochs.median, seconds.median), (epochs.restricted_mean, seconds.restricted_mean)):
        for end in ("value", "low", "high", "above"):
            value = getattr(one, end)
            assert getattr(other, end) == (None if value is None else pytest.approx(2 * value))


# --- profiles -------------------------------------------------------------------------------------------------------


def test_a_profile_by_hand() -> None:
    """Three targets; b is the fastest at one, a at two, and b misses the third."""
    medians = {
        ("a", 0.8): 10.0, ("a", 0.9): 30.0, ("a", 0.95): 40.0,
        ("b", 0.8): 15.0, ("b", 0.9): 20.0, ("b", 0.95): None,
    }  # fmt: skip
    one, other = profiles.profiles(medians)
    assert (one.arm, one.n, one.factors, other.factors) == ("a", 3, (1.0, 1.5), (1.0, 1.5))
    assert one.shares == pytest.approx((2 / 3, 1.0))
    assert other.shares == pytest.approx((1 / 3, 2 / 3))


def test_without_two_arms_or_an_arrival_there_is_no_profile() -> None:
    assert profiles.profiles({("a", 0.9): 10.0}) == ()
    assert profiles.profiles({("a", 0.9): None, ("b", 0.9): None}) == ()
    (one, other) = profiles.profiles({("a", 0.9): 10.0, ("b", 0.9): None})
    assert (one.shares, other.factors, other.shares) == ((1.0,), (), ())
