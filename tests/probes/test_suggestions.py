"""Each rule on curves whose answer is known by hand; no rule makes up a number."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs.probes import smoothing, suggestions
from fewepochs.probes.smoothing import Smooth
from fewepochs.probes.sweeps import Curve, Stop, Sweep, Values

RATES = np.geomspace(1e-6, 1.0, 61)  # ten a decade
X = np.linspace(-6.0, 0.0, 61)
# From 3 down to 1 at 1e-2, steepest half-way down at 1e-4, and half up again.
WAVE = 2.0 + np.cos(np.pi * (X + 6.0) / 4.0)


def made(losses: Values, *, error: float = 0.0, exploded: bool = False) -> Smooth:
    return Smooth(RATES[: len(losses)], losses, np.full_like(losses, error), noise=error, edge=3, exploded=exploded)


def rates(curve: Smooth) -> dict[str, float | None]:
    return {rule: answer.lr for rule, answer in suggestions.suggest(curve).items()}


def reasons(curve: Smooth) -> set[str | None]:
    return {answer.reason for answer in suggestions.suggest(curve).values()}


def test_every_rule_finds_its_place_on_a_wave() -> None:
    # Members of the valley: the 41 steps down to the minimum. Up by 5% of the fall: cos = -0.9, at 10^-1.43.
    found = rates(made(WAVE))
    wanted = {"steepest": 1e-4, "valley": 1e-4, "minimum/10": 1e-3, "smith-max": 10**-1.5}
    assert {rule: pytest.approx(lr, rel=1e-9) for rule, lr in wanted.items()} == found
    assert list(found) == list(suggestions.MEANINGS)


def test_the_noise_widens_what_counts_as_a_rise() -> None:
    found = rates(made(WAVE, error=0.1))  # three errors: up by 0.3, cos = -0.7, at 10^-0.99
    assert found["smith-max"] == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize(
    "losses", [np.full(61, 2.3), np.linspace(1.0, 5.0, 61), np.full(61, 2.3) + 1e-12 * np.sin(X)], ids=str
)
def test_a_curve_that_does_not_fall_has_no_answer(losses: Values) -> None:
    assert set(rates(made(losses)).values()) == {None}
    assert reasons(made(losses)) == {"the loss does not fall by more than its noise"}


def test_a_fall_within_the_noise_has_no_answer() -> None:
    assert set(rates(made(WAVE, error=0.34)).values()) == {None}
    assert None not in rates(made(WAVE, error=0.33)).values()


def test_pure_noise_has_no_answer() -> None:
    rng = np.random.default_rng(5)
    sweep = Sweep()
    found: list[suggestions.Answer] = []
    for _ in range(200):
        losses = 2.3 + rng.normal(scale=0.2, size=sweep.steps)
        curve = Curve(0, sweep.rates(), losses, Stop("end", sweep.steps, 1.0))
        found += suggestions.suggest(smoothing.smooth(curve, sweep=sweep)).values()
    assert sum(answer.lr is not None for answer in found) / len(found) < 0.05


def test_a_curve_that_falls_to_its_end_has_no_minimum_as_yet() -> None:
    found = suggestions.suggest(made(WAVE[:41]))
    assert found["steepest"].lr == pytest.approx(1e-4)
    assert found["minimum/10"].lr is None
    assert found["smith-max"] == suggestions.Answer(None, "the loss has not risen again where the sweep ends")


def test_an_explosion_is_a_rise_even_if_no_loss_shows_it() -> None:
    found = rates(made(WAVE[:41], exploded=True))
    assert found["minimum/10"] == pytest.approx(1e-3)
    assert found["smith-max"] == pytest.approx(1e-2)


def test_a_tenth_of_the_minimum_that_was_not_swept_is_no_answer() -> None:
    losses = np.abs(X + 5.4) + 1.0
    found = suggestions.suggest(made(losses))
    assert found["minimum/10"] == suggestions.Answer(None, "a tenth of where the loss is lowest lies below the sweep")
    assert found["smith-max"].lr is not None


def test_the_first_steps_alone_are_not_the_steepest() -> None:
    losses = np.where(X < -5.85, 5.0, 1.0 + 1e-3 * (X + 6) ** 2)
    found = suggestions.suggest(made(losses))
    assert found["steepest"] == suggestions.Answer(None, "the loss falls within the first steps of the sweep only")


def test_the_steepest_fall_is_sought_before_the_minimum() -> None:
    losses = WAVE.copy()
    losses[55] += 9.0  # a spike far above, and steeply down from it
    assert rates(made(losses))["steepest"] == pytest.approx(1e-4)


def test_the_valley_may_be_interrupted() -> None:
    losses = np.array([5.0, 5, 5, 5, 9, 4, 7, 3, 3, 2, 6, 1, 8, 9, 9, 9])
    # The longest decreasing subsequence: 9 7 6 1 has four members, 9 4 3 2 1 five; counted back from step 11, the
    # middle of five is step 9.
    assert rates(made(losses))["valley"] == RATES[9]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9))
def test_the_longest_decreasing_subsequence_is_that_of_trying_all(losses: list[int]) -> None:
    found = suggestions._decreasing([float(loss) for loss in losses])
    for end, length in enumerate(found):
        tried = [
            size
            for size in range(1, end + 2)
            for chosen in combinations(range(end + 1), size)
            if chosen[-1] == end and all(losses[a] > losses[b] for a, b in pairwise(chosen))
        ]
        assert length == max(tried)


@pytest.mark.parametrize(("steps", "words"), [(0, "no step has"), (1, "only 1 step has"), (9, "only 9 steps have")])
def test_few_steps_have_no_answer(steps: int, words: str) -> None:
    assert reasons(made(WAVE[:steps])) == {f"{words} a loss"}


# --- any losses ---------------------------------------------------------------------------------------------------


@st.composite
def shapes(draw: st.DrawFn) -> Values:
    """Draw losses that mostly fall and often rise again, with a little noise; and now and then any losses."""
    steps = draw(st.integers(0, 61))
    if draw(st.integers(0, 4)) == 0:
        return np.array(draw(st.lists(st.floats(1e-3, 1e3), min_size=steps, max_size=steps)))
    lowest, depth, rise = draw(st.floats(0.0, 1.2)), draw(st.floats(0.01, 50.0)), draw(st.floats(0.0, 99.0))
    at = np.arange(steps) / 61
    noise = draw(st.sampled_from([0.0, 1e-3, 0.03])) * np.random.default_rng(steps).normal(size=steps)
    return 1.0 + depth * np.maximum(lowest - at, 0.0) ** 2 + rise * np.maximum(at - lowest, 0.0) ** 2 + np.abs(noise)


def smoothed(losses: Values, *, exploded: bool) -> Smooth:
    sweep = Sweep(steps=61)
    stop = Stop("loss" if exploded else "end", len(losses), 1.0)
    return smoothing.smooth(Curve(0, sweep.rates()[: len(losses)], losses, stop), sweep=sweep)


@given(shapes(), st.booleans())
def test_a_suggestion_lies_inside_what_was_swept_or_says_why_there_is_none(losses: Values, exploded: bool) -> None:
    curve = smoothed(losses, exploded=exploded)
    for answer in suggestions.suggest(curve).values():
        assert (answer.lr is None) == (answer.reason is not None)
        assert answer.lr is None or curve.rates[0] <= answer.lr <= curve.rates[-1]


@given(shapes(), st.booleans(), st.integers(-40, 40))
def test_the_scale_of_the_losses_does_not_matter(losses: Values, exploded: bool, power: int) -> None:
    plain = suggestions.suggest(smoothed(losses, exploded=exploded))
    scaled = suggestions.suggest(smoothed(losses * 2.0**power, exploded=exploded))
    assert plain == scaled


# --- over seeds ---------------------------------------------------------------------------------------------------


def test_over_seeds_it_is_the_median_with_its_range() -> None:
    shifted = [made(np.roll(WAVE, shift)[5:56]) for shift in (0, 5, -5)]
    found = {one.rule: one for one in suggestions.over_seeds(shifted)}
    steepest = found["steepest"]
    assert steepest.lr == pytest.approx(10**-4.5)
    assert [steepest.lowest, steepest.highest] == pytest.approx([1e-5, 1e-4])
    assert [answer.lr for answer in steepest.answers] == [pytest.approx(10**x) for x in (-4.5, -4.0, -5.0)]


def test_between_two_seeds_the_median_is_their_geometric_mean() -> None:
    found = suggestions.over_seeds([made(WAVE), made(WAVE[10:])])[0]
    assert found.lr == pytest.approx(math.sqrt(1e-4 * 1e-5))


def test_half_of_the_seeds_without_an_answer_leave_none() -> None:
    flat = made(np.full(61, 1.0))
    found = suggestions.over_seeds([made(WAVE), flat, made(WAVE), flat])[0]
    assert found.lr is None
    assert [found.lowest, found.highest] == pytest.approx([1e-4, 1e-4])
    assert found.reason == "the loss does not fall by more than its noise"
    assert suggestions.over_seeds([made(WAVE), flat, made(WAVE)])[0].lr == pytest.approx(1e-4)
    assert suggestions.over_seeds([])[0].reason == "no seed was swept"


def test_a_curve_of_another_error_has_the_same_places() -> None:
    assert rates(replace(made(WAVE), edge=5))["steepest"] == pytest.approx(1e-4)
