"""Shift, width and walls where they are known: parabolas, and least squares whose minima have a formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs.probes import valleys
from fewepochs.probes.valleys import Values

PLACES = np.linspace(-1.0, 1.0, 25)


def images(curve: Values, *, count: int = 3) -> Values:
    """Return losses [T, count] of images that all have the losses of `curve`."""
    return np.repeat(curve[:, None], count, axis=1)


@settings(max_examples=25, deadline=None)
@given(
    shift=st.floats(-0.4, 0.4),
    offset=st.floats(0.0, 2.0),
    bend=st.floats(0.1, 50.0),
    middle=st.floats(-0.5, 0.5),
)
def test_the_shift_of_two_parabolas_is_found(shift: float, offset: float, bend: float, middle: float) -> None:
    training = bend * (PLACES - middle) ** 2
    validation = bend * (PLACES - middle - shift) ** 2 + offset
    found = valleys.shift(PLACES, images(training), images(validation), draws=5)
    assert found.by.value == pytest.approx(shift, abs=1e-6)
    assert found.offset == pytest.approx(offset, abs=1e-4 * bend)
    assert found.likeness == pytest.approx(1.0, abs=1e-9)
    assert found.likeness_unshifted is not None
    assert found.likeness_unshifted <= 1.0 + 1e-9


def test_images_that_agree_leave_no_doubt() -> None:
    found = valleys.shift(PLACES, images(PLACES**2), images((PLACES - 0.2) ** 2), draws=50)
    assert (found.by.low, found.by.high) == pytest.approx((0.2, 0.2), abs=1e-9)


@pytest.mark.parametrize("shift", [0.6, -0.6])
def test_a_shift_beyond_a_quarter_of_the_slice_is_absent_with_a_reason(shift: float) -> None:
    found = valleys.shift(PLACES, images(PLACES**2), images((PLACES - shift) ** 2), draws=5)
    assert found.by == valleys.Estimate(None, reason="the best shift lies beyond a quarter of the slice, 0.5")


def least_squares(seed: int, *, alike: bool) -> tuple[Values, Values, float]:
    """Return the slices of two least-squares losses from one minimum through the other, and the shift between them.

    Losses of image i at w: (x_i w - y_i)^2. Along w_train + t (w_val - w_train) both means are parabolas, with minima
    at t = 0 and t = 1: the shift is 1, exactly where the images are the same and only the targets differ.
    """
    generator = np.random.default_rng(seed)
    count, weights = 200, 4
    x_train = generator.normal(size=(count, weights))
    x_val = x_train if alike else generator.normal(size=(count, weights))
    truth = generator.normal(size=weights)
    y_train, y_val = (x @ truth + generator.normal(size=count) for x in (x_train, x_val))
    w_train = np.linalg.lstsq(x_train, y_train)[0]
    w_val = np.linalg.lstsq(x_val, y_val)[0]
    line = w_train + np.linspace(-4.0, 4.0, 33)[:, None] * (w_val - w_train)
    return (line @ x_train.T - y_train) ** 2, (line @ x_val.T - y_val) ** 2, 1.0


@pytest.mark.parametrize("alike", [True, False])
def test_of_a_linear_model_the_shift_is_that_between_its_two_minima(alike: bool) -> None:
    places = np.linspace(-4.0, 4.0, 33)
    for seed in range(3):
        training, validation, shift = least_squares(seed, alike=alike)
        found = valleys.shift(places, training, validation, draws=200)
        # With other images the curvatures differ, which around the middle of the window moves no minimum.
        assert found.by.value == pytest.approx(shift, abs=1e-6)
        assert found.by.low is not None
        assert found.by.low < shift
        if alike:
            assert found.likeness == pytest.approx(1.0, abs=1e-9)
            assert found.likeness_unshifted is not None
            assert found.likeness_unshifted < 0.9999


def test_the_interval_covers_the_shift_of_the_population() -> None:
    """Parabolas whose minima scatter from image to image around 0 and 0.15: 95% intervals, 80 samples."""
    covered = 0
    for seed in range(80):
        generator = np.random.default_rng(seed)
        training = 3.0 * (PLACES[:, None] - generator.normal(0.0, 0.5, size=60)) ** 2
        validation = 3.0 * (PLACES[:, None] - generator.normal(0.15, 0.5, size=60)) ** 2
        by = valleys.shift(PLACES, training, validation, draws=200).by
        low, high = -math.inf if by.low is None else by.low, math.inf if by.high is None else by.high
        covered += low <= 0.15 <= high
    assert 70 <= covered <= 79  # binomial(80, 0.95) lies there in 97% of cases; the seeds are fixed


@settings(max_examples=30, deadline=None)
@given(bend=st.floats(1.0, 50.0), middle=st.floats(-0.3, 0.3), lowest=st.floats(0.05, 0.2))
def test_the_width_of_a_parabola(bend: float, middle: float, lowest: float) -> None:
    curve = bend * (PLACES - middle) ** 2 + lowest
    found = valleys.valley("training", PLACES, images(curve), draws=5)
    for width, height in zip(found.widths, (0.1, 0.5, lowest), strict=True):
        half = math.sqrt(height / bend)
        if middle - half > -1 and middle + half < 1:
            assert width.by.value == pytest.approx(2 * half, abs=0.02)
            assert width.at_least == width.by.value
        elif width.by.value is None:
            assert width.at_least <= 2.0
    left, right = found.walls
    assert left.slope == pytest.approx(2 * bend * (1 + middle), rel=0.05)
    assert right.slope == pytest.approx(2 * bend * (1 - middle), rel=0.05)
    assert (left.at, right.at) == pytest.approx((-1, 1), abs=0.01)


def test_a_valley_that_leaves_the_slice_has_no_width_but_a_least_one() -> None:
    found = valleys.valley("validation", PLACES, images(0.04 * (PLACES - 0.5) ** 2), draws=5)
    first = found.widths[0]
    assert first.by.value is None
    assert first.by.reason == "the valley leaves the slice below this level"
    assert first.at_least == 2.0
    falling = valleys.valley("training", PLACES, images(1.0 - PLACES), draws=5)
    assert falling.walls[1] == valleys.Wall("right", None, None)
    assert falling.walls[0].slope == pytest.approx(1.0)
    assert falling.widths[0].at_least == pytest.approx(0.1)


def test_the_width_has_an_interval_from_other_images() -> None:
    generator = np.random.default_rng(0)
    losses = generator.uniform(1.0, 9.0, size=100) * PLACES[:, None] ** 2
    width = valleys.valley("training", PLACES, losses, draws=300).widths[1]
    assert width.by.value == pytest.approx(2 * math.sqrt(0.5 / 5.0), abs=0.05)
    assert width.by.low is not None
    assert width.by.value is not None
    assert width.by.high is not None
    assert 0.55 < width.by.low < width.by.value < width.by.high < 0.7


def test_the_same_losses_give_the_same_bits() -> None:
    generator = np.random.default_rng(0)
    losses = generator.normal(size=40) ** 2 * PLACES[:, None] ** 2 + 1
    first, again = (valleys.shift(PLACES, losses, losses[:, ::-1].copy(), draws=100) for _ in range(2))
    assert first == again
