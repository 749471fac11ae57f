"""A small layout of weights with gradients of very different sizes, and optimizers driven along them.

Rate, momentum and weight decay change in every step, as schedules change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fewepochs import seeds
from fewepochs.optim import build, rule
from fewepochs.optim.layout import Controls, Layout
from fewepochs.specs import updates

STEPS = 30
NONE = updates.NoWeightDecay()
SHAPES = {
    "stem": (4, 27),  # two kernels of one shape, a tall one, a dense kernel, and three vectors
    "tall": (12, 4),
    "conv": (4, 27),
    "dense": (3, 12),
    "bias": (3,),
    "scale": (5,),
    "offset": (5,),
}
CONV_KERNELS, KERNELS = ("stem", "tall", "conv"), ("stem", "tall", "conv", "dense")
SIZES = {name: int(np.prod(shape)) for name, shape in SHAPES.items()}
SIZE = sum(SIZES.values())
ALLOWED = ("torch.optim", "optimizer_samples")


def layout(dtype: torch.dtype = torch.float64) -> Layout:
    """Return the weights at their start: uniform between -1/2 and 1/2."""
    return Layout(
        vector=torch.from_numpy(seeds.uniform(seeds.derive(0, "weights"), SIZE) - 0.5).to(dtype),
        sizes=SIZES,
        rows={name: SHAPES[name][0] for name in KERNELS},
        conv_kernels=sum(SIZES[name] for name in CONV_KERNELS),
        kernels=sum(SIZES[name] for name in KERNELS),
    )


def shaped(vector: Tensor) -> dict[str, Tensor]:
    """Return the tensors in a vector [SIZE] by name, in their own shapes; views."""
    parts = torch.split(vector, list(SIZES.values()))
    return {name: part.view(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


def gradients(steps: int = STEPS) -> Tensor:
    """Return gradients [steps, SIZE] of sizes from 1e-9 to 10, so that epsilon matters; every tensor has all sizes."""
    draws = seeds.uniform(seeds.derive(0, "gradients"), steps * SIZE).reshape(steps, SIZE) - 0.5
    sizes = 10.0 ** np.linspace(-9, 1, SIZE)
    order = np.argsort(seeds.uniform(seeds.derive(0, "order"), SIZE))
    return torch.from_numpy(draws * sizes[order])


@dataclass(frozen=True)
class Course:
    """Learning rate, momentum and weight decay of each step."""

    lr: Sequence[float]
    momentum: Sequence[float]
    decay: Sequence[float]

    def __iter__(self) -> Iterator[tuple[float, float, float]]:
        return zip(self.lr, self.momentum, self.decay, strict=True)


def course(
    spec: updates.Optimizer, *, decay: updates.WeightDecay = NONE, moving: bool = False, steps: int = STEPS
) -> Course:
    """Return a falling rate; with `moving`, the momentum and the decay's strength fall, too."""
    momentum = updates.momentum_of(spec) or 0.0
    strength = 0.0 if isinstance(decay, updates.NoWeightDecay) else decay.strength
    fall = np.linspace(1.0, 0.8 if moving else 1.0, steps)
    return Course(
        lr=np.linspace(spec.lr, spec.lr / 10, steps).tolist(),
        momentum=(momentum * fall).tolist(),
        decay=(strength * fall**2).tolist(),
    )


def controls(lr: float, momentum: float, decay: float, *, live: float = 1.0) -> Controls:
    """Return a step's controls as tensors."""
    tensors = torch.tensor([lr, momentum, decay, live], dtype=torch.float64).unbind()
    return Controls(
        lr=tensors[0], momentum=tensors[1], decay=tensors[2], live=tensors[3], on_host=(lr, momentum, decay)
    )


def made(spec: updates.Optimizer, *, weights: Layout, decay: updates.WeightDecay = NONE) -> rule.Optimizer:
    """Return the optimizer of `spec` for `weights`."""
    return build.build(spec, layout=weights, weight_decay=decay, allow_code=ALLOWED)


def run(
    spec: updates.Optimizer,
    *,
    decay: updates.WeightDecay = NONE,
    dtype: torch.dtype = torch.float64,
    moving: bool = False,
    live: Sequence[int] = (1,) * STEPS,
    after: Callable[[int, rule.Optimizer, Layout], rule.Optimizer] = lambda k, optimizer, weights: optimizer,
) -> tuple[Tensor, rule.Optimizer]:
    """Return the weights after all steps, and the optimizer; `after` each step may put another in its place.

    A step that is not live has a gradient of zeros, as the training step gives it.
    """
    weights = layout(dtype)
    optimizer = made(spec, weights=weights, decay=decay)
    steps = zip(gradients().to(dtype), course(spec, decay=decay, moving=moving), live, strict=True)
    for k, (gradient, (lr, momentum, strength), on) in enumerate(steps):
        optimizer.update(gradient * on, controls(lr, momentum, strength, live=on))
        optimizer = after(k, optimizer, weights)
    return weights.vector, optimizer
