"""Twenty training steps of the published recipe, held against the real Keras on the same weights and batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import pytest
import torch

from fewepochs import seeds
from fewepochs.data import loader
from fewepochs.nets import resnet
from fewepochs.specs import base, networks, updates
from fewepochs.train import step as steps
from oracles import keras_resnet

DEPTHS = [20, pytest.param(56, marks=pytest.mark.slow)]
STEPS, BATCH, LR, L2 = 20, 8, 1e-3, 1e-4


@contextmanager
def keras_in(floatx: str) -> Iterator[None]:
    """Let Keras compute in `floatx`."""
    table = keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE
    before = table["float64"]
    # On every backend but TensorFlow, Keras 3.15 promotes float64 to float32 inside BatchNormalization and means.
    # This gives the torch backend TensorFlow's entry in that table.
    table["float64"] = "float64"
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    try:
        yield
    finally:
        table["float64"] = before
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@dataclass(frozen=True)
class Batches:
    """Images uint8 [N, 32, 32, 3] with a pattern for each class, and labels [N]."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def batches() -> Batches:
    """Noise over a pattern that tells classes apart, so that there is something to learn."""
    count = STEPS * BATCH
    labels = (seeds.words(seeds.derive(0, "labels"), count) % np.uint64(10)).astype(np.int64)
    patterns = seeds.uniform(seeds.derive(0, "patterns"), 10 * 3072).reshape(10, 32, 32, 3)
    noise = seeds.uniform(seeds.derive(0, "noise"), count * 3072).reshape(count, 32, 32, 3)
    return Batches((127.0 * (patterns[labels] + noise)).astype(np.uint8), labels)


def program(network: resnet.ResNet, batches: Batches, *, precision: base.Precision) -> steps.TrainingStep:
    part = loader.Part(torch.from_numpy(batches.pixels), torch.from_numpy(batches.labels))
    data = loader.DeviceData(
        train=part, validation=part, test=None, classes=10, white=255, mean=None, std=None, digest="-"
    )
    made = steps.TrainingStep(
        network,
        data=data,
        rules=steps.Rules(optimizer=updates.Adam(lr=LR), regularisation=updates.L2(strength=L2)),
        batch_size=BATCH,
        precision=precision,
    )
    order = torch.arange(len(part))
    controls = np.repeat([[LR], [0.9], [0.0]], STEPS, axis=1)
    made.begin_epoch(loader.EpochPlan(order, None), controls=controls)
    return made


def run_ours(made: steps.TrainingStep) -> list[float]:
    losses, before = [], 0.0
    for _ in range(STEPS):
        made.step(BATCH)
        total = made.totals().loss
        losses.append((total - before) / BATCH)
        before = total
    return losses


def run_keras(model: Any, batches: Batches, *, dtype: str) -> list[float]:
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(LR))
    losses = []
    for k in range(STEPS):
        here = slice(k * BATCH, (k + 1) * BATCH)
        x = batches.pixels[here].astype(dtype) / 255
        losses.append(float(model.train_on_batch(x, np.eye(10, dtype=dtype)[batches.labels[here]])))
    return losses


@dataclass(frozen=True)
class Followed:
    """Both sides' losses in one precision, and what both ended with."""

    ours: list[float]
    theirs: list[float]
    made: steps.TrainingStep
    model: Any


def build(depth: int) -> resnet.ResNet:
    image = resnet.ImageShape(32, 32, 3)
    return resnet.build(networks.ResNetV2(depth=depth), image=image, classes=10, init_seed=0, dropout_seed=0)


def follow(depth: int, precision: Literal["float64", "float32"], batches: Batches) -> Followed:
    made = program(build(depth), batches, precision=precision)
    with keras_in(precision):
        model = keras_resnet.build_v2(depth, l2=L2)
        keras_resnet.set_weights(model, {name: w.numpy().copy() for name, w in made.weights.named().items()})
        theirs = run_keras(model, batches, dtype=precision)
    return Followed(run_ours(made), theirs, made, model)


@pytest.mark.parametrize("depth", DEPTHS)
def test_twenty_steps_follow_keras(depth: int, batches: Batches) -> None:
    exact = follow(depth, "float64", batches)
    assert exact.ours == pytest.approx(exact.theirs, abs=1e-8)
    expected = keras_resnet.weights(exact.model)
    weights = exact.made.weights.named()
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name].numpy(), value, rtol=0, atol=1e-8, err_msg=name)
    buffers = dict(exact.made.network.named_buffers())
    for name, value in keras_resnet.statistics(exact.model).items():
        np.testing.assert_allclose(buffers[name].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("depth", DEPTHS)
def test_each_step_in_float32_has_kerass_loss(depth: int, batches: Batches) -> None:
    """Every step begins where the float64 twin stands, which equals Keras's (above): only one step is rounded.

    Left to itself, float32 drifts: twenty steps of Adam from fresh weights amplify rounding, Keras's own to 0.2%.
    """
    exact, rounded = (program(build(depth), batches, precision=precision) for precision in ("float64", "float32"))
    expected, found = [], []
    for _ in range(STEPS):
        for name, tensor in rounded.state().items():
            tensor.copy_(exact.state()[name])
        rounded.weights.publish()
        before = exact.totals().loss, rounded.totals().loss
        exact.step(BATCH)
        rounded.step(BATCH)
        expected.append(exact.totals().loss - before[0])
        found.append(rounded.totals().loss - before[1])
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_first_steps_in_float32_follow_keras(batches: Batches) -> None:
    rounded = follow(20, "float32", batches)
    assert rounded.ours[:10] == pytest.approx(rounded.theirs[:10], rel=1e-3)
