"""The loss surface of a moment: losses, gradients and products with the Hessian, at any weights, on the same images.

It is the mean cross-entropy of images without augmentation, labels smoothed as in training, as a function of the
weights; the L2 penalty is given by itself. What BN normalises with is part of the function's definition:

    stored      the moment's moving statistics, wherever the weights are: a fixed function of the weights, that of the
                evaluation at the moment, but wrong away from it
    fresh       those of all training images at the moment, wherever the weights are: a fixed function, too, that of an
                evaluation without stale statistics
    recomputed  at each point those of the training images drawn, pooled as for averaged weights
    batch       each batch's own, as in training: mean over batches of the recipe's size

The surface has a program of its own, in float32 at least and with torch's kernels, which can be differentiated twice;
the moment is left alone. Nothing is dropped. Images are drawn by name: the same number, the same images, in every run
on the same data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from fewepochs import recipe as recipes
from fewepochs.data import loader
from fewepochs.nets import layers
from fewepochs.probes import moment as moments
from fewepochs.specs import updates
from fewepochs.train import loop
from fewepochs.train import step as programs

Statistics = Literal["stored", "fresh", "recomputed", "batch"]
FIXED: tuple[Statistics, ...] = ("stored", "fresh")
"""Statistics that do not move with the weights."""


class Surface:
    """The surfaces of training and validation loss around `moment`, on at most `images` images of each part."""

    def __init__(self, moment: moments.Moment, *, images: int, seed: int, statistics: Statistics) -> None:
        recipe = moment.recipe
        training = loop.Training(_bare(recipe), data=moment.data, device=moment.weights.device)
        self.program = training.program
        self.origin = moment.weights.clone()
        self.training = _some(moment.data.train, images, seed=seed, name="training")
        self.validation = _some(moment.data.validation, images, seed=seed, name="validation")
        self._statistics: Statistics = statistics
        self._held = moment.statistics.clone()
        self._batch_size = recipe.batch_size if statistics == "batch" else programs.EVALUATION_BATCH
        regularisation = recipe.regularisation
        self.strength, self._penalised = 0.0, 0
        if isinstance(regularisation, updates.L2):
            self.strength = regularisation.strength
            self._penalised = self.program.weights.layout.touched(regularisation.on)
        self._publish(self.origin)
        if statistics == "fresh":
            self._pool(moment.data.train)
            self._held = self.program.statistics.moving.clone()
        self.move(self.origin)

    @torch.no_grad()
    def move(self, weights: Tensor) -> None:
        """Go to `weights` [P]; statistics that are to be recomputed are taken there."""
        self._publish(weights)
        self.program.statistics.moving.copy_(self._held)
        if self._statistics == "recomputed":
            self._pool(self.training)

    @torch.no_grad()
    def losses(self, part: loader.Part) -> Tensor:
        """Return each image's cross-entropy here: float64 [N]."""
        self._set_mode(training=self._statistics == "batch")
        return torch.cat(
            [
                self.program.loss(self.program.logits(x_NCHW), labels_N, reduction="none").double()
                for _, x_NCHW, labels_N in self._batches(part)
            ]
        )

    @torch.no_grad()
    def penalty(self) -> float:
        """Return the L2 penalty here."""
        return float(self.program.penalty())

    def gradient(self, part: loader.Part) -> Tensor:
        """Return the gradient [P] of the mean loss here, without the penalty's.

        Where statistics are recomputed it is that of batches with their own: the statistics move with the weights.
        """
        self._set_mode(training=self._statistics not in FIXED)
        total = torch.zeros_like(self.origin)
        for _, x_NCHW, labels_N in self._batches(part):
            total += self.program.gradient(x_NCHW, labels_N) * (len(labels_N) / len(part))
        return total

    def product(self, part: loader.Part, vector: Tensor, *, penalty: bool = True) -> Tensor:
        """Return the Hessian of the mean loss here times `vector` [P], by differentiating twice."""
        self._set_mode(training=self._statistics not in FIXED)
        weights = self.program.weights
        total = torch.zeros_like(vector)
        for _, x_NCHW, labels_N in self._batches(part):
            loss = self.program.loss(self.program.logits(x_NCHW), labels_N)
            first = torch.autograd.grad(loss, weights.parameters, create_graph=True)
            second = torch.autograd.grad(first, weights.parameters, weights.shaped(vector), materialize_grads=True)
            total += weights.gather(second) * (len(labels_N) / len(part))
        if penalty and self.strength:
            total[: self._penalised] += 2.0 * self.strength * vector[: self._penalised]
        return total

    @torch.no_grad()
    def _publish(self, weights: Tensor) -> None:
        self.program.weights.master.copy_(weights)
        self.program.weights.publish()

    @torch.no_grad()
    def _pool(self, part: loader.Part) -> None:
        """Take the statistics of the images of `part` at the weights as they are."""
        self._set_mode(training=True)
        for start, x_NCHW, _ in self._batches(part):
            self.program.logits(x_NCHW)
            self.program.statistics.pool(batch_size=len(x_NCHW), before=start)

    def _batches(self, part: loader.Part) -> Iterator[tuple[int, Tensor, Tensor]]:
        for start in range(0, len(part), self._batch_size):
            rows = slice(start, start + self._batch_size)
            yield start, self.program.inputs(part.pixels[rows]), part.labels[rows]

    def _set_mode(self, *, training: bool) -> None:
        self.program.network.train(training)
        for module in self.program.network.modules():
            if isinstance(module, layers.Dropout):
                module.eval()


def _bare(recipe: recipes.Recipe) -> recipes.Recipe:
    """Return the recipe of the same loss with the smallest optimizer, in a precision that bears second derivatives."""
    wide = "float64" if recipe.precision == "float64" else "float32"
    return recipe.model_copy(update={"precision": wide, "optimizer": updates.Sgd(), "averaging": updates.NoAveraging()})


def _some(part: loader.Part, images: int, *, seed: int, name: str) -> loader.Part:
    rows = moments.some(part, images, seed=seed, stream="surface", counters=(name,))
    return loader.Part(part.pixels[rows], part.labels[rows])
