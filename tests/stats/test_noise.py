"""Settled noise and the trend over arms: against enumeration, and what must not change them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_runs import DROP, claim_run, experiment
from fewepochs.records import EvaluationRecord
from fewepochs.stats import noise

ONE = experiment("part1-bs64")
ARMS = st.lists(st.lists(st.integers(0, 5).map(float), min_size=1, max_size=3), min_size=2, max_size=3)


def test_the_first_phase_ends_where_the_rate_changes() -> None:
    epochs = claim_run(ONE, {}).own_epochs
    assert len(noise.first_phase(epochs)) == DROP
    assert noise.first_phase(epochs[:30]) == epochs[:30]
    assert noise.settled(epochs[:19]) == 0.0
    assert noise.settled(epochs[:18]) is None
    assert noise.settled(()) is None


def test_noise_is_as_large_as_its_swings_and_a_slope_or_one_spike_is_none() -> None:
    small, large = (claim_run(ONE, {}, wiggle=wiggle).own_epochs for wiggle in (0.01, 0.03))
    one, three = noise.settled(small), noise.settled(large)
    assert one is not None
    assert three == pytest.approx(3 * one)
    spiked = [e.model_copy(update={"val_loss": 900.0}) if e.epoch == 60 else e for e in small]
    assert noise.settled(spiked) == pytest.approx(one, rel=0.5)
    sloping = [e.model_copy(update={"val_loss": 100.0 - e.epoch}) for e in small]
    assert noise.settled(sloping) == pytest.approx(0.0, abs=1e-12)


def test_phases_are_the_stretches_of_one_rate() -> None:
    epochs = claim_run(ONE, {}).own_epochs
    found = noise.phases(epochs)
    whole = [e.epoch for phase in found for e in phase]

    assert whole == [e.epoch for e in epochs]
    assert all(len({(e.lr_first, e.lr_last) for e in phase}) == 1 for phase in found)
    assert all(before[-1].lr_last != after[0].lr_first for before, after in itertools.pairwise(found))
    moving = [e.model_copy(update={"lr_last": e.lr_first / 2}) if e.epoch == 10 else e for e in epochs]
    assert [phase[-1].epoch for phase in noise.phases(moving)][:1] == [9]
    assert noise.phases(moving)[1][0].epoch == 11
    assert noise.first_phase([e.model_copy(update={"lr_last": e.lr_first / 2}) for e in epochs]) == ()


def slow_j(arms: list[list[float]]) -> Fraction:
    pairs = [(x, y) for a, b in itertools.combinations(arms, 2) for x in a for y in b]
    return sum((Fraction((y > x) * 2 + (y == x), 2) for x, y in pairs), Fraction(0))


@given(ARMS)
def test_the_trend_is_the_share_of_all_ways_to_hand_out_the_labels(arms: list[list[float]]) -> None:
    values = [value for arm in arms for value in arm]
    if len(values) > 6:
        values, arms = values[:6], [values[:2], values[2:4], values[4:6]]
    sizes = [0, *itertools.accumulate(map(len, arms))]
    ways = [
        slow_j([list(order[a:b]) for a, b in itertools.pairwise(sizes)]) for order in itertools.permutations(values)
    ]
    share = sum(way >= slow_j(arms) for way in ways) / len(ways)
    found = noise.trend(arms)
    assert found.j == slow_j(arms)
    assert found.p_growing == pytest.approx(share, abs=0.03)  # of 9,999 draws: five standard errors
    assert found == noise.trend(arms)


def test_the_trend_knows_growth_from_fall() -> None:
    arms = [[1.0, 2.0, 1.5], [3.0, 2.5, 4.0], [5.0, 6.0, 4.5]]
    assert noise.trend(arms).p_growing < 0.01 < 0.99 < noise.trend(arms).p_falling
    assert noise.trend(arms[::-1]).p_falling < 0.01
    alike = noise.trend([[1.0, 1.0], [1.0, 1.0]])
    assert (alike.p_growing, alike.p_falling) == (1.0, 1.0)


def test_noise_of_a_curve_is_the_settled_noise_with_its_level_and_spikes() -> None:
    epochs = claim_run(ONE, {}, wiggle=0.01).own_epochs
    first = noise.stretches(epochs)[0]
    losses = [e.val_loss for e in first.counted]
    found = noise.of_values(losses)

    assert (found.n, found.spread) == (41, noise.settled(epochs))
    assert found.level == pytest.approx(1.0)
    assert found.spikes == 0
    losses[20] += 3.0
    spiked = noise.of_values(losses)
    assert spiked.spikes == 1
    assert spiked.largest == pytest.approx(3.0, abs=0.05)
    assert noise.of_values(losses, spike=1000.0).spikes == 0
    losses[20] -= 6.0
    assert noise.of_values(losses).spikes == 0, "a fall is no spike"
    assert noise.of_values(losses[:9]) == noise.Noise(n=9)


def test_stretches_are_the_phases_and_what_lies_between_them() -> None:
    epochs = claim_run(ONE, {}).own_epochs
    moving = [e.model_copy(update={"lr_last": e.lr_first / 2}) if 10 <= e.epoch < 30 else e for e in epochs]
    found = noise.stretches(moving)

    assert [e for stretch in found for e in stretch.epochs] == moving
    assert [(one.epochs[0].epoch, one.rate) for one in found[:3]] == [(1, 1e-3), (10, None), (30, 1e-3)]
    assert tuple(one.epochs for one in found if one.rate is not None) == noise.phases(moving)
    assert [len(one.counted) for one in found[:2]] == [5, 20]
    falling = noise.stretches([e.model_copy(update={"lr_last": e.lr_first / 2}) for e in epochs])
    assert [one.rate for one in falling] == [None]


def test_evaluations_belong_to_the_epochs_that_noise_is_taken_from() -> None:
    first = noise.stretches(claim_run(ONE, {}).own_epochs)[0]
    evaluations = [EvaluationRecord(step=k, epoch=k // 2 + 1, val_loss=1.0, val_acc=0.5) for k in range(1, 400)]
    assert {record.epoch for record in noise.within(first, evaluations)} == set(range(41, 82))
