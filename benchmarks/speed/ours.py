"""fewepochs' own step, as its loop calls it, and the parts of an epoch around the steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import turns
from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.data import loader, sources
from fewepochs.nets import kernels
from fewepochs.train import environment, estimate, loop, step

EVALUATED = step.EVALUATION_BATCH


class Ours:
    """The published recipe, with its augmentation and without, on the same images."""

    def __init__(self, peer: turns.Peer, *, data: Path | None) -> None:
        torch.set_num_threads(len(peer.cores))
        environment.keep_freed_memory()
        self._overrides = (f"precision={peer.precision}", f"batch_size={peer.batch}", f"network.depth={peer.depth}")
        recipe = recipes.load(turns.RECIPE, overrides=self._overrides)
        dataset = sources.load(recipe.data.kind, where=data)
        self._data = loader.prepare(dataset, spec=recipe.data)
        self._origin, self._kernels = dataset.kind, kernels.available()
        self._trainings = {True: self._training(recipe)}
        self._rounds = 0

    def first_step(self) -> None:
        """Do one training step."""
        self.round(steps=1, augmented=True, evaluated=0)

    def step(self) -> None:
        """Do the next step, and nothing else, of the epoch that was begun last, with augmentation."""
        training = self._trainings[True]
        training.program.step(training.recipe.batch_size)

    def facts(self) -> dict[str, Any]:
        """Return parameters, FLOPs of a step, and the environment."""
        training = self._trainings[True]
        needs = estimate.estimate(training.recipe, data=estimate.KNOWN_SHAPES["cifar10"])
        where = environment.collect(
            device=torch.device("cpu"), kernels=self._kernels, data_digest=self._data.digest, data_origin=self._origin
        )
        del where["command"]  # it holds the paths of the machine
        return {
            "trainable_parameters": sum(p.numel() for p in training.program.weights.parameters),
            "flops_per_step": needs.flops_per_step,
            "environment": where,
            "versions": {"torch": torch.__version__},
        }

    def round(self, *, steps: int, augmented: bool, evaluated: int = EVALUATED) -> dict[str, float]:
        """Plan an epoch, do the first `steps` of it, evaluate so many images: seconds of each."""
        training = self._of(augmented=augmented)
        recipe, program = training.recipe, training.program
        epoch = 1 + self._rounds % recipe.budget.epochs
        self._rounds += 1
        begin = time.perf_counter()
        rates = controls.of_epoch(recipe, epoch=epoch, horizon=training.horizon)
        program.begin_epoch(loop.plan(training, epoch=epoch), controls=rates)
        planned = time.perf_counter()
        for _ in range(steps):
            program.step(recipe.batch_size)
        program.totals()  # on the CPU nothing is left to wait for; it is the reading that ends an epoch
        trained = time.perf_counter()
        if evaluated:
            test = self._data.validation
            program.evaluate(loader.Part(test.pixels[:evaluated], test.labels[:evaluated]), done=1.0)
        return {"seconds": trained - planned, "plan": planned - begin, "evaluation": time.perf_counter() - trained}

    def _of(self, *, augmented: bool) -> loop.Training:
        """Return the training with or without augmentation; the second is made when it is first asked for."""
        if augmented not in self._trainings:
            recipe = recipes.load(turns.RECIPE, overrides=(*self._overrides, "augmentation={kind='none'}"))
            self._trainings[augmented] = self._training(recipe)
        return self._trainings[augmented]

    def _training(self, recipe: recipes.Recipe) -> loop.Training:
        return loop.Training(recipe, data=self._data, device=torch.device("cpu"), kernels=self._kernels)
