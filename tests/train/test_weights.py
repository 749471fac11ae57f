"""What the network sees is the master weights, rounded to its type, and begins where cuDNN wants it to begin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fewepochs.nets import layers
from fewepochs.train.weights import ALIGNMENT, Weights

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
CUDNN_BYTES = 16


def network(*channels: int) -> nn.Sequential:
    """Return convolutions with normalisations between them, and a dense layer, each of so many channels."""
    found: list[nn.Module] = []
    for inputs, outputs in zip((1, *channels), channels, strict=False):
        found += [
            layers.Conv(inputs, outputs, kernel=3),
            layers.BatchNorm(outputs, pixels=4, activation="relu"),
        ]
    built = nn.Sequential(*found, layers.Dense(channels[-1], 10))
    with torch.no_grad():
        for index, parameter in enumerate(built.parameters()):
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter) / 7 + index)
    return built


def seen(built: nn.Module, weights: Weights) -> list[Tensor]:
    """Return the parameters that the network computes with, by the names of the weights."""
    parameters = dict(built.named_parameters())
    return [parameters[name] for name in weights.names]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from(DTYPES))
def test_every_parameter_begins_where_cudnn_can_read_it(channels: list[int], dtype: torch.dtype) -> None:
    built = network(*channels)
    weights = Weights(built, dtype=dtype)
    for parameter in seen(built, weights):
        assert parameter.data_ptr() % CUDNN_BYTES == 0
        assert parameter.storage_offset() % ALIGNMENT == 0


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.sampled_from(DTYPES))
def test_the_network_sees_the_master_weights_once_they_are_published(channels: list[int], dtype: torch.dtype) -> None:
    built = network(*channels)
    before = {name: parameter.detach().clone() for name, parameter in built.named_parameters()}
    weights = Weights(built, dtype=dtype)
    assert list(weights.layout.sizes.values()) == [before[name].numel() for name in weights.names]
    for name, parameter in zip(weights.names, seen(built, weights), strict=True):
        assert torch.equal(parameter, before[name].to(parameter.dtype))
    with torch.no_grad():
        weights.master.mul_(3.0)
    weights.publish()
    for name, parameter in zip(weights.names, seen(built, weights), strict=True):
        assert torch.equal(parameter, (3.0 * before[name].to(weights.master.dtype)).to(parameter.dtype))


def test_only_kernels_and_biases_are_narrow() -> None:
    built = network(16)
    Weights(built, dtype=torch.bfloat16)
    assert {name for name, p in built.named_parameters() if p.dtype == torch.bfloat16} == {
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_copies_do_where_sizes_are_multiples_as_in_resnets(dtype: torch.dtype) -> None:
    weights = Weights(network(16, 32, 64), dtype=dtype)
    kernels, norms = sum(p.numel() for p in network(16, 32, 64).parameters()) - 224, 224
    copied = [kernels, norms] if dtype == torch.bfloat16 else [norms]
    assert [len(here) for _, here in weights._copies] == copied
