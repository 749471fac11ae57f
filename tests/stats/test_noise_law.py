"""Laws that are known are found again: exponents, how often intervals hold them, and when there is nothing to say."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import pytest

from fewepochs import seeds
from fewepochs.stats import noise_law
from fewepochs.stats.noise_law import Point

RATES, BATCHES = (1e-3, 1e-2), (32.0, 64.0, 128.0)


def points(*, b: float, c: float, spread: float = 0.0, each: int = 2, draw: int = 0) -> list[Point]:
    """Return runs of each rate and batch size, two phases each: the second at a tenth of the rate.

    `spread` is that of log noise, half of its variance shared by the phases of a run.
    """
    arms = list(itertools.product(RATES, BATCHES, range(each)))
    draws = seeds.uniform(seeds.derive(draw, "test"), 3 * len(arms))
    z = [spread * math.sqrt(0.5) * NormalDist().inv_cdf(float(u)) for u in draws]
    return [
        Point(f"{rate}-{batch}-{k}", rate * factor, batch, 2 * (rate * factor) ** b * batch**c * math.exp(z[i] + z[j]))
        for i, (rate, batch, k) in enumerate(arms)
        for factor, j in ((1.0, len(arms) + 2 * i), (0.1, len(arms) + 2 * i + 1))
    ]


@pytest.mark.parametrize(("b", "c"), [(1.0, -1.0), (0.5, 0.5), (-0.3, 0.0)])
def test_a_law_without_scatter_is_found_exactly(b: float, c: float) -> None:
    found = noise_law.fit(points(b=b, c=c))
    assert found.rate.value == pytest.approx(b, abs=1e-9)
    assert found.batch.value == pytest.approx(c, abs=1e-9)
    assert found.at(rate=5e-3, batch=100) == pytest.approx(2 * 5e-3**b * 100**c)
    assert (found.runs, found.points) == (12, 24)


def test_intervals_hold_the_law_about_as_often_as_they_say() -> None:
    found = [noise_law.fit(points(b=1.0, c=-1.0, spread=0.5, draw=draw)) for draw in range(60)]
    for exponents, truth in (([law.rate for law in found], 1.0), ([law.batch for law in found], -1.0)):
        held = sum(one.low <= truth <= one.high for one in exponents)  # type: ignore[operator]
        assert held >= 53, "95 percent of 60 are 57; fewer than 53 come up once in 300 times"
    widths = [law.batch.high - law.batch.low for law in found]  # type: ignore[operator]
    assert sorted(widths)[30] < 2.0, "and they are not so wide that they say nothing"


def test_the_phases_of_a_run_are_not_counted_as_runs() -> None:
    """The same phases, every one twice: nothing was learnt, and no interval gets narrower."""
    once = points(b=1.0, c=-1.0, spread=0.5)
    one, two = noise_law.fit(once), noise_law.fit([*once, *once])
    assert two.batch.low == pytest.approx(one.batch.low)
    assert two.batch.high == pytest.approx(one.batch.high)
    assert two.points == 2 * one.points


def test_constant_noise_goes_with_nothing() -> None:
    found = noise_law.fit([Point(p.run, p.rate, p.batch, 0.5) for p in points(b=1.0, c=1.0)])
    for one in (found.rate, found.batch):
        assert one.value == pytest.approx(0.0, abs=1e-12)
    scattered = noise_law.fit(points(b=0.0, c=0.0, spread=0.3))
    for one in (scattered.rate, scattered.batch):
        assert one.low is not None
        assert one.high is not None
        assert one.low < 0 < one.high


def test_what_cannot_be_told_has_a_reason() -> None:
    every = points(b=1.0, c=-1.0, spread=0.5)
    one_batch = noise_law.fit([p for p in every if p.batch == 32])
    assert one_batch.batch == noise_law.Exponent(reason="one batch size only")
    assert one_batch.rate.low is not None
    one_rate = noise_law.fit([p for p in every if p.rate == 1e-2 and p.run.startswith("0.01")])
    assert one_rate.rate == noise_law.Exponent(reason="one rate only")
    together = noise_law.fit([Point(str(k), 1e-3 * b, b, 1.0 + k) for k, b in enumerate(BATCHES * 3)])
    assert together.batch == noise_law.Exponent(reason="rate and batch size change together")
    assert together.intercept is None
    few = noise_law.fit([p for p in every if p.run.endswith("0")][:8])
    assert few.rate.value is not None
    assert few.rate.reason == "4 runs have no interval; 5 are the fewest"
    assert noise_law.fit([]).rate == noise_law.Exponent(reason="no noise")


def test_the_order_of_the_points_is_nothing() -> None:
    every = points(b=1.0, c=-1.0, spread=0.5)
    assert noise_law.fit(every) == noise_law.fit(every[::-1])


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ((32, 32, 128, 128), "2 runs alone differ from the others in it; 3 are the fewest for an interval"),
        ((32, 128, 128, 128, 128), "1 run alone differs from the others in it; 3 are the fewest for an interval"),
        ((32, 64, 128, 128), "2 runs alone differ from the others in it; 3 are the fewest for an interval"),
        ((32, 32, 32, 128, 128, 128), None),
        ((32, 64, 64, 128, 128), None),
    ],
)
def test_what_one_or_two_runs_alone_tell_has_no_interval(batches: tuple[int, ...], told: str | None) -> None:
    runs = [Point(str(k), 1e-3, float(batch), 1.0 + 0.1 * k) for k, batch in enumerate(batches)]

    found = noise_law.fit(runs)
    assert found.batch.value is not None
    assert (found.batch.reason, found.batch.low is None) == (told, told is not None)


def test_a_factor_that_varies_within_runs_is_told_by_all_of_them() -> None:
    runs = [Point(str(k), rate, 64.0, 0.1 * k + rate) for k in range(1, 5) for rate in (1e-3, 1e-2)]

    assert noise_law.fit(runs).rate.low is not None


def test_an_interval_errs_about_as_often_as_it_says_where_a_factor_has_two_values() -> None:
    """Three runs against three, and no effect: a resample of so few shows a little less than there is."""
    wrong = 0
    for draw in range(100):
        uniform = seeds.uniform(seeds.derive(draw, "null"), 6)
        noises = [math.exp(0.25 * NormalDist().inv_cdf(float(u))) for u in uniform]
        found = noise_law.fit([Point(str(k), 1e-3, 32.0 if k < 3 else 128.0, noise) for k, noise in enumerate(noises)])
        assert found.batch.low is not None
        assert found.batch.high is not None
        wrong += not found.batch.low <= 0 <= found.batch.high
    assert wrong <= 17, "one in ten; more than 17 of 100 come up once in a hundred times"
