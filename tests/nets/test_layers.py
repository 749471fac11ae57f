"""Layers at their edges: a convolution that takes its pixels first, batch normalisation of a single value."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fewepochs.nets import kernels, layers
from fewepochs.specs import networks


@pytest.mark.parametrize("inputs", [1, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("side", [1, 4, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_of_single_pixels_with_a_stride(inputs: int, side: int, stride: int) -> None:
    draw = torch.Generator().manual_seed(0)
    convolution = layers.Conv(inputs, 5, kernel=1, stride=stride).double()
    with torch.no_grad():
        convolution.weight.normal_(generator=draw)
    x = torch.randn(2, inputs, side, side, generator=draw, dtype=torch.float64, requires_grad=True)
    own = convolution(x)
    expected = F.conv2d(x, convolution.weight, convolution.bias, stride=stride)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-14)
    pull = torch.randn(own.shape, generator=draw, dtype=torch.float64)
    for got, wanted in zip(
        torch.autograd.grad(own, (x, convolution.weight), pull),
        torch.autograd.grad(expected, (x, convolution.weight), pull),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_pixels_are_taken_first_where_inputs_fill_no_vector_of_eight() -> None:
    picks = {inputs: layers.Conv(inputs, 4, kernel=1, stride=2)._picks for inputs in (1, 3, 4, 8, 12, 16, 64)}
    assert picks == {1: True, 3: True, 4: True, 8: False, 12: True, 16: False, 64: False}
    assert not layers.Conv(3, 4, kernel=3, stride=2)._picks
    assert not layers.Conv(3, 4, kernel=1, stride=1)._picks


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("form", ["torch", "fused"])
def test_a_batch_of_one_value_a_channel_has_kerass_mean_variance_and_output(
    activation: networks.Activation | None, form: kernels.Kernels
) -> None:
    own = layers.BatchNorm(3, pixels=1, activation=activation, kernels=form)
    theirs = keras.layers.BatchNormalization(axis=1, momentum=0.0, epsilon=layers.BN_EPSILON)
    x = torch.tensor([2.0, -1.0, 0.5]).view(1, 3, 1, 1).requires_grad_()
    theirs.build(x.shape)
    gamma, beta = torch.tensor([1.5, 2.0, -1.0]), torch.tensor([0.25, -0.5, 1.0])
    theirs.set_weights([gamma.numpy(), beta.numpy(), np.zeros(3), np.ones(3)])
    expected = theirs(x, training=True)
    expected = expected if activation is None else keras.ops.relu(expected)
    with torch.no_grad():
        own.weight.copy_(gamma)
        own.bias.copy_(beta)
    found = own(x)
    assert torch.equal(found, expected)
    assert torch.equal(own.batch_mean, theirs.moving_mean.value)
    assert torch.equal(own.batch_variance, theirs.moving_variance.value)
    pull = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    wanted = torch.autograd.grad(expected, (x, theirs.gamma.value, theirs.beta.value), pull)
    for got, want in zip(torch.autograd.grad(found, (x, own.weight, own.bias), pull), wanted, strict=True):
        assert torch.equal(got, want)
