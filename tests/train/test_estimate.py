"""What is said of a run before it is trained, against the run itself."""

from __future__ import annotations

import pytest
import tiny_runs
import torch

from fewepochs import errors
from fewepochs.nets import resnet
from fewepochs.train import estimate

OPTIMIZERS = [
    "{kind='adam'}",
    "{kind='sgd', momentum=0.9}",
    "{kind='lion'}",
    "{kind='rmsprop', centered=true}",
    "{kind='nadam'}",
    "{kind='lamb'}",
    "{kind='muon', auxiliary={kind='sgd'}}",
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_parameters_steps_and_state_are_those_of_the_run(optimizer: str, precision: str) -> None:
    recipe = tiny_runs.recipe(f"optimizer={optimizer}", f"precision={precision}")
    training = tiny_runs.training(recipe)
    shape = estimate.DataShape(tiny_runs.TRAIN, tiny_runs.TEST, resnet.ImageShape(8, 8, 1), 10)
    found = estimate.estimate(recipe, data=shape)
    program = training.program
    assert found.trainable_parameters == len(program.weights.master)
    assert found.steps_per_epoch == training.horizon.epoch_steps[0]
    assert found.steps == training.horizon.steps
    state = [t for name, t in program.state().items() if name.startswith("optimizer.") and t.dim()]
    assert found.optimizer_bytes == sum(t.nbytes for t in state)


def test_flops_are_counted_by_hand() -> None:
    """A stem, one unit of three convolutions with a shortcut, a dense layer: 2 x multiply-adds, thrice for the step.

    The gradient of the stem's input is not needed: the stem counts twice.
    """
    recipe = tiny_runs.recipe("network={kind='resnet-v2', units=[1], filters=[8], bottleneck=[4], stem={filters=4}}")
    found = estimate.estimate(recipe, data=estimate.DataShape(120, 40, resnet.ImageShape(8, 8, 1), 10))
    pixels = 64
    stem = pixels * 9 * 1 * 4
    unit = pixels * (4 * 4 + 9 * 4 * 4 + 4 * 8 + 4 * 8)
    dense = 8 * 10
    assert found.flops_per_image == 2 * (2 * stem + 3 * (unit + dense))


@pytest.mark.parametrize(
    ("held_out", "batch", "problem"),
    [
        (120, 1, "data.validation.images: leaves nothing to train on (got 120); allowed: 1 to 119"),
        (500, 1, "data.validation.images: leaves nothing to train on (got 500); allowed: 1 to 119"),
        (113, 8, "batch_size: larger than the training set (got 8); allowed: 1 to 7"),
    ],
)
def test_what_cannot_be_trained_is_refused_as_training_refuses_it(held_out: int, batch: int, problem: str) -> None:
    recipe = tiny_runs.recipe(f"data.validation={{kind='held-out', images={held_out}}}", f"batch_size={batch}")
    shape = estimate.DataShape(tiny_runs.TRAIN, tiny_runs.TEST, resnet.ImageShape(8, 8, 1), 10)
    with pytest.raises(errors.RecipeError) as raised:
        estimate.estimate(recipe, data=shape)
    assert str(raised.value.problems[0]) == problem


def test_nothing_is_allocated() -> None:
    before = torch.get_default_device()
    recipe = tiny_runs.recipe("network={kind='resnet-v2', units=[1], filters=[200000], bottleneck=[100000]}")
    shape = estimate.DataShape(120, 40, resnet.ImageShape(8, 8, 1), 10)
    assert estimate.estimate(recipe, data=shape).weights_bytes > 500e9
    assert torch.get_default_device() == before
