"""From curves to crossings: tables written by hand, an oracle on strings, and what must hold for any curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs import schedules
from fewepochs.records import CostRecord, EpochRecord
from fewepochs.specs import rates
from fewepochs.stats import target as rules

Rates = tuple[float, float]
STEPS = 10


def curve(accuracies: Sequence[float], rates: Sequence[Rates] | None = None) -> tuple[EpochRecord, ...]:
    """Return a curve with these validation accuracies, and the first and last rate of each epoch."""
    rates = rates or [(1.0, 1.0)] * len(accuracies)
    return tuple(
        EpochRecord(
            epoch=k + 1,
            step=(k + 1) * STEPS,
            loss=1.0,
            acc=0.5,
            val_loss=1.0,
            val_acc=accuracy,
            penalty=0.0,
            lr_first=first,
            lr_last=last,
            lr_logged=last,
        )
        for k, (accuracy, (first, last)) in enumerate(
            zip(accuracies, rates or [(1.0, 1.0)] * len(accuracies), strict=True)
        )
    )


def costs(count: int, *, joules: Sequence[float | None] | None = None) -> tuple[CostRecord, ...]:
    """Return costs of 2^k seconds in epoch k+1, so that a sum says which epochs are in it."""
    return tuple(
        CostRecord(
            epoch=k + 1,
            setup_seconds=100.0,
            train_seconds=2.0**k,
            evaluation_seconds=100.0,
            images_per_second=1.0,
            joules=None if joules is None else joules[k],
        )
        for k in range(count)
    )


# --- first and held ---------------------------------------------------------------------------------------------

LOW, HIGH = 0.5, 0.9


@pytest.mark.parametrize(
    ("shape", "hold", "first", "held"),
    [
        ("", 1, None, None),
        ("", 3, None, None),
        ("0", 1, None, None),
        ("1", 1, 1, 1),
        ("1", 2, 1, None),
        ("000", 3, None, None),
        ("111", 3, 1, 1),
        ("11", 3, 1, None),
        ("0111", 3, 2, 2),
        ("0011", 3, 3, None),  # two evaluations are left: whether a third would hold is not known
        ("0110111", 3, 2, 5),
        ("0110110", 3, 2, None),
        ("010101", 1, 2, 2),
        ("010101", 2, 2, None),
        ("0101011", 2, 2, 6),
        ("0000001", 1, 7, 7),
        ("1000000", 2, 1, None),
        ("1" * 9, 9, 1, 1),
        ("1" * 9, 10, 1, None),
    ],
)
def test_a_target_is_crossed_at_the_epoch_written_down(
    shape: str, hold: int, first: int | None, held: int | None
) -> None:
    epochs = curve([HIGH if c == "1" else LOW for c in shape])
    for rule, expected in (("first", first), ("held", held)):
        crossing = rules.crossing(epochs, 0.9, rule=rule, hold=hold)  # type: ignore[arg-type]
        assert crossing.epoch == expected
        assert crossing.reached == (expected is not None)
        assert crossing.step == (None if expected is None else expected * STEPS)
        assert crossing.censored_at == (len(shape) if expected is None else None)
        assert (crossing.target, crossing.rule, crossing.hold) == (0.9, rule, hold)


def test_a_target_is_reached_by_equality_and_by_nothing_less() -> None:
    just_below = 0.8999999999999999
    assert rules.crossing(curve([just_below]), 0.9).reached is False
    assert rules.crossing(curve([0.9]), 0.9).epoch == 1
    assert rules.crossing(curve([0.99, 1.0]), 1.0).epoch == 2
    assert rules.crossing(curve([0.0]), 0.0).epoch == 1


def test_a_censored_crossing_knows_no_epoch_and_no_cost() -> None:
    crossing = rules.crossing(curve([0.5, 0.5]), 0.9, costs=costs(2, joules=[1.0, 1.0]))
    assert crossing.model_dump() == {
        "target": 0.9,
        "rule": "first",
        "hold": 3,
        "reached": False,
        "epoch": None,
        "step": None,
        "censored_at": 2,
        "pinned": False,
        "train_seconds": None,
        "joules": None,
    }


def test_both_crossings_of_each_target_come_in_order() -> None:
    epochs = curve([0.5, 0.9, 0.5, 0.9, 0.9])
    found = rules.crossings(epochs, (0.9, 0.4), hold=2)
    assert [(c.target, c.rule, c.epoch) for c in found] == [
        (0.9, "first", 2),
        (0.9, "held", 4),
        (0.4, "first", 1),
        (0.4, "held", 1),
    ]
    assert rules.crossings(epochs, ()) == ()


# --- for any curve ----------------------------------------------------------------------------------------------

ACCURACIES = st.lists(st.integers(0, 8).map(lambda k: k / 8), max_size=20)
TARGETS = st.integers(0, 8).map(lambda k: k / 8)


def oracle(accuracies: Sequence[float], target: float, needed: int) -> int | None:
    """Write the curve as a string of ones and zeros and look for a run of ones in it."""
    found = "".join("1" if accuracy >= target else "0" for accuracy in accuracies).find("1" * needed)
    return None if found < 0 else found + 1


@given(ACCURACIES, TARGETS, st.integers(1, 5))
def test_a_crossing_is_where_the_oracle_sees_it(accuracies: list[float], target: float, hold: int) -> None:
    first, held = rules.crossings(curve(accuracies), (target,), hold=hold)
    assert first.epoch == oracle(accuracies, target, 1)
    assert held.epoch == oracle(accuracies, target, hold)


@given(ACCURACIES, TARGETS, st.integers(1, 5))
def test_held_is_never_earlier_than_first(accuracies: list[float], target: float, hold: int) -> None:
    first, held = rules.crossings(curve(accuracies), (target,), hold=hold)
    if held.epoch is not None:
        assert first.epoch is not None
        assert first.epoch <= held.epoch
    longer = rules.crossing(curve(accuracies), target, rule="held", hold=hold + 1)
    assert longer.epoch is None or (held.epoch is not None and held.epoch <= longer.epoch)
    assert rules.crossing(curve(accuracies), target, rule="held", hold=1).epoch == first.epoch


@given(ACCURACIES, TARGETS, TARGETS, st.sampled_from(["first", "held"]))
def test_a_higher_target_is_never_reached_earlier(
    accuracies: list[float], one: float, two: float, rule: Literal["first", "held"]
) -> None:
    low, high = (rules.crossing(curve(accuracies), target, rule=rule) for target in sorted((one, two)))
    assert high.epoch is None or (low.epoch is not None and low.epoch <= high.epoch)


@given(ACCURACIES, ACCURACIES, TARGETS)
def test_more_epochs_never_take_a_crossing_back(accuracies: list[float], more: list[float], target: float) -> None:
    for rule in ("first", "held"):
        early = rules.crossing(curve(accuracies), target, rule=rule)
        late = rules.crossing(curve(accuracies + more), target, rule=rule)
        if early.reached:
            assert late == early
        else:
            assert late.epoch is None or late.epoch > len(accuracies) - 3


@given(ACCURACIES)
def test_the_best_is_the_first_of_the_highest(accuracies: list[float]) -> None:
    best = rules.best(curve(accuracies))
    if not accuracies:
        assert best is None
        return
    assert best is not None
    assert best.val_acc == max(accuracies)
    assert best.epoch == accuracies.index(max(accuracies)) + 1


# --- cost -------------------------------------------------------------------------------------------------------


def test_cost_is_summed_up_to_the_crossing_and_no_further() -> None:
    epochs = curve([0.5, 0.9, 0.5, 0.9, 0.9, 0.9, 0.9])
    first, held = rules.crossings(epochs, (0.9,), hold=3, costs=costs(7, joules=[1, 10, 100, 1000, 1e4, 1e5, 1e6]))
    assert (first.train_seconds, first.joules) == (1 + 2, 11)
    assert (held.train_seconds, held.joules) == (1 + 2 + 4 + 8, 1111)


@pytest.mark.parametrize("known", [(), (1,), (2, 3), (1, 3), (1, 2)])
def test_a_missing_cost_leaves_the_sum_unknown(known: tuple[int, ...]) -> None:
    some = tuple(cost for cost in costs(4, joules=[1.0] * 4) if cost.epoch in known)
    crossing = rules.crossing(curve([0.5, 0.5, 0.9, 0.9]), 0.9, costs=some)
    assert crossing.epoch == 3
    assert (crossing.train_seconds, crossing.joules) == (None, None)


@pytest.mark.parametrize(("joules", "total"), [([None, None], None), ([1.0, None], None), ([0.0, 2.0], 2.0)])
def test_joules_of_one_unmeasured_epoch_leave_the_sum_unknown(joules: list[float | None], total: float | None) -> None:
    crossing = rules.crossing(curve([0.5, 0.9]), 0.9, costs=costs(2, joules=joules))
    assert (crossing.train_seconds, crossing.joules) == (3.0, total)


# --- drops and pinned crossings ---------------------------------------------------------------------------------

FLAT: Rates = (1.0, 1.0)
TENTH: Rates = (0.1, 0.1)


@pytest.mark.parametrize(
    ("rates", "drops"),
    [
        ([], ()),
        ([FLAT], ()),
        ([FLAT, FLAT, FLAT], ()),
        ([FLAT, TENTH], (1,)),
        ([FLAT, FLAT, TENTH, TENTH, (0.01, 0.01)], (2, 4)),
        ([FLAT, (0.5, 0.5)], (1,)),  # half at once is a drop
        ([FLAT, (0.51, 0.51)], ()),
        ([TENTH, FLAT], ()),  # a rise
        ([FLAT, (0.0, 0.0)], ()),  # the end of training, not a lower rate
        ([FLAT, (1.0, 0.1), TENTH], (1,)),  # within the second epoch, and it stays
        ([(1.0, 0.1), TENTH], (0,)),  # within the first
        ([FLAT, (1.0, 0.1)], ()),  # whether it stays is not known yet
        ([FLAT, TENTH, (0.01, 0.01)], (1, 2)),  # twice in a row
        ([FLAT, (0.75, 0.75), (0.5, 0.5), (0.25, 0.25), (0.0, 0.0)], ()),  # a straight line, by epoch
        ([(16.0, 16.0), (9.0, 9.0), (4.0, 4.0), (1.0, 1.0)], ()),  # a curve that ends flat, by epoch
        ([(1.0, 1.0), (0.75, 0.75), (0.05, 0.05)], (2,)),  # a slope, then a drop
        ([(1.0, 0.52), (0.5, 0.02)], ()),  # a straight line to zero
        ([(0.1, 0.9), (1.0, 0.6), (0.55, 0.1)], ()),  # up and down
    ],
)
def test_drops_are_the_ones_written_down(rates: list[Rates], drops: tuple[int, ...]) -> None:
    assert rules.drops(curve([0.5] * len(rates), rates)) == drops


@pytest.mark.parametrize(("epoch", "pinned"), [(1, False), (2, False), (3, True), (4, True), (5, False), (6, False)])
def test_a_crossing_within_two_epochs_after_a_drop_is_pinned(epoch: int, pinned: bool) -> None:
    rates = [FLAT, FLAT, TENTH, TENTH, TENTH, TENTH]
    epochs = curve([HIGH if k >= epoch else LOW for k in range(1, 7)], rates)
    assert rules.crossing(epochs, 0.9).epoch == epoch
    assert rules.crossing(epochs, 0.9).pinned is pinned


def test_first_may_be_pinned_where_held_is_not() -> None:
    rates = [FLAT, TENTH, TENTH, TENTH, TENTH, TENTH]
    first, held = rules.crossings(curve([LOW, HIGH, LOW, HIGH, HIGH, HIGH], rates), (0.9,), hold=3)
    assert (first.epoch, first.pinned) == (2, True)
    assert (held.epoch, held.pinned) == (4, False)


def scheduled(spec: rates.Schedule, *, epochs: int, steps: int) -> tuple[EpochRecord, ...]:
    horizon = schedules.Horizon.even(epochs, steps)
    rates = [schedules.epoch_rates(spec, lr=1e-2, epoch=e, horizon=horizon) for e in range(1, epochs + 1)]
    return curve([0.5] * epochs, [(float(r[0]), float(r[-1])) for r in rates])


def test_the_published_schedule_drops_after_81_121_161_and_181_epochs() -> None:
    spec = recipes.load("resnet56v2-adam-atienza").schedule
    assert rules.drops(scheduled(spec, epochs=200, steps=5)) == (81, 121, 161, 181)


@pytest.mark.parametrize("every", ["step", "epoch"])
@pytest.mark.parametrize("steps", [1, 2, 36])
@pytest.mark.parametrize("epochs", [3, 5, 20, 200])
def test_a_line_to_zero_never_drops(epochs: int, steps: int, every: rates.Every) -> None:
    spec = rates.PiecewiseLinear(every=every, points=((0, 1), (1, 0)))
    assert rules.drops(scheduled(spec, epochs=epochs, steps=steps)) == ()


@given(st.integers(3, 40), st.integers(1, 5), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["step", "epoch"]))
def test_no_straight_line_drops(epochs: int, steps: int, start: float, end: float, every: rates.Every) -> None:
    spec = rates.PiecewiseLinear(every=every, points=((0, start), (1, end)))
    assert rules.drops(scheduled(spec, epochs=epochs, steps=steps)) == ()


@pytest.mark.parametrize("epochs", [20])
def test_a_drop_at_any_step_is_found_in_the_epoch_that_has_it(epochs: int) -> None:
    steps = 8
    for step in range(steps, (epochs - 1) * steps):
        spec = rates.PiecewiseConstant(unit="epochs", every="step", boundaries=(step / steps,), factors=(1.0, 0.1))
        assert rules.drops(scheduled(spec, epochs=epochs, steps=steps)) == (step // steps,)
