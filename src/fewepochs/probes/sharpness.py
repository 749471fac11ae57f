"""Sharpness: the largest eigenvalue of the Hessian of training and validation loss at the moments of a run.

    for row in measure(run, bench=bench, settings=Settings()):
        row.training.value, 2 / row.lr

Losses are those of `surface`: images without augmentation, the same at every moment. The loss contains the L2 penalty,
as in training, unless left out; it adds at least 0 and at most twice its strength to an eigenvalue. With BN's stored
statistics the loss is a fixed function of the weights, and so it is with "recomputed" ones, those of all training
images at the moment, held while it is differentiated; with "batch" it is the mean of the losses of batches of the
recipe's size, which is what training descends.

For Adam and AdamW the training loss's Hessian is also taken as Adam sees it, D^-1/2 H D^-1/2 with D of the moment (see
`edge`), and always with the batches' own statistics and the penalty: it is about the function that Adam descends. To a
bias in front of a batch normalisation that function is blind, Adam's v is all but 0 there, and with stored statistics,
for which the bias counts, D^-1/2 would blow that up without bound. A decay that is not part of the loss moves the edge
by its own strength and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from fewepochs import store
from fewepochs.data import loader
from fewepochs.probes import bench as benches
from fewepochs.probes import edge, lanczos, last_step
from fewepochs.probes import moment as moments
from fewepochs.probes import surface as surfaces
from fewepochs.probes.surface import Surface
from fewepochs.specs import updates

STATISTICS: Mapping[edge.Statistics, surfaces.Statistics] = {
    "stored": "stored",
    "recomputed": "fresh",
    "batch": "batch",
}
"""What the surface is to take; it would recompute others at each point."""


def measure(
    run: store.StoredRun, *, bench: benches.Bench, settings: edge.Settings, epochs: Sequence[int] | None = None
) -> Iterator[edge.Row]:
    """Yield the sharpness at each moment of `run`, or at those after `epochs`. Raises CheckpointError, DataError."""
    for moment in moments.moments(run, bench=bench, epochs=epochs):
        yield at(moment, settings=settings)


def at(moment: moments.Moment, *, settings: edge.Settings) -> edge.Row:
    """Return the sharpness at `moment`; at most 3 (settings.most_steps + 1) products with a Hessian."""
    surface = Surface(moment, images=settings.images, seed=settings.seed, statistics=STATISTICS[settings.statistics])
    lr, momentum = last_step.rate_and_momentum(moment)
    return edge.Row(
        epoch=moment.epoch,
        steps=moment.steps,
        lr=lr,
        momentum=momentum,
        training=_top(surface, surface.training, settings=settings, epoch=moment.epoch),
        validation=_top(surface, surface.validation, settings=settings, epoch=moment.epoch),
        preconditioned=_seen_by_adam(moment, settings=settings, momentum=momentum),
        threshold=edge.threshold(moment.recipe.optimizer, lr=lr, momentum=momentum),
    )


def penalty_adds(run: store.StoredRun, *, settings: edge.Settings) -> float:
    """Return the most that the L2 penalty adds to an eigenvalue that is measured with it."""
    regularisation = store.trained(run).regularisation
    strength = regularisation.strength if isinstance(regularisation, updates.L2) else 0.0
    return 2.0 * strength if settings.penalty else 0.0


def _top(
    surface: Surface, part: loader.Part, *, settings: edge.Settings, epoch: int, scale: Tensor | None = None
) -> edge.Eigenvalue:
    def product(vector: Tensor) -> Tensor:
        if scale is None:
            return surface.product(part, vector, penalty=settings.penalty)
        return scale * surface.product(part, scale * vector, penalty=settings.penalty)

    found = lanczos.top(
        product,
        start=lanczos.start_vector(settings.seed, "sharpness", epoch, size=len(surface.origin)).to(surface.origin),
        tolerance=settings.tolerance,
        most_steps=settings.most_steps,
    )
    [pair] = found.pairs
    return edge.Eigenvalue(pair.value, pair.error, found.lowest, found.products, found.settled)


def _seen_by_adam(moment: moments.Moment, *, settings: edge.Settings, momentum: float) -> edge.Eigenvalue | None:
    divisor = last_step.divisor(moment, momentum=momentum)
    if divisor is None:
        return None
    surface = Surface(moment, images=settings.images, seed=settings.seed, statistics="batch")
    asked = replace(settings, penalty=True)
    return _top(surface, surface.training, settings=asked, epoch=moment.epoch, scale=divisor.rsqrt())
