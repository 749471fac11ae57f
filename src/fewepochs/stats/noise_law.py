"""By which law noise hangs on learning rate and batch size, among the runs of one family of optimizers.

    log noise = a + b log rate + c log batch                                  least squares, a point a run and phase

Smith and Le 2017 (arXiv:1710.06451) have the scale of SGD's noise, for N training images and momentum m, as

    g = lr N / (B (1 - m))        so b = 1 and c = -1, where the swings of the loss are as large as g says

The phases of one run are not independent, so resamples draw whole runs, with replacement (a cluster bootstrap), and the
interval is the expanded percentile one (`stats.resampling`), its n less what the coefficients take. A resample in which
rate or batch size does not vary on its own is left out. An exponent is absent where the runs have one rate or one batch
size only, where the two change together, or where runs are too few. It has no interval where one or two runs alone have
another rate, or batch size, than the rest: resamples show too little of how much such runs scatter
(`benchmarks/noise_law_coverage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewepochs import seeds
from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import resampling, survival

CONFIDENCE = 0.95
LEAST_FREEDOM = 2
"""So many runs more than coefficients are the fewest that give an interval."""

LEAST_OTHERS = 3
"""So many runs with another value than the most common one are the fewest that give an interval."""

SAME = 1e-9
"""Logarithms that differ by less than this differ by roundings."""

SINGULAR = 1e-9
"""A design whose smallest eigenvalue is this share of its largest cannot tell its coefficients apart."""

MOST_LEFT_OUT = 0.5
"""Where more of the resamples than this cannot tell the coefficients apart, there is no interval."""


@dataclass(frozen=True)
class Point:
    """The noise of one phase of the run `run` (any name that no other run has), all numbers above 0."""

    run: str
    rate: float
    batch: float
    noise: float


class Exponent(Record):
    """The power with which noise goes with rate or batch size, with its interval, or the reason why there is none."""

    value: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    reason: str | None = None


class Law(Record):
    """What `points` of `runs` runs say; `intercept` is a, None where there is no fit."""

    runs: Count
    points: Count
    confidence: Fraction
    intercept: Finite | None
    rate: Exponent
    batch: Exponent

    def at(self, *, rate: float, batch: float) -> float | None:
        """Return the noise of the fit at a rate and batch size; None where there is no fit."""
        if self.intercept is None:
            return None
        powers = (self.rate.value or 0.0) * np.log(rate) + (self.batch.value or 0.0) * np.log(batch)
        return float(np.exp(self.intercept + powers))


def fit(points: Sequence[Point], *, confidence: float = CONFIDENCE) -> Law:
    """Return the law of `points`; the same points in any order give the same bits."""
    ordered = sorted(points, key=lambda point: (point.run, point.rate, point.batch, point.noise))
    names = sorted({point.run for point in ordered})
    logs = np.log(np.array([(p.rate, p.batch, p.noise) for p in ordered], dtype=float).reshape(-1, 3))
    columns, reasons = _estimable(logs[:, :2])
    if not columns:
        rate, batch = (Exponent(reason=reason) for reason in reasons)
        return Law(runs=len(names), points=len(ordered), confidence=confidence, intercept=None, rate=rate, batch=batch)
    middle = logs[:, columns].mean(axis=0)
    design = np.column_stack((np.ones(len(ordered)), logs[:, columns] - middle))
    found = np.linalg.lstsq(design, logs[:, 2], rcond=None)[0]
    runs = [p.run for p in ordered]
    ends = _intervals(design, logs[:, 2], runs=runs, found=found, confidence=confidence)
    told = {k: _borne_out(one, logs[:, k], runs=runs) for k, one in zip(columns, ends, strict=True)}
    rate, batch = (told.get(k, Exponent(reason=reasons[k])) for k in range(2))
    return Law(
        runs=len(names),
        points=len(ordered),
        confidence=confidence,
        intercept=float(found[0] - found[1:] @ middle),
        rate=rate,
        batch=batch,
    )


def _estimable(logs_P2: survival.Floats) -> tuple[list[int], tuple[str, str]]:
    """Return which of rate and batch size vary, and why either does not count."""
    varies = [bool(np.ptp(logs_P2[:, k]) > SAME if len(logs_P2) else False) for k in range(2)]
    nothing = "no noise" if not len(logs_P2) else "one {} only"
    reasons = (nothing.format("rate"), nothing.format("batch size"))
    if all(varies):
        centred = logs_P2 - logs_P2.mean(axis=0)
        if not _told_apart((centred.T @ centred)[None])[0]:
            return [], ("rate and batch size change together",) * 2
    return [k for k in range(2) if varies[k]], reasons


def _told_apart(normal_BPP: survival.Floats) -> npt.NDArray[np.bool_]:
    values = np.linalg.eigvalsh(normal_BPP)
    return np.asarray(values[:, 0] > SINGULAR * values[:, -1])


def _intervals(
    design: survival.Floats,
    logs: survival.Floats,
    *,
    runs: Sequence[str],
    found: survival.Floats,
    confidence: float,
) -> list[Exponent]:
    """Return the exponents `found` (the intercept first) with their intervals over resamples of runs."""
    names = sorted(set(runs))
    size = design.shape[1]
    values = [float(value) for value in found[1:]]
    if len(names) < size + LEAST_FREEDOM:
        why = f"{len(names)} runs have no interval; {size + LEAST_FREEDOM} are the fewest"
        return [Exponent(value=value, reason=why) for value in values]
    member = np.array([names.index(run) for run in runs])
    normal = np.stack([design[member == k].T @ design[member == k] for k in range(len(names))])
    right = np.stack([design[member == k].T @ logs[member == k] for k in range(len(names))])
    counts = np.concatenate(resampling.blocks(len(names), ("noise", *_numbers(names)))).astype(float)
    normal_BPP = np.tensordot(counts, normal, axes=1)
    good = _told_apart(normal_BPP)
    if good.mean() < 1 - MOST_LEFT_OUT:
        why = "too few resamples have several rates and batch sizes"
        return [Exponent(value=value, reason=why) for value in values]
    replicates = np.linalg.solve(normal_BPP[good], (counts[good] @ right)[..., None])[:, 1:, 0]
    # A run that the coefficients take up has no spread left to show.
    n = len(names) - size + 1
    ends = [
        resampling.interval(replicates[:, k], n=n, value=value, confidence=confidence) for k, value in enumerate(values)
    ]
    return [
        Exponent(value=value, low=low, high=high, reason=reason)
        for value, (low, high, reason) in zip(values, ends, strict=True)
    ]


def _borne_out(found: Exponent, values: survival.Floats, *, runs: Sequence[str]) -> Exponent:
    """Return `found` without its interval where too few runs have another of `values` than most do."""
    having: dict[float, set[str]] = {}
    for value, run in zip(np.round(values / SAME), runs, strict=True):
        having.setdefault(float(value), set()).add(run)
    common = max(having, key=lambda value: (len(having[value]), value))
    others = len(set().union(*(names for value, names in having.items() if value != common)))
    if found.low is None or others >= LEAST_OTHERS:
        return found
    alone = "1 run alone differs" if others == 1 else f"{others} runs alone differ"
    why = f"{alone} from the others in it; {LEAST_OTHERS} are the fewest for an interval"
    return Exponent(value=found.value, reason=why)


def _numbers(names: Sequence[str]) -> tuple[int, ...]:
    """Return the names as numbers, of which a draw's name may be made."""
    return tuple(seeds.derive(0, "name", name) for name in names)
