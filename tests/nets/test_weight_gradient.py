"""The compiled gradient of a convolution's weights, against torch's own in float64."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewepochs import seeds
from fewepochs.nets import kernels, layers, resnet
from fewepochs.specs import networks

pytestmark = [
    pytest.mark.usefixtures("compiled"),
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler here"),
]

# images, inputs, height, width, outputs, side of the kernel
SHAPES = [
    pytest.param((9, 16, 32, 32, 16, 3), id="several slabs"),
    pytest.param((3, 64, 16, 16, 16, 1), id="fewer images than pieces"),
    pytest.param((17, 24, 7, 5, 8, 3), id="one vector of inputs left over, odd sides"),
    pytest.param((8, 8, 4, 4, 72, 5), id="more outputs than a task has"),
    pytest.param((1, 8, 2, 300, 8, 3), id="a row longer than a slab"),
    pytest.param((2, 16, 1, 1, 8, 3), id="a kernel wider than the image"),
    pytest.param((16, 128, 8, 8, 64, 1), id="one by one"),
]


@pytest.fixture(autouse=True)
def _whatever_the_processor_and_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(kernels, "WORTH", 1)


def draw(name: str, shape: tuple[int, ...]) -> Tensor:
    values = seeds.uniform(seeds.derive(0, name), math.prod(shape)).reshape(shape) * 4 - 1.5
    tensor = torch.from_numpy(values).to(torch.float32)
    return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor


def drawn(shape: tuple[int, int, int, int, int, int]) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Return input, weights and bias, and a gradient of the output."""
    images, inputs, height, width, outputs, side = shape
    leaves = (
        draw("x", (images, inputs, height, width)),
        draw("weight", (outputs, inputs, side, side)).contiguous(),
        draw("bias", (outputs,)),
    )
    return leaves, draw("upstream", (images, outputs, height, width))


def gradients(shape: tuple[int, int, int, int, int, int]) -> tuple[Tensor, ...]:
    leaves, upstream = drawn(shape)
    y = kernels.convolve(*(leaf.requires_grad_() for leaf in leaves))
    return torch.autograd.grad(y, leaves, upstream)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_float64(shape: tuple[int, int, int, int, int, int]) -> None:
    leaves, upstream = drawn(shape)
    x, weight, bias = exact = [leaf.double().requires_grad_() for leaf in leaves]
    y = F.conv2d(x, weight, bias, padding=shape[-1] // 2)
    expected = torch.autograd.grad(y, exact, upstream.double())
    for found, wanted in zip(gradients(shape), expected, strict=True):
        assert found.shape == wanted.shape
        scale = float(wanted.abs().max())
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_do_not_depend_on_the_number_of_threads(shape: tuple[int, int, int, int, int, int]) -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(gradients(shape)[1:])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


def test_a_nan_in_the_gradient_is_a_nan_in_the_weights_of_its_channel() -> None:
    leaves, upstream = drawn((2, 8, 4, 4, 8, 3))
    upstream[1, 5, 2, 2] = float("nan")
    _, dw, db = torch.autograd.grad(kernels.convolve(*(t.requires_grad_() for t in leaves)), leaves, upstream)
    assert db.isnan().tolist() == [channel == 5 for channel in range(8)]
    assert dw[5].isnan().any()
    assert not dw[[0, 1, 2, 3, 4, 6, 7]].isnan().any()


def test_a_convolution_without_bias_has_none() -> None:
    leaves, upstream = drawn((2, 8, 4, 4, 8, 3))
    with_bias = gradients((2, 8, 4, 4, 8, 3))
    x, weight = (leaf.requires_grad_() for leaf in leaves[:2])
    found = torch.autograd.grad(kernels.convolve(x, weight, None), (x, weight), upstream)
    assert all(torch.equal(one, other) for one, other in zip(found, with_bias, strict=False))


def test_it_is_not_differentiated_twice() -> None:
    (x, weight, bias), upstream = drawn((2, 8, 4, 4, 8, 3))
    y = kernels.convolve(x, weight.requires_grad_(), bias)
    (dw,) = torch.autograd.grad(y, weight, upstream.requires_grad_(), create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        torch.autograd.backward(dw.sum())


REFUSED: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor, int]]] = {
    "bfloat16": lambda x, weight: (x.bfloat16(), weight.bfloat16(), 1),
    "float64": lambda x, weight: (x.double(), weight.double(), 1),
    "stride 2": lambda x, weight: (x, weight, 2),
    "an even side": lambda x, weight: (x, weight[:, :, :2, :2], 1),
    "two sides": lambda x, weight: (x, weight[:, :, :1], 1),
    "9 outputs": lambda x, weight: (x, torch.cat([weight, weight[:1]]), 1),
    "7 inputs": lambda x, weight: (x[:, :7], weight[:, :7], 1),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_it_cannot_take_is_left_to_torch(why: str) -> None:
    (x, weight, _), _ = drawn((2, 8, 4, 4, 8, 3))
    assert kernels.supports_convolution(x, weight, stride=1)
    other, others, stride = REFUSED[why](x, weight)
    assert not kernels.supports_convolution(other, others, stride=stride)


def test_what_is_small_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, weight, _), _ = drawn((2, 8, 4, 4, 8, 3))
    work = 2 * 4 * 4 * 8 * 8 * 9
    for worth, taken in ((work, True), (work + 1, False)):
        monkeypatch.setattr(kernels, "WORTH", worth)
        assert kernels.supports_convolution(x, weight, stride=1) == taken


def test_a_processor_with_avx512_leaves_it_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, weight, _), _ = drawn((2, 8, 4, 4, 8, 3))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not kernels.supports_convolution(x, weight, stride=1)


def test_a_network_with_it_has_the_gradients_of_one_without() -> None:
    """In float64's eyes both are as near: the network's own rounding, many layers deep, is what they differ by."""
    spec = networks.ResNetV2(units=(1, 1), filters=(16, 32), bottleneck=(8, 16), stem=networks.Stem(filters=8))
    image = resnet.ImageShape(8, 8, 3)
    x, labels = draw("images", (12, 3, 8, 8)), torch.arange(12) % 4
    found = {}
    for name, fused, dtype in (("own", True, torch.float32), ("exact", False, torch.float64)):
        network = resnet.build(
            spec, image=image, classes=4, init_seed=1, dropout_seed=1, kernels="fused" if fused else "torch"
        ).to(dtype)
        taken = [m for m in network.modules() if isinstance(m, layers.Conv) and m.fused]
        assert bool(taken) == fused
        loss = F.cross_entropy(network(x.to(dtype)), labels)
        found[name] = torch.autograd.grad(loss, list(network.parameters()))
    for own, exact in zip(found["own"], found["exact"], strict=True):
        scale = max(float(exact.abs().max()), 1e-3)
        torch.testing.assert_close(own.double(), exact, rtol=0, atol=1e-4 * scale)
