"""Every shipped recipe trains: two steps on real CIFAR-10 images, in float32 and bfloat16.

bfloat16 is slow where the processor has no instructions for it: all but one of its cases are run with `-m slow`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from fewepochs import recipe as recipes
from fewepochs.data import loader, sources
from fewepochs.specs import base
from fewepochs.train import loop

SAMPLE = Path(__file__).parent.parent / "data" / "cifar10_sample.npz"
SHIPPED = [name for name in recipes.shipped_names() if recipes.load(name).data.kind == "cifar10"]
ALWAYS = "fewest"
EVERY = [
    pytest.param(name, precision, marks=[pytest.mark.slow] if precision == "bfloat16" and name != ALWAYS else [])
    for name in SHIPPED
    for precision in ("float32", "bfloat16")
]
DATA = os.environ.get("FEWEPOCHS_TEST_DATA")


@pytest.fixture(scope="module")
def sample() -> sources.DataSet:
    return sources.load("npz", where=SAMPLE)


def train(name: str, dataset: sources.DataSet, precision: str, *overrides: str, steps: int) -> loop.Training:
    recipe = recipes.load(name, overrides=(f"precision={precision}", *overrides))
    data = loader.prepare(dataset, spec=recipe.data)
    training = loop.Training(recipe, data=data, device=torch.device("cpu"))
    training.program.begin_epoch(loop.plan(training, epoch=1), controls=loop._controls(training, epoch=1))
    for _ in range(steps):
        training.program.step(training.batch_sizes[0])
    return training


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_two_steps_on_real_images(name: str, precision: base.Precision, sample: sources.DataSet) -> None:
    training = train(name, sample, precision, "batch_size=16", steps=2)
    totals = training.program.totals()
    assert totals.diverged_at is None
    assert totals.images == 32
    assert 1.0 < totals.loss / totals.images < 100.0
    before = train(name, sample, precision, "batch_size=16", steps=0).program.weights.master
    # Every tensor is trained; a rate of 0 in the first step of a warm-up leaves the second.
    assert all(
        (new != old).any()
        for new, old in zip(
            training.program.weights.layout.parts(training.program.weights.master).values(),
            training.program.weights.layout.parts(before).values(),
            strict=True,
        )
    )


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="FEWEPOCHS_TEST_DATA names no folder with CIFAR-10")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_two_steps_of_the_recipes_own_batch(name: str, precision: base.Precision) -> None:
    dataset = sources.load("cifar10", where=Path(str(DATA)))
    totals = train(name, dataset, precision, steps=2).program.totals()
    assert totals.diverged_at is None
    assert totals.images == 2 * recipes.load(name).batch_size


def test_the_sample_is_of_cifar10(sample: sources.DataSet) -> None:
    assert sample.train.pixels.shape == (32, 32, 32, 3)
    assert sorted(set(sample.train.labels.tolist())) == list(range(10))
