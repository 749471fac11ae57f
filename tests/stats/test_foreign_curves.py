"""Curves of other tools in the statistics: the same crossings, and nothing that their files do not tell."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foreign_runs
from fewepochs.records import EpochRecord
from fewepochs.stats import arms, target


def own(accuracies: list[float], rates: list[float]) -> list[EpochRecord]:
    """Return the curve as if it had been trained here, with one rate an epoch."""
    return [
        EpochRecord(
            epoch=number, step=number, loss=1.0, acc=0.5, val_loss=1.0, val_acc=accuracy, penalty=0.0,
            lr_first=rate, lr_last=rate, lr_logged=rate,
        )
        for number, (accuracy, rate) in enumerate(zip(accuracies, rates, strict=True), start=1)
    ]  # fmt: skip


CURVES = st.lists(
    st.tuples(st.sampled_from([0.1, 0.5, 0.9, 0.95]), st.sampled_from([0.1, 0.05, 0.01, 0.001])), max_size=12
)


@settings(deadline=None)
@given(CURVES, st.sampled_from([0.5, 0.9, 0.92]), st.sampled_from(["first", "held"]))
def test_a_foreign_curve_crosses_where_the_same_curve_of_ours_does(
    curve: list[tuple[float, float]], to: float, rule: str
) -> None:
    accuracies, rates = [accuracy for accuracy, _ in curve], [rate for _, rate in curve]
    ours = target.crossing(own(accuracies, rates), to, rule=rule, hold=2)  # type: ignore[arg-type]
    theirs = target.crossing(foreign_runs.curve(accuracies, rates=rates), to, rule=rule, hold=2)  # type: ignore[arg-type]
    same = ("reached", "epoch", "censored_at", "rule", "hold")
    assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
    assert (theirs.train_seconds, theirs.joules, theirs.step) == (None, None, None)
    assert theirs.pinned in (ours.pinned, None)


@pytest.mark.parametrize(
    ("epoch", "pinned"),
    [(5, False), (6, None), (7, True), (8, None), (9, False)],
)
def test_a_rate_that_may_be_one_epoch_late_pins_only_what_both_readings_pin(epoch: int, pinned: bool | None) -> None:
    """The rate falls in what the file has for epoch 6: it was epoch 6's own, or it is that of epoch 7."""
    accuracies = [0.1] * (epoch - 1) + [0.9]
    rates = ([0.1] * 5 + [0.01] * 5)[:epoch]
    assert target.crossing(foreign_runs.curve(accuracies, rates=rates), 0.9).pinned is pinned


def test_without_rates_nobody_knows_whether_a_crossing_is_pinned() -> None:
    assert target.crossing(foreign_runs.curve([0.1, 0.9]), 0.9).pinned is None
    assert target.crossing(foreign_runs.curve([0.1, 0.1]), 0.9).pinned is False  # no crossing, nothing to pin
    assert target.drops(foreign_runs.curve([0.1, 0.9])) == ()


def test_rates_after_the_crossing_are_not_asked_for() -> None:
    known = foreign_runs.curve([0.1, 0.9, 0.9], rates=[0.1, 0.1, 0.1])
    unknown = foreign_runs.curve([0.1, 0.9, 0.9])
    assert target.crossing((*known[:2], unknown[2]), 0.9).pinned is False


def test_an_arm_counts_the_pinned_crossings_that_are_known_and_none_where_none_is() -> None:
    def arm(*curves: object) -> arms.Arm:
        runs = [
            arms.Run(name=str(k), seeds=(k,), epochs=curve, costs=(), budget=9, state="finished")  # type: ignore[arg-type]
            for k, curve in enumerate(curves)
        ]
        return arms.Arm("arm", tuple(runs))

    pinned = foreign_runs.curve([0.1] * 6 + [0.9], rates=[0.1] * 5 + [0.01] * 2)
    unknown, missed = foreign_runs.curve([0.1, 0.9]), foreign_runs.curve([0.1])
    for curves, told in (((pinned, unknown), 1), ((unknown, missed), None), ((missed,), 0), ((pinned, pinned), 2)):
        assert arms.observe(arm(*curves), 0.9, rule="first", hold=3)["epochs"].pinned == told


def test_seconds_and_joules_of_a_foreign_arm_are_lost_and_its_epochs_are_not() -> None:
    run = arms.Run(
        name="theirs", seeds=(0,), epochs=foreign_runs.curve([0.1, 0.9]), costs=(), budget=2, state="finished"
    )
    found = arms.observe(arms.Arm("arm", (run,)), 0.9, rule="first", hold=3)
    assert found["epochs"].sample.times == (2.0,)
    for by in ("seconds", "joules"):
        assert (found[by].sample.times, found[by].lost) == ((), ("theirs",))
