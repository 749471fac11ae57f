"""Networks against the real Keras: parameter counts, outputs, statistics; and what Keras has no word for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

from fewepochs import errors, seeds
from fewepochs.nets import layers, resnet
from fewepochs.specs import networks
from fewepochs.train import weights as flat
from oracles import keras_resnet

IMAGE = resnet.ImageShape(32, 32, 3)
GOLDEN = json.loads((Path(__file__).parent.parent / "goldens" / "keras_parameter_counts.json").read_text())
SPECS = {"resnet-v1": networks.ResNetV1, "resnet-v2": networks.ResNetV2}
COUNTS = [
    (kind, int(depth), count)
    for kind, counts in GOLDEN["trainable_parameters"].items()
    for depth, count in counts.items()
]


def network(spec: networks.Network, *, image: resnet.ImageShape = IMAGE, seed: int = 0) -> resnet.ResNet:
    return resnet.build(spec, image=image, classes=10, init_seed=seed, dropout_seed=0)


def parameters(spec: networks.Network) -> int:
    built = resnet.build(spec, image=IMAGE, classes=10, init_seed=0, dropout_seed=0, device="meta")
    return sum(p.numel() for p in built.parameters())


def images(count: int) -> torch.Tensor:
    pixels = seeds.uniform(seeds.derive(0, "images"), count * 3072).reshape(count, 32, 32, 3) - 0.5
    return torch.from_numpy(pixels.astype(np.float32))


@pytest.mark.parametrize(("kind", "depth", "count"), COUNTS)
def test_parameters_are_as_many_as_keras_builds(kind: str, depth: int, count: int) -> None:
    assert parameters(SPECS[kind](depth=depth)) == count


def test_resnet56v2_has_the_published_1663338_parameters() -> None:
    assert parameters(networks.ResNetV2(depth=56)) == 1_663_338


@pytest.mark.parametrize(
    ("spec", "build"),
    [(networks.ResNetV1(depth=20), keras_resnet.build_v1), (networks.ResNetV2(depth=20), keras_resnet.build_v2)],
)
def test_outputs_and_statistics_equal_keras(spec: networks.Network, build: Any) -> None:
    """Inference before, ten training passes, inference after: the passes move BN's statistics on both sides."""
    ours, theirs = network(spec), build(20)
    statistics = flat.MovingStatistics(ours, dtype=torch.float32, momentum=0.99)
    keras_resnet.set_weights(theirs, {name: p.detach().numpy() for name, p in ours.named_parameters()})
    x_NHWC = images(8)

    def compare(*, training: bool) -> None:
        ours.train(training)
        with torch.no_grad():
            softmax = torch.softmax(ours(x_NHWC.permute(0, 3, 1, 2)), dim=1)
            expected = keras.ops.convert_to_numpy(theirs(x_NHWC, training=training))
        if training:
            statistics.update(batch_size=8, live=torch.tensor(1.0))
        np.testing.assert_allclose(softmax, expected, rtol=1e-5, atol=2e-6)

    compare(training=False)
    for _ in range(10):
        compare(training=True)
    compare(training=False)
    buffers = dict(ours.named_buffers())
    for name, value in keras_resnet.statistics(theirs).items():
        np.testing.assert_allclose(buffers[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("side", [7, 8])
def test_same_padding_is_keras_same_padding(kernel: int, stride: int, side: int) -> None:
    conv = layers.Conv(3, 4, kernel=kernel, stride=stride)
    weight = torch.from_numpy(seeds.uniform(seeds.derive(0, "kernel"), 12 * kernel**2)).float()
    conv.weight.data = weight.view(4, 3, kernel, kernel) - 0.5
    x_NHWC = images(1)[:, :side, :side]
    theirs = keras.ops.conv(
        x_NHWC, conv.weight.detach().permute(2, 3, 1, 0).contiguous(), strides=stride, padding="same"
    )
    ours = conv(x_NHWC.permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1)
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(theirs), rtol=0, atol=1e-5)


def test_he_normal_has_keras_spread_and_bounds() -> None:
    draws = layers.he_normal(seeds.derive(0, "init", "x"), shape=(64, 64, 3, 3))
    fan_in = 64 * 9
    assert draws.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.01)
    assert abs(draws).max() <= 2 * np.sqrt(2 / fan_in) / layers.TRUNCATED_STD
    theirs = keras.ops.convert_to_numpy(keras.initializers.HeNormal(seed=0)((3, 3, 64, 64)))
    assert draws.std() == pytest.approx(theirs.std(), rel=0.02)
    # Not the maximum: Keras's torch backend lets a few draws in a million out of the bounds that TensorFlow keeps.
    assert np.quantile(abs(draws), 0.99) == pytest.approx(np.quantile(abs(theirs), 0.99), rel=0.01)


def test_initial_weights_are_named_by_seed_and_parameter() -> None:
    spec = networks.ResNetV2(depth=11)
    first, same, other = network(spec), network(spec), network(spec, seed=1)
    named = dict(same.named_parameters())
    assert all(torch.equal(p, named[name]) for name, p in first.named_parameters())
    assert not torch.equal(first.stem.weight, other.stem.weight)
    # A layer's draws do not depend on what else the network has.
    deeper = dict(network(networks.ResNetV2(depth=20)).named_parameters())
    assert torch.equal(named["units.0.conv1.weight"], deeper["units.0.conv1.weight"])


@pytest.mark.parametrize(
    "spec",
    [
        networks.ResNetV2(units=(1, 2), filters=(8, 12), bottleneck=(4, 6), shortcut_kernels=(3, 5)),
        networks.ResNetV1(units=(2, 1, 1, 1), filters=(8, 8, 16, 24), conv_bias=False),
        networks.ResNetV2(depth=11, activation="silu", stem=networks.Stem(filters=8, kernel=5, stride=2), dropout=0.5),
        networks.ResNetV1(depth=8, activation="gelu"),
        networks.ResNetV2(depth=11, activation="elu"),
    ],
)
def test_free_shapes_train_and_evaluate(spec: networks.Network) -> None:
    net = network(spec)
    x = images(4).permute(0, 3, 1, 2)
    logits = net.train()(x)
    gradients = torch.autograd.grad(logits.square().sum(), list(net.parameters()))
    assert logits.shape == (4, 10)
    assert all(g.isfinite().all() for g in gradients)
    assert net.eval()(x).shape == (4, 10)
    assert any(".bias" in name and "conv" in name for name, _ in net.named_parameters()) == spec.conv_bias


def test_images_too_small_for_the_stages_are_refused_with_the_way_out() -> None:
    with pytest.raises(errors.RecipeError, match=r"network\.filters: 5 stages halve the image 4 times.*fewer stages"):
        network(networks.ResNetV1(units=(1,) * 5, filters=(8,) * 5), image=resnet.ImageShape(8, 8, 1))


def test_dropout_is_a_function_of_key_and_step() -> None:
    def mask(*, key: int, step: int) -> torch.Tensor:
        layer = layers.Dropout(0.25, key=key)
        layer.step = torch.tensor(step)
        result: torch.Tensor = layer.train()(torch.ones(400, 100))
        return result

    assert torch.equal(mask(key=1, step=5), mask(key=1, step=5))
    assert not torch.equal(mask(key=1, step=5), mask(key=1, step=6))
    assert not torch.equal(mask(key=1, step=5), mask(key=2, step=5))
    values = mask(key=3, step=0)
    assert sorted({*values.flatten().tolist()}) == pytest.approx([0.0, 1 / 0.75])
    assert (values == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layers.Dropout(0.25, key=1).eval()(torch.ones(5)), torch.ones(5))


def test_mix_is_splitmix64() -> None:
    """Against the published finaliser, in Python's own integers."""

    def slow(z: int) -> int:
        mask = (1 << 64) - 1
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    words = [0, 1, 12345, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
    signed = torch.tensor([w - (1 << 64) if w >> 63 else w for w in words])
    assert [w % (1 << 64) for w in layers.mix(signed).tolist()] == [slow(w) for w in words]
