"""The gradient noise scale: at which batch size a gradient's noise is as large as the gradient.

    B_simple = tr(Sigma) / |G|^2        Sigma: covariance of one image's gradient, G: the gradient over all images

Of n draws of m batches of b images each, g_di a batch's gradient and g_d a draw's mean, both estimates are unbiased:

    tr(Sigma)   = b * mean_d sum_i |g_di - g_d|^2 / (m - 1)
    |G|^2       = mean over pairs d != e of g_d . g_e

Within a draw the first is what McCandlish et al. compute from a small batch, b, and a large one, m * b, the mean of the
small ones (2018, arXiv:1812.06162, appendix A.1). Pairs of draws give the second a smaller error than theirs. Means of
numerator and denominator are taken apart, then their ratio; its interval is from resamples of the draws, in which a
draw is never its own partner.

What noise does to the weights hangs on the optimizer. A step that repeats the random part of one batch's gradient until
the momentum has taken it all up has, root mean square, the length

    SGD     lr / (1 - momentum) * sqrt(tr(Sigma) / B)
    Adam    lr * sqrt(tr(D^-1 Sigma D^-1) / B)              D: what it divides by (see `last_step`)

B being the recipe's batch. For SGD its square is lr / (1 - m) times g = lr N / (B (1 - m)), but for Sigma and N. Where
a gradient is nearly all noise Adam's D is the noise itself, and the length lr sqrt(P) for P weights at any batch size.

Images are drawn from the training set with replacement, so that the gradients of batches are independent and G is
that of the whole training set. They are augmented with draws of their own, without mixing of pairs, and BN is in
training mode: G is then the mean gradient of batches of b images, and Sigma/b their covariance, whatever BN makes of a
batch; at another b both are a little different. Dropout's mask is another one in each batch. The gradient is of the
whole loss: the L2 penalty is part of G, where it points as it does in training, and has no noise. Weight decay that is
no part of the loss, clipping and the optimizer are not seen. `layers` are what has weights: a convolution, a BN, the
dense layer, weights and bias together.

A moment costs draws * m * b images forward and backward, and memory for `draws` gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewepochs import seeds
from fewepochs.data import augment
from fewepochs.errors import Problem, RecipeError
from fewepochs.probes import last_step
from fewepochs.probes.moment import Moment
from fewepochs.probes.scores import GradientNoise, Scale, StepNoise
from fewepochs.specs import updates
from fewepochs.stats import resampling

DRAWS, FEWEST_DRAWS = 16, 4
IMAGES = 8192
CONFIDENCE = 0.95
REPLICATES = 2000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How much is measured: `draws` of `batches` batches of `batch_size` images."""

    draws: int
    batches: int
    batch_size: int


@dataclass(frozen=True)
class Found:
    """By draw and segment: `spread` [n, L], sum_i |g_di - g_d|^2 / (m - 1), and `products` [L, n, n], g_d . g_e.

    `divided` [n] is the spread of gradients over what the optimizer divides by, of all segments.
    """

    spread: Values
    products: Values
    divided: Values


def plan(*, images: int, batch_size: int) -> Plan:
    """Return how to spend `images` images, or less, of forward and backward on batches of `batch_size`.

    Raises RecipeError where they are too few for FEWEST_DRAWS draws of two batches.
    """
    draws = min(DRAWS, images // (2 * batch_size))
    if draws < FEWEST_DRAWS:
        least = f"{2 * FEWEST_DRAWS * batch_size} and more at batches of {batch_size}"
        raise RecipeError("command line", (Problem("--images", "too few to tell noise", str(images), least),))
    return Plan(draws, images // (draws * batch_size), batch_size)


def measure(moment: Moment, *, images: int = IMAGES, batch_size: int | None = None) -> GradientNoise:
    """Return the gradient noise scale at `moment`, which is left as it was; `batch_size` is the recipe's where None."""
    asked = plan(images=images, batch_size=batch_size or moment.recipe.batch_size)
    sizes = moment.program.weights.layout.sizes
    lr, momentum = last_step.rate_and_momentum(moment)
    found = _found(moment, plan=asked, divisor=last_step.divisor(moment, momentum=momentum))
    key = (moment.recipe.seed, "gradient-noise", moment.epoch)
    reach = _reach(moment.recipe.optimizer, lr=lr, momentum=momentum)
    share = asked.batch_size / moment.recipe.batch_size
    record = moment.record
    return GradientNoise(
        epoch=moment.epoch,
        steps=moment.steps,
        lr=None if record is None else record.lr_last,
        batch_size=asked.batch_size,
        batches=asked.batches,
        draws=asked.draws,
        whole=scale(found, batch_size=asked.batch_size, name=key),
        layers={
            layer: scale(_part(found, parts), batch_size=asked.batch_size, name=key)
            for layer, parts in _layers(moment, list(sizes)).items()
        },
        step=None if reach is None else _length(reach**2 * share * found.divided, name=key),
    )


def _found(moment: Moment, *, plan: Plan, divisor: Tensor | None) -> Found:
    steps = moment.program.state()["count.steps"]
    before = steps.clone()
    try:
        return collect(
            lambda draw, batch: _gradient(moment, draw=draw, batch=batch, size=plan.batch_size),
            plan=plan,
            segments=list(moment.program.weights.layout.sizes.values()),
            divisor=divisor,
        )
    finally:
        steps.copy_(before)


def _reach(optimizer: updates.Optimizer, *, lr: float, momentum: float) -> float | None:
    """Return how far a step goes that repeats a gradient, over what it is divided by, for ever: in its lengths."""
    match optimizer:
        case updates.Adam() | updates.AdamW():
            return lr
        case updates.Sgd():
            return lr / (1 - momentum)
        case (
            updates.Nadam() | updates.RmsProp() | updates.Lion() | updates.Lamb() | updates.Muon()
            | updates.ScheduleFreeSgd() | updates.ScheduleFreeAdamW() | updates.PythonOptimizer()
        ):  # fmt: skip
            return None
        case _:
            assert_never(optimizer)


def _length(squares: Values, *, name: Sequence[int | str]) -> StepNoise:
    """Return the root of the mean of squared lengths [n], with the interval of resamples drawn by `name`."""
    draws = len(squares)
    counts = np.concatenate(resampling.blocks(draws, tuple(name), REPLICATES)).astype(np.float64)
    value = float(np.sqrt(squares.mean()))
    low, high, _ = resampling.interval(np.sqrt(counts @ squares / draws), n=draws, value=value, confidence=CONFIDENCE)
    return StepNoise(value, low, high)


def collect(
    gradient: Callable[[int, int], Tensor], *, plan: Plan, segments: Sequence[int], divisor: Tensor | None = None
) -> Found:
    """Return spread and products of the gradients [P] of each draw's batches; `segments` of P are told apart.

    `divisor` [P] is what the optimizer divides them by; 1 where it is None. Sums of squares are in float64, by
    Welford's update: gradients that are all alike have a spread of exactly 0.
    """
    means, spread, divided = list[Tensor](), np.zeros((plan.draws, len(segments))), np.zeros(plan.draws)
    for draw in range(plan.draws):
        first = gradient(draw, 0)
        mean, kind = first.double(), first.dtype
        squares = torch.zeros_like(mean)
        for batch in range(1, plan.batches):
            new = gradient(draw, batch).double()
            delta = new - mean
            mean += delta / (batch + 1)
            squares += delta * (new - mean)
        squares /= plan.batches - 1
        means.append(mean.to(kind))
        over = squares if divisor is None else squares / divisor.double() ** 2
        sums = torch.stack([*(part.sum() for part in torch.split(squares, list(segments))), over.sum()]).cpu().numpy()
        spread[draw], divided[draw] = sums[:-1], sums[-1]
    rows = [
        torch.stack(part).double() for part in zip(*(torch.split(mean, list(segments)) for mean in means), strict=True)
    ]
    return Found(spread, np.stack([(row @ row.T).cpu().numpy() for row in rows]), divided)


def scale(found: Found, *, batch_size: int, name: Sequence[int | str]) -> Scale:
    """Return the scale of all segments of `found` together, with the interval of resamples drawn by `name`."""
    spread, products = found.spread.sum(1), found.products.sum(0)
    draws = len(spread)
    noise, signal = batch_size * float(spread.mean()), _signal(products, np.ones((1, draws)))[0]
    if not signal > 0:
        return Scale(noise, float(signal), None, None, None)
    counts = np.concatenate(resampling.blocks(draws, tuple(name), REPLICATES)).astype(np.float64)
    above, below = batch_size * (counts @ spread) / draws, _signal(products, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(below > 0, above / below, math.inf)
    value = noise / float(signal)
    low, high, _ = resampling.interval(ratios, n=draws, value=value, confidence=CONFIDENCE)
    return Scale(noise, float(signal), value, low, high)


def _signal(products: Values, counts: Values) -> Values:
    """Return the mean product of pairs of different draws, each draw standing `counts` [R, n] times in a resample."""
    own, total = np.diag(products), counts.sum(1)
    squares = counts**2
    pairs = (counts @ products * counts).sum(1) - squares @ own
    weights = total**2 - squares.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weights > 0, pairs / weights, -math.inf)


def _part(found: Found, segments: Sequence[int]) -> Found:
    return Found(found.spread[:, segments], found.products[segments], found.divided)


def _layers(moment: Moment, names: Sequence[str]) -> dict[str, list[int]]:
    """Return for each layer, from the images to the classes, where its weights stand in `names`."""
    layers: dict[str, list[int]] = {}
    for name, _ in moment.network.named_parameters():
        layers.setdefault(name.rpartition(".")[0], []).append(names.index(name))
    return layers


def _gradient(moment: Moment, *, draw: int, batch: int, size: int) -> Tensor:
    """Return the gradient [P] of a batch that hangs on its name alone: seed, epoch, draw and number."""
    train, recipe = moment.data.train, moment.recipe
    name = (moment.epoch, draw, batch)
    uniform = seeds.uniform(seeds.derive(recipe.stream_seed("order"), "gradient-noise", *name), size)
    rows = torch.from_numpy((uniform * len(train)).astype(np.int64)).to(train.labels.device)
    height, width, _ = moment.data.image
    key = seeds.derive(recipe.stream_seed("augmentation"), "gradient-noise", *name)
    draws = augment.draw(
        recipe.augmentation, seed=key, epoch=moment.epoch + 1, order=rows.cpu().numpy(), height=height, width=width
    )
    x_NCHW = moment.program.inputs(train.pixels[rows], draws=None if draws is None else draws.to(rows.device))
    moment.program.state()["count.steps"].fill_(seeds.derive(recipe.seed, "gradient-noise", *name) % (1 << 62))
    return moment.gradient(x_NCHW, train.labels[rows], training=True, penalty=True)
