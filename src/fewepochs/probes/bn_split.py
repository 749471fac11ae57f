"""One set of weights under three kinds of statistics: how much of a spike is stale statistics, how much the weights.

    moving       as training left them, moving = 0.99 * moving + 0.01 * batch: what every val_loss is computed with
    recomputed   mean and (biased) variance of each channel over all training images, at the weights as they are now
    batch        of the validation batch itself, as BN does in training

Recomputed statistics come from one pass in batches of EVALUATION_BATCH in training mode, pooled: the variance is the
mean of the batches' variances and the variance of their means. A deeper layer sees what the earlier ones make of such
a batch, normalised by itself. Images are unaugmented, as those that are evaluated are; `augmented` takes the recipe's
augmentation with the draws of the moment's epoch instead (never its mixing of pairs). Dropout is off everywhere.

Batches of validation images are drawn by a name and are of nearly equal sizes, so that neither the order in a file nor
a small last one decides: each image is in one of them. Deterministic; one pass over the training images and two over
the validation images for each moment.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fewepochs.data import augment, loader
from fewepochs.probes import moment as moments
from fewepochs.probes.moment import Moment
from fewepochs.probes.scores import BnSplit, Score
from fewepochs.train.step import EVALUATION_BATCH


def split(moment: Moment, *, augmented: bool = False, batch_size: int | None = None) -> BnSplit:
    """Return the scores of the validation images under the three kinds; the moment is left as it was.

    `batch_size` of the validation batches is the recipe's where it is None.
    """
    validation, train, record = moment.data.validation, moment.data.train, moment.record
    fresh = recomputed(moment, augmented=augmented)
    shift = (moment.statistics[0] - fresh[0]).double() / fresh[1].double().sqrt()
    ratio = moment.statistics[1].double() / fresh[1].double()
    with moment.at(statistics=fresh):
        under_fresh = moment.score(validation)
    return BnSplit(
        epoch=moment.epoch,
        steps=moment.steps,
        lr=None if record is None else record.lr_last,
        train_loss=None if record is None else record.loss,
        logged=None if record is None else record.val_loss,
        moving=moment.score(validation),
        recomputed=under_fresh,
        batch=in_batches(moment, validation, batch_size=batch_size or moment.recipe.batch_size),
        mean_shift=_root_mean_square(shift),
        variance_ratio=_median(ratio),
        images=len(train) + 3 * len(validation),
    )


@torch.no_grad()
def recomputed(moment: Moment, *, augmented: bool = False) -> Tensor:
    """Return mean and biased variance [2, C] over all training images at the moment's weights."""
    train = moment.data.train
    draws = _draws(moment) if augmented else None
    with moment.at():
        moment.with_batch_statistics()
        for start in range(0, len(train), EVALUATION_BATCH):
            rows = torch.arange(start, min(start + EVALUATION_BATCH, len(train)), device=train.labels.device)
            x_NCHW = moment.program.inputs(train.pixels[rows], draws=None if draws is None else draws[rows])
            moment.network(x_NCHW)
            moment.program.statistics.pool(batch_size=len(rows), before=start)
        return moment.statistics.clone()


@torch.no_grad()
def in_batches(moment: Moment, part: loader.Part, *, batch_size: int) -> Score:
    """Return the score of `part` in batches of at most `batch_size`, each with its own statistics."""
    moment.with_batch_statistics()
    order = moments.some(part, len(part), seed=moment.recipe.seed, stream="bn-split", counters=(moment.epoch,))
    loss = torch.zeros((), dtype=torch.float64, device=order.device)
    correct = torch.zeros((), dtype=torch.int64, device=order.device)
    for rows in order.tensor_split(-(-len(part) // batch_size)):
        x_NCHW, labels_N = moment.batch(part, rows)
        logits_NK = moment.program.logits(x_NCHW)
        loss += moment.program.loss(logits_NK, labels_N, reduction="sum")
        correct += (logits_NK.argmax(1) == labels_N).sum()
    penalty = float(moment.program.penalty())
    return Score(float(loss) / len(part), penalty, int(correct) / len(part), len(part))


def _draws(moment: Moment) -> augment.Draws | None:
    recipe, train = moment.recipe, moment.data.train
    height, width, _ = moment.data.image
    draws = augment.draw(
        recipe.augmentation,
        seed=recipe.stream_seed("augmentation"),
        epoch=moment.epoch,
        order=np.arange(len(train)),
        height=height,
        width=width,
    )
    return None if draws is None else draws.to(train.labels.device)


def _root_mean_square(values: Tensor) -> float:
    """Return the root mean square of the values that are numbers: a channel that never varies has no shift."""
    return float(values[values.isfinite()].square().mean().sqrt())


def _median(values: Tensor) -> float:
    return float(values[values.isfinite()].median())
