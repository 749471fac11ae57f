"""The seam between a training step and an update rule."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from fewepochs.optim.layout import Controls

STATE_DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip
"""The types of tensors that a state may have: a checkpoint holds these."""


class Optimizer(Protocol):
    """What the training step asks of an optimizer."""

    def update(self, gradient: Tensor, controls: Controls) -> None:
        """Update the weights [P] from a finite gradient [P], which is left as it is.

        A frozen step comes with a gradient of zeros.
        """

    def averaged(self) -> Tensor | None:
        """Return the weights [P] that evaluation is to see, where the rule averages by itself; None elsewhere."""

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a resumed run needs, by name; copying into them restores the state.

        The names are the same before the first step as after any, the types are of STATE_DTYPES.
        """


def if_live(value: Tensor, otherwise: float, controls: Controls, dtype: torch.dtype) -> Tensor:
    """Return `value`, or `otherwise` in a frozen step, in the weights' type."""
    return torch.where(controls.live > 0, value, otherwise).to(dtype)
