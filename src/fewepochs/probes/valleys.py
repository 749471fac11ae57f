"""Numbers of a slice through two loss surfaces: how far one is shifted against the other, how wide and how steep.

A slice has the losses of single images, [points, images], at places t on a line. Their mean is the curve, made whole by
a cubic spline.

    shift    s that minimises   mean over t in W of (L_val(t + s) - L_train(t) - c)^2,      c free, |s| <= M

W is the middle half of the slice and M a quarter of its length: the same places for every s, so that no shift wins by
comparing less. The spread that is left, against that of L_val itself, says how much alike the two curves are:

    likeness = 1 - min_s Var_W(L_val(t + s) - L_train(t)) / Var_W(L_val(t + s))

    width    length around the minimum within which L stays at or below a level
    wall     largest slope of the rise on either side of the minimum, and where

Intervals say what other images would have given at the same weights: both sets of images are drawn anew, each by
itself, with replacement, `DRAWS` times (percentile bootstrap). Of another training run they say nothing. Where the
answer lies outside of the slice there is none, with a reason; where a part of the draws do, the interval is open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy  # which loads `interpolate` when it is first used: pages import this module, few have a valley

from fewepochs.stats import resampling

Values = npt.NDArray[np.float64]
Part = Literal["training", "validation"]

DRAWS = 1000
CONFIDENCE = 0.95
FINE = 20
"""Places between two points at which a curve is looked at."""

SHIFTS = 81
"""Shifts tried between -M and M; the best is refined by a parabola."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. Where `value` is None, `reason` says why; an end that is None is open."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Shift:
    """How far the validation surface lies beyond the training surface along the slice, and how much they are alike.

    `offset` is c: how much higher the validation surface lies. `likeness` is 1 where a shift makes one the other, and
    `likeness_unshifted` the same without a shift; None where the validation loss is flat.
    """

    by: Estimate
    offset: float
    likeness: float | None
    likeness_unshifted: float | None


@dataclass(frozen=True)
class Level:
    """A height above the minimum: the `offset` added to it, after it was multiplied by `factor`."""

    name: str
    offset: float = 0.0
    factor: float = 1.0

    def above(self, lowest: Values) -> Values:
        """Return the level for minima `lowest`."""
        return lowest * self.factor + self.offset


LEVELS = (Level("minimum + 0.1", 0.1), Level("minimum + 0.5", 0.5), Level("2 x minimum", factor=2.0))


@dataclass(frozen=True)
class Width:
    """The length of the valley up to a level; where it leaves the slice, `at_least` is what was seen of it."""

    level: str
    by: Estimate
    at_least: float


@dataclass(frozen=True)
class Wall:
    """The steepest rise on one side of the minimum: loss by unit of t, and where; None where nothing rises."""

    side: Literal["left", "right"]
    slope: float | None
    at: float | None


@dataclass(frozen=True)
class Valley:
    """The minimum of a curve within its slice, its widths and its walls."""

    part: Part
    lowest: float
    at: float
    widths: tuple[Width, ...]
    walls: tuple[Wall, Wall]


# --- the shift ----------------------------------------------------------------------------------------------------


def shift(places: Values, training: Values, validation: Values, *, draws: int = DRAWS) -> Shift:
    """Return the shift between two curves: `places` [T], evenly spaced; losses [T, images] of both."""
    shifts = np.linspace(-1.0, 1.0, SHIFTS) * _reach(places)
    forms = _forms(places, shifts)
    ours, theirs = training.mean(1), validation.mean(1)
    value = float(_best(ours[None], theirs[None], forms, shifts)[0])
    drawn = zip(_resampled(training, "training", draws), _resampled(validation, "validation", draws), strict=True)
    replicates = np.concatenate([_best(*both, forms, shifts) for both in drawn])
    likeness, offset = _likeness(places, ours, theirs, by=value if math.isfinite(value) else 0.0)
    unshifted, _ = _likeness(places, ours, theirs, by=0.0)
    reason = f"the best shift lies beyond a quarter of the slice, {_reach(places):.3g}"
    return Shift(_estimate(value, replicates, reason=reason), offset, likeness, unshifted)


def _reach(places: Values) -> float:
    return float(places[-1] - places[0]) / 4


def _window(places: Values) -> Values:
    """Return the places at which curves are compared: the middle half of the slice, both ends included."""
    return np.linspace(places[0] + _reach(places), places[-1] - _reach(places), FINE * (len(places) // 2) + 1)


def _forms(places: Values, shifts: Values) -> tuple[Values, Values, Values]:
    """Return the variance over the window as forms of two curves: v A_s v - 2 v B_s t + t C t, for each of the shifts.

    A and B are [shifts, T, T]. With them a resample costs a few products of its two curves.
    """
    window, spline = _window(places), scipy.interpolate.CubicSpline(places, np.eye(len(places)), axis=0)

    def centred(by: float) -> Values:
        values = spline(np.clip(window + by, places[0], places[-1]))  # the ends of the reach, but for rounding
        return np.asarray((values - values.mean(0)) / math.sqrt(len(window)), dtype=np.float64)

    still, moved = centred(0.0), [centred(float(by)) for by in shifts]
    return np.stack([one.T @ one for one in moved]), np.stack([one.T @ still for one in moved]), still.T @ still


def _best(training: Values, validation: Values, forms: tuple[Values, Values, Values], shifts: Values) -> Values:
    """Return the best shift of each pair of curves [B, T], infinite where it lies beyond those tried."""
    ours, theirs = (curves - curves.mean(1, keepdims=True) for curves in (training, validation))
    a, b, c = forms
    spread = _form(theirs, a, theirs) - 2.0 * _form(theirs, b, ours) + _form(ours, c[None], ours)
    at, rows = spread.argmin(1), np.arange(len(ours))
    here = np.clip(at, 1, len(shifts) - 2)
    before, middle, after = (spread[rows, here + k] for k in (-1, 0, 1))
    bend = before - 2.0 * middle + after
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.where(bend > 0, 0.5 * (before - after) / bend, 0.0)
    best = shifts[here] + np.clip(move, -0.5, 0.5) * (shifts[1] - shifts[0])
    return np.where(at == 0, -np.inf, np.where(at == len(shifts) - 1, np.inf, best))


def _form(left: Values, forms: Values, right: Values) -> Values:
    """Return left[b] forms[s] right[b] for all b and s: [B, S]."""
    outer = (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
    return np.asarray(outer @ forms.reshape(len(forms), -1).T, dtype=np.float64)


def _likeness(places: Values, training: Values, validation: Values, *, by: float) -> tuple[float | None, float]:
    """Return how much alike the curves are, one shifted by `by`, and how much higher the validation curve lies."""
    window = _window(places)
    theirs = scipy.interpolate.CubicSpline(places, validation)(window + by)
    difference = theirs - scipy.interpolate.CubicSpline(places, training)(window)
    spread = float(theirs.var())
    return None if spread == 0 else 1.0 - float(difference.var()) / spread, float(difference.mean())


# --- valleys and walls --------------------------------------------------------------------------------------------


def valley(
    part: Part, places: Values, losses: Values, *, levels: Sequence[Level] = LEVELS, draws: int = DRAWS
) -> Valley:
    """Return minimum, widths and walls of a curve: `places` [T] and losses [T, images]."""
    fine, curve = _fine(places, losses.mean(1)[None])
    lowest = int(curve[0].argmin())
    resampled = [_fine(places, block)[1] for block in _resampled(losses, part, draws)]
    return Valley(
        part=part,
        lowest=float(curve[0, lowest]),
        at=float(fine[lowest]),
        widths=tuple(_width(level, fine, curve, resampled) for level in levels),
        walls=(_wall("left", fine, curve[0]), _wall("right", fine, curve[0])),
    )


def _fine(places: Values, curves: Values) -> tuple[Values, Values]:
    """Return fine places and the curves [B, T] there, by Akima's spline: true to a parabola, and calm at a wall."""
    fine = np.linspace(places[0], places[-1], FINE * (len(places) - 1) + 1)
    return fine, np.asarray(scipy.interpolate.Akima1DInterpolator(places, curves, axis=1)(fine), dtype=np.float64)


def _width(level: Level, fine: Values, curve: Values, resampled: Sequence[Values]) -> Width:
    left, right = _crossings(level, fine, curve)
    value = float(right[0] - left[0])
    ends = [_crossings(level, fine, block) for block in resampled]
    replicates = np.concatenate([right - left for left, right in ends])
    seen = min(float(right[0]), float(fine[-1])) - max(float(left[0]), float(fine[0]))
    return Width(level.name, _estimate(value, replicates, reason="the valley leaves the slice below this level"), seen)


def _crossings(level: Level, fine: Values, curves: Values) -> tuple[Values, Values]:
    """Return where each of `curves` [B, F] first crosses the level on either side of its minimum; infinite: nowhere."""
    heights = level.above(curves.min(1))
    lowest = curves.argmin(1)
    ends = np.full((2, len(curves)), np.inf)
    for row, (curve, height, middle) in enumerate(zip(curves, heights, lowest, strict=True)):
        above = curve > height
        right, left = above[middle:], above[: middle + 1][::-1]
        for side, (hit, step) in enumerate(((left, -1), (right, 1))):
            if not hit.any():
                ends[side, row] = step * np.inf
                continue
            outside = middle + step * int(hit.argmax())
            inside = outside - step
            share = (height - curve[inside]) / (curve[outside] - curve[inside])
            ends[side, row] = fine[inside] + share * (fine[outside] - fine[inside])
    return ends[0], ends[1]


def _wall(side: Literal["left", "right"], fine: Values, curve: Values) -> Wall:
    lowest = int(curve.argmin())
    slopes = np.diff(curve) / np.diff(fine)
    outward = -slopes[:lowest] if side == "left" else slopes[lowest:]
    if not len(outward) or outward.max() <= 0:
        return Wall(side, None, None)
    at = int(outward.argmax()) + (0 if side == "left" else lowest)
    return Wall(side, float(outward.max()), float((fine[at] + fine[at + 1]) / 2))


# --- resamples ----------------------------------------------------------------------------------------------------


def _resampled(losses: Values, part: Part, draws: int) -> list[Values]:
    """Return the mean curves [B, T] of resampled images, in blocks alike for every number of images."""
    images = losses.shape[1]
    counts = np.concatenate(resampling.blocks(images, ("slice", part), draws))
    return [block @ losses.T / images for block in np.array_split(counts.astype(np.float64), max(1, draws // 100))]


def _estimate(value: float, replicates: Values, *, reason: str) -> Estimate:
    """Return `value` with the percentiles of `replicates`; infinite ones lie beyond the slice."""
    if math.isinf(value):
        return Estimate(None, reason=reason)
    ordered = np.sort(replicates)
    out = int((1.0 - CONFIDENCE) / 2 * len(ordered))
    low, high = min(float(ordered[out]), value), max(float(ordered[-1 - out]), value)
    return Estimate(value, low if math.isfinite(low) else None, high if math.isfinite(high) else None)
