"""What a range test suggests, by rules with names. Each is a hint; where a rule has no answer it says why.

    steepest     the rate at which the loss falls fastest: argmin d loss / d log10(lr)
    valley       the middle of the longest valley: the longest decreasing subsequence of the losses
    minimum/10   a tenth of the rate at which the loss is lowest
    smith-max    the largest rate before the loss rises again

A fall counts if it is more than FALL_ERRORS standard errors of the curve, a rise if it is more than RISE_ERRORS of them
and more than RISE of the fall. Without a fall no rule has an answer; without a rise after the minimum, where the sweep
ended too soon, the last two have none. Scaling all losses changes no answer.

Sources: Smith, "Cyclical learning rates" (2017, arXiv:1506.01186), section 3.3, and "A disciplined approach to neural
network hyper-parameters" (2018, arXiv:1803.09820), section 4.1, for the last; fastai 2.7 (`fastai.callback.schedule`)
for the others.

Deviations. From fastai: 1. The losses are smoothed to both sides, not by the past, which lags. 2. `steepest` looks
before the minimum and not within the outermost `edge` steps, where fastai leaves out the first tenth and the last five.
3. There is an answer only where the loss falls by more than its noise; fastai always has one. 4. `valley` counts its
members back from its end, as fastai does, but its end with them: fastai is a step or two earlier. (fastai's
documentation says "two thirds through the valley"; its code goes a third and half a third: to the middle, as here.)
From Smith: 5. He looks for the largest rate at which the accuracy on validation images does not fall, in a run of some
epochs; here it is the loss of the batches.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewepochs.probes.smoothing import Smooth
from fewepochs.probes.sweeps import MIN_STEPS

FALL_ERRORS = 6.0
RISE_ERRORS = 3.0
RISE = 0.05
_ROUNDING = 1e-9
"""A fall by less than this fraction of the loss is rounding."""


@dataclass(frozen=True)
class Answer:
    """A rate, or the reason why there is none."""

    lr: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Suggestion:
    """What a rule says over seeds: the median of the answers' log10(lr), their `lowest` and `highest`.

    `lr` is None with a `reason` where no more than half of the seeds have an answer. `answers` are in the seeds' order.
    """

    rule: str
    lr: float | None
    lowest: float | None
    highest: float | None
    answers: tuple[Answer, ...]
    reason: str | None = None


@dataclass(frozen=True)
class _Fall:
    """A curve that falls: by `depth`, to its minimum at step `lowest`; `rise` is the first step that is up again."""

    lowest: int
    depth: float
    rise: int | None


MEANINGS: Mapping[str, str] = {
    "steepest": "the loss falls fastest",
    "valley": "the middle of its longest fall",
    "minimum/10": "a tenth of where it is lowest",
    "smith-max": "the largest before it rises again",
}


def suggest(curve: Smooth) -> dict[str, Answer]:
    """Return the answer of every rule to one seed's `curve`."""
    if len(curve.loss) < MIN_STEPS:
        count = f"only {len(curve.loss)}" if len(curve.loss) else "no"
        reason = f"{count} {'step has' if len(curve.loss) < 2 else 'steps have'} a loss"
        return {rule: Answer(None, reason) for rule in _RULES}
    fall = _fall(curve)
    if fall is None:
        return {rule: Answer(None, "the loss does not fall by more than its noise") for rule in _RULES}
    return {rule: answer(curve, fall) for rule, answer in _RULES.items()}


def over_seeds(curves: Sequence[Smooth]) -> tuple[Suggestion, ...]:
    """Return what each rule suggests over all `curves`."""
    by_seed = [suggest(curve) for curve in curves]
    return tuple(_suggestion(rule, tuple(answers[rule] for answers in by_seed)) for rule in _RULES)


def _suggestion(rule: str, answers: tuple[Answer, ...]) -> Suggestion:
    found = sorted(answer.lr for answer in answers if answer.lr is not None)
    if 2 * len(found) <= len(answers):
        reasons = dict.fromkeys(answer.reason for answer in answers if answer.reason is not None)
        lowest, highest = (found[0], found[-1]) if found else (None, None)
        return Suggestion(rule, None, lowest, highest, answers, "; ".join(reasons) or "no seed was swept")
    low, high = found[(len(found) - 1) // 2], found[len(found) // 2]
    middle = low if low == high else math.sqrt(low * high)
    return Suggestion(rule, middle, found[0], found[-1], answers)


def _fall(curve: Smooth) -> _Fall | None:
    lowest = int(np.argmin(curve.loss))
    highest = int(np.argmax(curve.loss[: lowest + 1]))
    depth = float(curve.loss[highest] - curve.loss[lowest])
    error = float(max(curve.error[highest], curve.error[lowest]))
    if depth <= max(FALL_ERRORS * error, _ROUNDING * float(np.abs(curve.loss).max())):
        return None
    # The minimum is the lowest of many noisy values: the error at the end, where it is largest, stands for all.
    rise = max(RISE * depth, RISE_ERRORS * float(curve.error[lowest:].max()))
    risen = curve.loss[lowest:] > curve.loss[lowest] + rise
    if risen.any():
        return _Fall(lowest, depth, lowest + int(np.argmax(risen)))
    return _Fall(lowest, depth, len(curve.loss) if curve.exploded else None)


# --- rules --------------------------------------------------------------------------------------------------------

_NO_RISE = Answer(None, "the loss has not risen again where the sweep ends")


def _steepest(curve: Smooth, fall: _Fall) -> Answer:
    first, after = curve.edge, min(fall.lowest + 1, len(curve.loss) - curve.edge)
    slopes = np.gradient(curve.loss, np.log10(curve.rates))[first:after]
    if len(slopes) == 0 or slopes.min() >= 0:
        return Answer(None, "the loss falls within the first steps of the sweep only")
    return Answer(float(curve.rates[first + int(np.argmin(slopes))]))


def _valley(curve: Smooth, fall: _Fall) -> Answer:
    del fall  # any fall has a valley
    lengths = _decreasing(curve.loss.tolist())
    end = int(np.argmax(lengths))
    return Answer(float(curve.rates[end - lengths[end] // 2]))


def _decreasing(losses: Sequence[float]) -> list[int]:
    """Return for each step the length of the longest strictly decreasing subsequence that ends with it.

    `tails[n]` is the negative of the highest loss that such a subsequence of n + 1 members can end with so far; they
    rise with n, so that each step is one search (Fredman 1975).
    """
    tails: list[float] = []
    lengths = []
    for loss in losses:
        place = bisect_left(tails, -loss)
        tails[place : place + 1] = [-loss]
        lengths.append(place + 1)
    return lengths


def _tenth_of_minimum(curve: Smooth, fall: _Fall) -> Answer:
    if fall.rise is None:
        return _NO_RISE
    lr = float(curve.rates[fall.lowest]) / 10.0
    if lr < curve.rates[0]:
        return Answer(None, "a tenth of where the loss is lowest lies below the sweep")
    return Answer(lr)


def _smith_max(curve: Smooth, fall: _Fall) -> Answer:
    return _NO_RISE if fall.rise is None else Answer(float(curve.rates[fall.rise - 1]))


_RULES: Mapping[str, Callable[[Smooth, _Fall], Answer]] = {
    "steepest": _steepest,
    "valley": _valley,
    "minimum/10": _tenth_of_minimum,
    "smith-max": _smith_max,
}
