"""A run small enough to be trained many times: a tiny ResNet on some of the digits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from fewepochs import recipe as recipes
from fewepochs import records
from fewepochs.data import loader, sources
from fewepochs.nets.kernels import Kernels
from fewepochs.train import loop

RECIPE = """
name = "tiny"
batch_size = 16
targets = [0.5]

[data]
kind = "digits"

[augmentation]
kind = "shift-flip"

[network]
kind = "resnet-v2"
units = [1, 1]
filters = [8, 16]
bottleneck = [4, 8]
stem = { filters = 4 }

[optimizer]
kind = "adam"
lr = 1e-2

[regularisation]
kind = "l2"

[budget]
epochs = 3
"""
TRAIN, TEST = 120, 40


def recipe(*overrides: str) -> recipes.Recipe:
    return recipes.parse(RECIPE, source="tiny", overrides=overrides)


def data(spec: recipes.Recipe, *, train: int = TRAIN, test: int = TEST, device: str = "cpu") -> loader.DeviceData:
    digits = sources.load("digits")
    few = sources.DataSet(
        kind="digits",
        train=sources.Images(digits.train.pixels[:train], digits.train.labels[:train]),
        test=sources.Images(digits.test.pixels[:test], digits.test.labels[:test]),
        classes=digits.classes,
        white=digits.white,
        digest="0" * 64,
        origin=digits.origin,
        verified=digits.verified,
    )
    return loader.prepare(few, spec=spec.data, device=device)


def training(spec: recipes.Recipe, *, kernels: Kernels = "torch", allow_code: Sequence[str] = ()) -> loop.Training:
    torch.set_num_threads(1)
    device = torch.device("cpu")
    return loop.Training(spec, data=data(spec), device=device, kernels=kernels, allow_code=allow_code)


def finish(run: loop.Training, *, progress: loop.Progress | None = None) -> Sequence[records.EpochRecord]:
    return [record for record, _ in loop.run(run, progress=progress or loop.Progress())]


def state(training: loop.Training) -> dict[str, torch.Tensor]:
    return dict(training.snapshot().tensors)


def assert_same_bits(first: loop.Training, second: loop.Training) -> None:
    ours, theirs = state(first), state(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.numpy().tobytes() == theirs[name].numpy().tobytes(), name
    assert first.plateau == second.plateau


def run_to(training: loop.Training, steps: int) -> list[records.EpochRecord]:
    """Train until `steps` steps are done, by a wish to stop that comes during the last of them."""
    progress = loop.Progress(stop=steps == 0)
    original = training.program.step

    def step(size: int) -> None:
        original(size)
        progress.stop = training.steps + 1 >= steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.program, "step", step)
        return list(finish(training, progress=progress))
