"""What the steps of an epoch look up on the device: order, augmentation's draws, mixing, controls.

The tensors are made once and filled before each epoch, so that a step that was recorded (see `replay`) finds this
epoch's values where it found the last one's.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from fewepochs import schedules
from fewepochs.data import augment, loader
from fewepochs.specs import inputs


class EpochTables:
    """The tables of epochs of `images` images; an epoch has no more steps than images.

    `order` int64 [N]: which image comes n-th.
    """

    def __init__(
        self, images: int, *, augmentation: inputs.Augmentation, mixing: inputs.Mixing, device: torch.device
    ) -> None:
        self.order = torch.zeros(images, dtype=torch.int64, device=device)
        self._draws = None if isinstance(augmentation, inputs.NoAugmentation) else augment.none(images, device=device)
        self._mixing = None
        if not isinstance(mixing, inputs.NoMixing):
            self._mixing = torch.zeros(5, images, dtype=torch.float64, device=device)
        self._controls = torch.zeros(3, images, dtype=torch.float64, device=device)

    def fill(self, plan: loader.EpochPlan, *, controls: schedules.Rates) -> None:
        """Take over an epoch's plan and its `controls` float64 [3, steps]."""
        self.order.copy_(plan.order)
        if self._draws is not None:
            assert plan.draws is not None, "what augments has draws"
            for part in fields(augment.Draws):
                getattr(self._draws, part.name).copy_(getattr(plan.draws, part.name))
        if self._mixing is not None:
            assert plan.mixing is not None, "what mixes has a table"
            self._mixing[:, : plan.mixing.shape[1]].copy_(plan.mixing)
        self._controls[:, : controls.shape[1]].copy_(torch.from_numpy(controls))

    def draws(self, rows: Tensor) -> augment.Draws | None:
        """Return augmentation's draws for the images at `rows` [B] of the epoch; None where nothing is augmented."""
        return None if self._draws is None else self._draws[rows]

    def mixing(self, step: Tensor) -> Tensor | None:
        """Return the row [5] of the mixing table for a step of the epoch (0-based); None where nothing is mixed."""
        return None if self._mixing is None else _column(self._mixing, step)

    def controls(self, step: Tensor) -> tuple[Tensor, ...]:
        """Return learning rate, momentum and weight decay of a step of the epoch (0-based)."""
        return _column(self._controls, step).unbind()


def _column(table: Tensor, step: Tensor) -> Tensor:
    # Not table[:, step]: a tensor of no dimensions as an index is read by the host.
    return table.gather(1, step.expand(len(table), 1)).squeeze(1)
