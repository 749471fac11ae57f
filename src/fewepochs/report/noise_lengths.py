"""Noise against what was measured of the gradients: by which power of the length of a step's random part it goes.

    log noise = a + d log length                     least squares, a point a run and phase; d = 1: in proportion

The length is what `fewepochs gradient-noise` measured of the very runs (see `probes.gradient_noise`); it stands in the
place of g for optimizers for which g is not defined. A phase's length is the mean of those that were measured within
it; phases without one take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fewepochs.errors import Problem, RecipeError
from fewepochs.report.gradient_noise import GradientNoise
from fewepochs.report.noise_phases import Found, Measure, Phase
from fewepochs.stats import noise_law

Lengths = Mapping[str, Mapping[int, float]]
"""By a run's digest and an epoch."""


def of(measured: Sequence[GradientNoise]) -> Lengths:
    """Return the lengths that were measured; of a state that was measured twice the later counts.

    Raises RecipeError where there is none: the optimizers have none, or an older fewepochs measured.
    """
    lengths: dict[str, dict[int, float]] = {}
    for one in measured:
        told = {row.epoch: row.length for row in one.whole if row.length}
        lengths.setdefault(one.runs[0].digest, {}).update(told)
    if not any(lengths.values()):
        why = "no length of a step's random part in what was measured; SGD, Adam and AdamW have one"
        raise RecipeError("command line", (Problem("--gradient-noise", why),))
    return lengths


def fit(found: Found, lengths: Lengths, *, family: str, measure: Measure) -> noise_law.Law:
    """Return the law of a family's curve; its `rate` is the power of the length."""
    digests = {run.label: run.stored.digest for group in found.groups for run in group.runs}
    points = []
    for phase, point in found.pointed(measure):
        length = _length(phase, lengths.get(digests[phase.run], {}))
        if phase.family == family and length is not None:
            points.append(replace(point, rate=length, batch=1.0))
    return noise_law.fit(points)


def _length(phase: Phase, lengths: Mapping[int, float]) -> float | None:
    within = [lengths[record.epoch] for record in phase.stretch.epochs if record.epoch in lengths]
    return sum(within) / len(within) if within else None
