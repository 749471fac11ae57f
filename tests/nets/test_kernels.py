"""The compiled batch normalisation against torch's own, and against float64."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

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

SHAPES = [(4, 16, 32, 32), (3, 64, 7, 5), (2, 33, 6, 6), (5, 1, 4, 4), (1, 256, 2, 3), (7, 100, 1, 1)]


def draw(name: str, shape: tuple[int, ...], *, dtype: torch.dtype = torch.float32) -> Tensor:
    values = seeds.uniform(seeds.derive(0, name), math.prod(shape)).reshape(shape) * 4 - 1.5
    tensor = torch.from_numpy(values).to(dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor


def fused(x: Tensor, gamma: Tensor, beta: Tensor, *, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    mean, variance = torch.zeros_like(gamma), torch.ones_like(gamma)
    y = kernels.normalise(x, gamma, beta, mean=mean, variance=variance, epsilon=layers.BN_EPSILON, relu=relu)
    return y, mean, variance


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_equal_float64(shape: tuple[int, ...], dtype: torch.dtype, relu: bool) -> None:
    channels = shape[1]
    x = draw("x", shape, dtype=dtype).requires_grad_()
    gamma, beta = (draw(name, (channels,)).requires_grad_() for name in ("gamma", "beta"))
    upstream = draw("upstream", shape, dtype=dtype)
    y, mean, variance = fused(x, gamma, beta, relu=relu)
    gradients = torch.autograd.grad(y, (x, gamma, beta), upstream)

    exact = [t.detach().double().requires_grad_() for t in (x, gamma, beta)]
    expected = F.batch_norm(exact[0], None, None, exact[1], exact[2], training=True, eps=layers.BN_EPSILON)
    expected = F.relu(expected) if relu else expected
    wanted = torch.autograd.grad(expected, exact, upstream.double())

    rounding = 1e-2 if dtype == torch.bfloat16 else 3e-6
    assert torch.equal(y.sign(), expected.to(dtype).sign()) or not relu or dtype == torch.bfloat16
    for name, ours, theirs, bound in (
        ("y", y, expected, rounding),
        ("dx", gradients[0], wanted[0], rounding),
        ("dgamma", gradients[1], wanted[1], 1e-5),
        ("dbeta", gradients[2], wanted[2], 1e-5),
        ("mean", mean, exact[0].mean((0, 2, 3)), 1e-6),
        ("variance", variance, exact[0].var((0, 2, 3), unbiased=True), 1e-5),
    ):
        scale = theirs.abs().max().item() + 1e-3
        assert (ours.double() - theirs).abs().max().item() <= bound * scale, name


def test_large_means_do_not_drown_a_small_variance() -> None:
    x = draw("x", (8, 16, 16, 16)) * 1e-2 + 1e3
    _, mean, variance = fused(x, torch.ones(16), torch.zeros(16), relu=False)
    exact = x.double()
    assert (variance / exact.var((0, 2, 3)) - 1).abs().max() < 1e-4
    assert (mean / exact.mean((0, 2, 3)) - 1).abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_do_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    x = draw("x", (9, 48, 16, 16), dtype=dtype).requires_grad_()
    gamma, beta = draw("gamma", (48,)).requires_grad_(), draw("beta", (48,)).requires_grad_()

    def bits(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        y, mean, variance = fused(x, gamma, beta, relu=True)
        return [
            y,
            mean,
            variance,
            *torch.autograd.grad(y, (x, gamma, beta), draw("upstream", (9, 48, 16, 16)).to(dtype)),
        ]

    before = torch.get_num_threads()
    try:
        runs = [bits(1), bits(2), bits(3), bits(2)]
    finally:
        torch.set_num_threads(before)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    x = draw("x", (2, 32, 4, 4))
    x[1, 3, 2, 2] = bad
    y, mean, _ = fused(x, torch.ones(32), torch.zeros(32), relu=True)
    assert not y[:, 3].isfinite().any()
    assert not mean[3].isfinite()
    assert y[:, 4].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evaluation_equals_torchs(dtype: torch.dtype) -> None:
    x = draw("x", (3, 40, 5, 5), dtype=dtype)
    norms = [layers.BatchNorm(40, pixels=25, activation="relu", kernels=on).eval() for on in ("fused", "torch")]
    for norm in norms:
        norm.moving_mean.copy_(draw("mean", (40,)))
        norm.moving_variance.copy_(draw("variance", (40,)).abs() + 0.1)
    with torch.no_grad():
        ours, theirs = (norm(x).float() for norm in norms)
    assert (ours - theirs).abs().max() <= (2e-2 if dtype == torch.bfloat16 else 1e-5) * theirs.abs().max()


@pytest.mark.parametrize("shift", [0.0, 2.0**-8, 2.0**-9, 3 * 2.0**-10, -(2.0**-7)])
def test_bfloat16_is_rounded_to_nearest_even(shift: float) -> None:
    """Sums of these are exact in float32, so that torch's rounding is the only one possible."""
    x = torch.linspace(-3, 3, 4096).bfloat16().view(1, 1, 64, 64)
    ours = kernels.apply(x, torch.ones(1), torch.tensor([shift]), relu=False)
    assert torch.equal(ours, (x.float() + shift).bfloat16())


@pytest.mark.parametrize("spec", [networks.ResNetV2(depth=11), networks.ResNetV1(depth=8)])
def test_a_network_on_the_kernel_follows_one_on_torch(spec: networks.Network) -> None:
    image = resnet.ImageShape(16, 16, 3)
    nets = [
        resnet.build(spec, image=image, classes=10, init_seed=0, dropout_seed=0, kernels=on).train()
        for on in ("fused", "torch")
    ]
    x = draw("images", (4, 3, 16, 16))
    ours, theirs = (net(x) for net in nets)
    assert (ours - theirs).abs().max() < 1e-4
    gradients = [torch.autograd.grad(y.square().sum(), list(net.parameters())) for y, net in zip((ours, theirs), nets)]  # noqa: B905
    for a, b in zip(*gradients, strict=True):
        assert (a - b).abs().max() <= 1e-3 * (b.abs().max() + 1)


def test_what_the_kernel_cannot_take_runs_on_torch() -> None:
    assert not kernels.supports(torch.zeros(1, 2, 3, 3, dtype=torch.float64))
    assert not kernels.supports(torch.zeros(1, 2, 3, 3, dtype=torch.float16))
    assert not kernels.supports(torch.zeros(1, 2, 3, 3, device="meta"))
    norm = layers.BatchNorm(4, pixels=9, activation="gelu", kernels="fused")
    assert not norm.fused
    assert norm(draw("x", (2, 4, 3, 3))).shape == (2, 4, 3, 3)


def test_without_a_compiler_or_a_writable_cache_torch_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for name, value in (("CXX", "no-such-compiler"), ("FEWEPOCHS_CACHE", str(blocked))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            kernels._library.cache_clear()
            try:
                assert kernels.available() == "torch"
            finally:
                kernels._library.cache_clear()


def test_a_compiled_kernel_is_found_again_and_leaves_no_strays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path))
    kernels._library.cache_clear()
    try:
        assert kernels.available() == "fused"
        [built] = (tmp_path / "kernels").iterdir()
        made = built.stat().st_mtime_ns
        kernels._library.cache_clear()
        assert kernels.available() == "fused"
        assert [built] == list((tmp_path / "kernels").iterdir())
        assert built.stat().st_mtime_ns == made
    finally:
        kernels._library.cache_clear()
