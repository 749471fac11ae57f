"""From an optimizer's spec and the weights to an optimizer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fewepochs import specs
from fewepochs.optim import keras


class Optimizer(Protocol):
    """What the training step asks of an optimizer."""

    def update(self, gradient: Tensor, *, lr: Tensor, live: Tensor) -> None:
        """Update the weights [P] from a finite gradient [P]; `live` 0 leaves weights and state as they are."""

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a resumed run needs, by name; copying into them restores the state."""


def build(spec: specs.Optimizer, *, weights: Tensor) -> Optimizer:
    """Return the optimizer of `spec` for the vector of all weights [P]."""
    return keras.Adam(spec, weights=weights)
