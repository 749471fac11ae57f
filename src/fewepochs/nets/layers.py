"""Layers with Keras's semantics: "same" padding, BatchNormalization, he_normal, dropout with named draws.

Differences from torch, all of them Keras 3's behaviour:
1. `padding="same"` with a stride pads less before than after (0 and 1 for a 3x3 window with stride 2 on an even
   side); torch pads both sides alike.
2. BatchNorm's moving variance takes the biased variance of the batch; torch takes the unbiased one.
3. BatchNorm's constants: moving = 0.99 * moving + 0.01 * batch, epsilon 1e-3; torch calls the 0.01 momentum (its
   default is 0.1), and its epsilon is 1e-5.
4. he_normal is a normal distribution truncated at two standard deviations, widened to a variance of 2/fan_in.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import ndtr, ndtri
from torch import Tensor, nn

from fewepochs import seeds
from fewepochs.nets import inductor
from fewepochs.nets import kernels as compiled
from fewepochs.specs import networks

BN_MOMENTUM = 0.99
BN_EPSILON = 1e-3
TRUNCATION = 2.0
TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal distribution truncated at two (as in Keras's VarianceScaling)."""


class Conv(nn.Module):
    """A convolution with Keras's "same" padding: [N, in, H, W] -> [N, out, ceil(H/stride), ceil(W/stride)].

    With `kernels` "fused" the gradient of weights and bias is the compiled kernel's where that is faster.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int = 1,
        bias: bool = True,
        kernels: compiled.Kernels = "torch",
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.fused = kernels == "fused"
        # On processors with AVX2 alone, torch 2.13 writes beyond its memory in the backward pass of a 1x1 convolution
        # with a stride whose inputs fill no vector of eight. The pixels that such a one looks at are taken first.
        self._picks = kernel == 1 and stride > 1 and inputs % 8 > 0
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Convolve; pads in the convolution itself where both sides get the same."""
        if (
            self.fused
            and torch.is_grad_enabled()
            and compiled.supports_convolution(x_NCHW, self.weight, stride=self.stride)
        ):
            return compiled.convolve(x_NCHW, self.weight, self.bias)
        if self._picks:
            return F.conv2d(x_NCHW[:, :, :: self.stride, :: self.stride], self.weight, self.bias)
        top, bottom = _same(x_NCHW.shape[2], kernel=self.kernel, stride=self.stride)
        left, right = _same(x_NCHW.shape[3], kernel=self.kernel, stride=self.stride)
        if (top, left) != (bottom, right):
            x_NCHW = F.pad(x_NCHW, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(x_NCHW, self.weight, self.bias, stride=self.stride, padding=(top, left))


def _same(side: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after a side, as Keras and TensorFlow count it."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class BatchNorm(nn.Module):
    """Batch normalisation over N, H, W, and the activation after it; statistics in float32 whatever the input's type.

    In training, the batch's own mean and (unbiased) variance are left in `batch_mean` and `batch_variance`; the moving
    statistics are not touched. Whoever owns the step updates them for all layers at once, so that a step that is
    frozen leaves no trace. `pixels` is H * W where the layer stands: a batch of N images has N * pixels values
    a channel, and biased = unbiased * (1 - 1 / (N * pixels)). With `kernels` "fused" the compiled
    kernel does both at once where it can (float32 and bfloat16 on the CPU, ReLU or nothing), with "inductor" what torch
    makes of `normalise`.
    """

    batch_mean: Tensor
    batch_variance: Tensor
    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(
        self, channels: int, *, pixels: int, activation: networks.Activation | None, kernels: compiled.Kernels = "torch"
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.activation = activation
        self.fused = kernels == "fused" and activation in ("relu", None)
        self._normalise = inductor.compiled(normalise) if kernels == "inductor" else normalise
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        for name in ("batch_mean", "moving_mean"):
            self.register_buffer(name, torch.zeros(channels))
        for name in ("batch_variance", "moving_variance"):
            self.register_buffer(name, torch.ones(channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Normalise with the batch's statistics in training, with the moving ones in evaluation; then activate."""
        if self.training and x_NCHW.numel() == len(self.weight):
            return self._normalise_one(x_NCHW)
        mean, variance = (
            (self.batch_mean, self.batch_variance) if self.training else (self.moving_mean, self.moving_variance)
        )
        relu = self.activation == "relu"
        if self.fused and compiled.supports(x_NCHW):
            if self.training:
                return compiled.normalise(
                    x_NCHW, self.weight, self.bias, mean=mean, variance=variance, epsilon=BN_EPSILON, relu=relu
                )
            if not torch.is_grad_enabled():
                scale = self.weight * torch.rsqrt(variance + BN_EPSILON)
                return compiled.apply(x_NCHW, scale, self.bias - mean * scale, relu=relu)
        return self._normalise(
            x_NCHW, mean, variance, self.weight, self.bias, training=self.training, activation=self.activation
        )

    def _normalise_one(self, x_NCHW: Tensor) -> Tensor:
        """Normalise a batch of one value a channel, which is its own mean: the offset is what remains, as in Keras.

        torch would divide by the number of values less one.
        """
        # As torch.batch_norm does, without a word to autograd: all layers' statistics are one tensor to it.
        self.batch_mean.data.copy_(x_NCHW.data.flatten())
        self.batch_variance.data.zero_()
        y = (x_NCHW - x_NCHW) * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return (y if self.activation is None else activate(y, activation=self.activation)).to(x_NCHW.dtype)


def normalise(
    x_NCHW: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor,
    beta: Tensor,
    *,
    training: bool,
    activation: networks.Activation | None,
) -> Tensor:
    """Return the batch normalisation of x, activated, by torch's operators.

    In training with the batch's own statistics, which are left in `mean` and (unbiased) `variance`, else with those.
    """
    # Momentum 1 makes torch overwrite the statistics that it is given with this batch's.
    # Not cuDNN's: those want each layer's statistics at addresses that ours, rows of one tensor, need not have.
    y = torch.batch_norm(x_NCHW, gamma, beta, mean, variance, training, 1.0, BN_EPSILON, False)
    return y if activation is None else activate(y, activation=activation)


class Dense(nn.Module):
    """An affine map [N, in] -> [N, out], without activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x_NC: Tensor) -> Tensor:
        """Return the logits."""
        return F.linear(x_NC, self.weight, self.bias)


class Dropout(nn.Module):
    """Zeroes a fraction `rate` of the values in training and scales the others by 1/(1-rate).

    The mask is a function of (key, step, position): a hash computed on the device. Nothing is drawn from a
    generator, so a resumed or replayed step has the same mask. `step` is set by whoever owns the step.
    """

    key: Tensor
    step: Tensor

    def __init__(self, rate: float, *, key: int) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("key", torch.tensor(key & 0x7FFFFFFFFFFFFFFF), persistent=False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the mask of the current step."""
        if not self.training or self.rate == 0.0:
            return x
        position = torch.arange(x.numel(), device=x.device).view_as(x)
        uniform = hash_uniform(mix(self.key + mix(self.step)) + position)
        return torch.where(uniform >= self.rate, x / (1.0 - self.rate), 0.0)


def mix(z: Tensor) -> Tensor:
    """Scramble int64 words: the finaliser of SplitMix64 (Steele et al. 2014), on wrapping signed integers."""
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * -0x40A7B892E31B1A47
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * -0x6B2FB644ECCEEE15
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def hash_uniform(z: Tensor) -> Tensor:
    """Return float32 uniforms in [0, 1), one for each int64 word: 24 bits of its hash."""
    return ((mix(z) >> 40) & ((1 << 24) - 1)).to(torch.float32) * 2.0**-24


def activate(x: Tensor, *, activation: networks.Activation) -> Tensor:
    """Apply the activation as Keras defines it; `x` is overwritten where that is possible.

    `x` must be what no backward pass needs: a batch normalisation's output, or a sum.
    """
    match activation:
        case "relu":
            return F.relu_(x)
        case "elu":
            return F.elu(x)
        case "gelu":
            return F.gelu(x)
        case "silu":
            return F.silu(x)


@torch.no_grad()
def initialise(network: nn.Module, *, seed: int) -> None:
    """Fill kernels with he_normal, each from draws named by its parameter's name; the rest stays as built.

    Kernels are the `weight` of every Conv and Dense: [out, in, k, k] with fan_in = in*k*k, or [out, in].
    """
    for name, module in network.named_modules():
        if isinstance(module, Conv | Dense):
            weight = module.weight
            draws = he_normal(seeds.derive(seed, "init", f"{name}.weight"), shape=tuple(weight.shape))
            weight.copy_(torch.from_numpy(draws))


def he_normal(key: int, *, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return draws of Keras's he_normal for a kernel [out, in, ...], by inversion of the distribution function."""
    fan_in = math.prod(shape[1:])
    low, high = ndtr(-TRUNCATION), ndtr(TRUNCATION)
    uniform = seeds.uniform(key, math.prod(shape))
    draws = ndtri(low + uniform * (high - low)) * (math.sqrt(2.0 / fan_in) / TRUNCATED_STD)
    return np.asarray(draws, dtype=np.float64).reshape(shape)
