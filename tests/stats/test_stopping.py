"""When a run may end before its budget: the rule, against the sentence that states it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fewepochs.records import EpochRecord
from fewepochs.stats import arms, stopping
from run_folders import epoch

accuracies = st.integers(0, 100).map(lambda hundredths: hundredths / 100)
curves = st.lists(accuracies, max_size=8)
levels = st.integers(1, 100).map(lambda hundredths: hundredths / 100)
rules = st.builds(
    stopping.Stop,
    target=st.none() | levels,
    give_up=st.lists(st.builds(stopping.GiveUp, epoch=st.integers(1, 8), below=levels), max_size=3).map(tuple),
)


def curve(values: list[float]) -> tuple[EpochRecord, ...]:
    return tuple(epoch(k).model_copy(update={"val_acc": value}) for k, value in enumerate(values, start=1))


def in_words(stop: stopping.Stop, values: list[float]) -> str | None:
    """Return the ending, read off the docstring."""
    if stop.target is not None:
        for value in values:
            if value >= stop.target:
                return "target"
    for rule in stop.give_up:
        if len(values) >= rule.epoch and not [value for value in values[: rule.epoch] if value >= rule.below]:
            return "given-up"
    return None


@given(rules, curves)
def test_the_rule_does_what_its_sentence_says(stop: stopping.Stop, values: list[float]) -> None:
    found = stopping.verdict(stop, curve(values))
    assert (None if found is None else found.ending) == in_words(stop, values)


@given(rules, curves, curves)
def test_an_ended_run_stays_ended_unless_it_then_reaches_the_target(
    stop: stopping.Stop, values: list[float], more: list[float]
) -> None:
    """A resumed run asks again with its whole curve: what had ended must not begin anew."""
    if stopping.verdict(stop, curve(values)) is not None:
        assert stopping.verdict(stop, curve(values + more)) is not None


def test_the_reason_names_the_numbers() -> None:
    stop = stopping.Stop(target=0.9, give_up=(stopping.GiveUp(epoch=2, below=0.5),))
    given_up = stopping.verdict(stop, curve([0.3, 0.41]))
    assert given_up is not None
    assert given_up.reason == "given up: best val_acc 0.4100 after 2 epochs, below 0.5"
    reached = stopping.verdict(stop, curve([0.3, 0.95]))
    assert reached is not None
    assert reached.reason == "stopped at target 0.9"


def test_a_run_that_was_given_up_is_followed_to_the_end_of_its_budget() -> None:
    """Its end is no accident: censored where it stands it would count as one that might have been next."""
    run = arms.Run("a", (0,), curve([0.1, 0.2]), (), budget=10, state="finished", given_up=True)
    seen = arms.observe(arms.Arm("arm", (run,)), 0.5, rule="first", hold=3)["epochs"]
    assert (seen.sample.times, seen.sample.reached, seen.early) == ((10.0,), (False,), 0)
