"""A convolution that takes its pixels first is the convolution with a stride."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fewepochs.nets import layers


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
