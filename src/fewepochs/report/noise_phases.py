"""How restless runs are, phase by phase, beside what the formula for SGD's noise makes of their rate and batch size.

    g = lr N / (B (1 - m))     (Smith and Le 2017); of other optimizers it is not defined: lr/B stands beside them

A phase is a stretch of epochs of one learning rate; where the rate moves, the stretch is told as such and takes no part
in a law. See `stats.noise` for the noise and `stats.noise_law` for the law. Of SGD the law's rate is lr/(1-m).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from fewepochs import controls, store
from fewepochs import recipe as recipes
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import labels
from fewepochs.specs import updates
from fewepochs.stats import noise, noise_law

Measure = Literal["val_loss", "val_acc", "loss"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
By = Literal["epochs", "evaluations"]


@dataclass(frozen=True)
class Phase:
    """A stretch of one run: the `number`-th of it, from 0.

    `batch` is None where the batch size changes within, `momentum` for optimizers other than SGD, `images` where the
    size of the training set is not known.
    """

    group: str
    run: str
    seeds: tuple[int, ...]
    number: int
    stretch: noise.Stretch
    family: str
    batch: int | None
    momentum: float | None
    images: int | None
    noise: Mapping[Measure, noise.Noise]

    @property
    def rate_over_batch(self) -> float | None:
        """The learning rate over the batch size."""
        rate = self.stretch.rate
        return None if rate is None or self.batch is None else rate / self.batch

    @property
    def g(self) -> float | None:
        """The scale of SGD's noise; None where it is not defined or not known."""
        ratio = self.rate_over_batch
        if ratio is None or self.momentum is None or self.images is None:
            return None
        return ratio * self.images / (1.0 - self.momentum)

    def point(self, measure: Measure) -> noise_law.Point | None:
        """Return what a law takes from the phase; None where rate, batch size or noise is absent, moves or is 0."""
        spread, rate = self.noise[measure].spread, self.stretch.rate
        if not spread or not rate or self.batch is None:
            return None
        return noise_law.Point(self.run, rate / (1.0 - (self.momentum or 0.0)), float(self.batch), spread)


@dataclass(frozen=True)
class Found:
    """The phases of all runs, and `caveats` about runs that were left out; `first`: laws take first phases alone."""

    by: By
    first: bool
    phases: tuple[Phase, ...]
    caveats: tuple[str, ...]
    groups: tuple[labels.Group, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """The kinds of optimizer, in order of first appearance."""
        return tuple(dict.fromkeys(phase.family for phase in self.phases))

    def points(self, family: str, measure: Measure) -> list[noise_law.Point]:
        """Return the points of a family's law."""
        return [point for phase, point in self.pointed(measure) if phase.family == family]

    def laws(self, measure: Measure = "val_loss") -> dict[str, noise_law.Law]:
        """Return each family's law."""
        return {family: noise_law.fit(self.points(family, measure)) for family in self.families}

    def pointed(self, measure: Measure) -> list[tuple[Phase, noise_law.Point]]:
        """Return the phases that laws are made of, each with its point."""
        asked = [phase for phase in self.phases if not self.first or phase.number == 0]
        return [(phase, point) for phase in asked if (point := phase.point(measure)) is not None]


def find(
    runs: Sequence[store.StoredRun], *, by: By = "epochs", spike: float = noise.SPIKE, first: bool = False
) -> Found:
    """Return the phases of `runs`, their noise taken from the epochs' values or from evaluations within epochs.

    The training loss is known by epochs only. `spike` is how many spreads above the running median a spike begins. With
    `first` laws are made of first phases alone.
    """
    groups, caveats = labels.without_copies(labels.group(labels.label(runs)))
    groups = sorted(groups, key=_order)
    own = [(group, run) for group in groups for run in group.runs if isinstance(run.stored.recipe, recipes.Recipe)]
    foreign = sum(len(group.runs) for group in groups) - len(own)
    if foreign:
        caveats.append(f"{foreign} imported runs are left out: their rate within an epoch is not known.")
    without = sum(not run.stored.evaluations for _, run in own)
    if by == "evaluations" and without:
        caveats.append(
            f"{without} of {len(own)} runs have no evaluations within their epochs; fewepochs train --evaluate-every "
            "STEPS makes them."
        )
    phases = tuple(phase for group, run in own for phase in _phases(group.label, run, by=by, spike=spike))
    return Found(by, first, phases, tuple(caveats), tuple(groups))


def _order(group: labels.Group) -> tuple[str, float, int]:
    """Return what recipes are sorted by: the optimizer, its rate, the batch size."""
    recipe = group.runs[0].stored.recipe
    if not isinstance(recipe, recipes.Recipe):
        return "", 0.0, 0
    return recipe.optimizer.kind, recipe.optimizer.lr, recipe.batch_size


def _phases(group: str, run: labels.Run, *, by: By, spike: float) -> Iterator[Phase]:
    stored = run.stored
    recipe = store.trained(stored)
    sizes = controls.batch_sizes(recipe)
    images = controls.training_images(recipe)
    for number, stretch in enumerate(noise.stretches(stored.own_epochs)):
        batches = {sizes[record.epoch - 1] for record in stretch.epochs}
        counted = stretch.counted
        curve = noise.within(stretch, stored.evaluations) if by == "evaluations" else counted
        values: dict[Measure, list[float]] = {
            "val_loss": [record.val_loss for record in curve],
            "val_acc": [record.val_acc for record in curve],
            "loss": [record.loss for record in counted],
        }
        yield Phase(
            group=group,
            run=run.label,
            seeds=foreign_runs.seeds(stored.recipe),
            number=number,
            stretch=stretch,
            family=recipe.optimizer.kind,
            batch=batches.pop() if len(batches) == 1 else None,
            momentum=_momentum(recipe, epoch=counted[0].epoch, images=images),
            images=images,
            noise={name: noise.of_values(values[name], spike=spike) for name in MEASURES},
        )


def _momentum(recipe: recipes.Recipe, *, epoch: int, images: int | None) -> float | None:
    """Return SGD's momentum in an epoch, its mean where a schedule moves it; None for other optimizers."""
    if not isinstance(recipe.optimizer, updates.Sgd):
        return None
    if images is None:
        return recipe.optimizer.momentum
    _, momentum, _ = controls.of_epoch(recipe, epoch=epoch, horizon=controls.horizon(recipe, images=images))
    low, high = float(momentum.min()), float(momentum.max())
    return low if low == high else float(momentum.mean())
