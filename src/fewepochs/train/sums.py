"""Sums over images: on the device while they run, on the host once they are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: the sums over each part, and the L2 penalty at the weights evaluated."""

    parts: tuple[Totals, ...]
    penalty: float


@dataclass(frozen=True)
class Totals:
    """What the host reads at a reading point; losses and counts are sums over images.

    Of an epoch of training `loss` has the penalty, of an evaluation it has not. `finite`: weights and statistics are.
    """

    loss: float
    correct: int
    images: int
    diverged_at: int | None
    finite: bool = True


class PartSums:
    """Sums over the images of a part seen so far: `loss` and `correct`; `cursor` is how many they are."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.cursor = torch.zeros((), dtype=torch.int64, device=device)

    def clear(self) -> None:
        """Begin another part."""
        for tensor in (self.loss, self.correct, self.cursor):
            tensor.zero_()

    def read(self) -> tuple[float, int]:
        """Read loss and correct answers; here the host waits for the device."""
        loss, correct = torch.stack([self.loss, self.correct.double()]).tolist()
        return loss, int(correct)
