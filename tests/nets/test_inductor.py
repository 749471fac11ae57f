"""Layers that torch compiles: the function that they are compiled from, within rounding, whatever shape came first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewepochs.errors import RecipeError, StorageError
from fewepochs.nets import inductor, layers
from fewepochs.nets.kernels import Kernels
from fewepochs.specs import networks

compiles = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler here")


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(x: Tensor, *, activation: networks.Activation | None, kernels: Kernels) -> list[Tensor]:
    """Return output, gradients and statistics of a batch in training, then the output of an evaluation with those."""
    norm = layers.BatchNorm(x.shape[1], pixels=25, activation=activation, kernels=kernels).to(x.dtype)
    with torch.no_grad():
        norm.weight.copy_(draw(1, x.shape[1]).abs())
        norm.bias.copy_(draw(2, x.shape[1]))
    x = x.detach().requires_grad_()
    y = norm(x)
    gradients = torch.autograd.grad(y, [x, norm.weight, norm.bias], draw(3, *x.shape).to(x.dtype))
    norm.moving_mean.copy_(norm.batch_mean)
    norm.moving_variance.copy_(norm.batch_variance)
    with torch.no_grad():
        evaluated = norm.eval()(x)
    return [y.detach(), *gradients, norm.batch_mean, norm.batch_variance, evaluated]


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_it_has_the_values_of_torchs_operators(activation: networks.Activation) -> None:
    """In float64, where rounding cannot hide a mistake; the mean is far from 0, as it is where cancellation shows."""
    x = draw(0, 6, 8, 5, 5).double().add(4.0).contiguous(memory_format=torch.channels_last)
    ours, theirs = (
        trained(x, activation=activation, kernels="inductor"),
        trained(x, activation=activation, kernels="torch"),
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@compiles
@pytest.mark.slow
def test_its_bits_depend_on_no_other_shape_that_came_first() -> None:
    first, second = (draw(n, n, 8, 5, 5).contiguous(memory_format=torch.channels_last) for n in (7, 12))
    found = []
    for order in ((first, second), (second, first)):
        torch.compiler.reset()
        found.append({len(x): trained(x, activation="relu", kernels="inductor") for x in order})
    for size, ours in found[0].items():
        assert all(map(torch.equal, ours, found[1][size])), size


def read(x: Tensor) -> Tensor:
    return x + x.sum().item() if x.tolist() else x


def test_what_cannot_be_compiled_is_refused_with_the_reason() -> None:
    with pytest.raises(RecipeError) as caught:
        inductor.compiled(read)(torch.ones(2))
    (problem,) = caught.value.problems
    assert problem.message.startswith("cannot compile here: Unsupported: ")
    assert (problem.field, problem.value, problem.allowed) == ("--kernels", "'inductor'", "torch")


def test_a_schedule_of_batch_sizes_may_have_more_shapes_than_torch_would_compile() -> None:
    inductor.compiled(read)
    config = torch._dynamo.config
    assert min(config.recompile_limit, config.accumulated_recompile_limit) >= inductor.SHAPES


def test_a_cache_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # what it was is put back afterwards
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with pytest.raises(
        StorageError, match=r"file/inductor cannot be made: Not a directory\. Another \$FEWEPOCHS_CACHE"
    ):
        inductor.compiled(draw)
