"""What probes of a moment found, as values: no torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Statistics = Literal["moving", "recomputed", "batch"]
STATISTICS: tuple[Statistics, ...] = get_args(Statistics)


@dataclass(frozen=True)
class Score:
    """What an evaluation found: means over `images`. The L2 `penalty` is a summand of `loss`, as in every record."""

    cross_entropy: float
    penalty: float
    accuracy: float
    images: int

    @property
    def loss(self) -> float:
        """Cross-entropy and penalty together."""
        return self.cross_entropy + self.penalty


@dataclass(frozen=True)
class BnSplit:
    """The same weights after `epoch` epochs under three kinds of statistics; `train_loss` and `logged` as recorded.

    `mean_shift`: root mean square over channels of (moving - recomputed mean) / recomputed deviation. `variance_ratio`:
    median over channels of moving / recomputed variance. Both are 0 and 1 where the moving statistics are fresh.
    `images` went forward.
    """

    epoch: int
    steps: int
    lr: float | None
    train_loss: float | None
    logged: float | None
    moving: Score
    recomputed: Score
    batch: Score
    mean_shift: float
    variance_ratio: float
    images: int

    def score(self, kind: Statistics) -> Score:
        """Return the score under the statistics of that kind."""
        return {"moving": self.moving, "recomputed": self.recomputed, "batch": self.batch}[kind]


@dataclass(frozen=True)
class Scale:
    """A gradient noise scale: `noise` tr(Sigma) of one image's gradient, `signal` |G|^2, both unbiased estimates.

    `images` is their ratio, None where the signal is not above 0: the gradient is then not told from its noise. `low`
    and `high` are the ends of a 95 percent interval, None where it is open.
    """

    noise: float
    signal: float
    images: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class StepNoise:
    """How far a batch's noise moves the weights: the root mean square length of the random part of a step.

    `low` and `high` are the ends of a 95 percent interval, None where there is none.
    """

    length: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class GradientNoise:
    """The gradient noise scale after `epoch` epochs: of all weights, and of each layer by its name.

    From `draws` draws of `batches` batches of `batch_size` images each; `images` went forward and backward. `step` is
    None where the optimizer's rule has no such length here.
    """

    epoch: int
    steps: int
    lr: float | None
    batch_size: int
    batches: int
    draws: int
    whole: Scale
    layers: dict[str, Scale]
    step: StepNoise | None

    @property
    def images(self) -> int:
        """How many images went forward and backward."""
        return self.draws * self.batches * self.batch_size
