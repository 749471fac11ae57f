"""Update rules and what acts on weights beside them: optimizers, L2, weight decay, averaging.

`semantics` says whose rule is computed: Keras's (3.15) or torch's (2.13); `fewepochs.optim` lists the differences.
Defaults are Keras's; with `semantics = "torch"` an epsilon that is not given is torch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, assert_never

from pydantic import Field, Strict, model_validator

from fewepochs.specs import rates
from fewepochs.specs.base import NonNegative, NonNegativeInt, Positive, PositiveInt, Spec, Unit

Semantics = Literal["keras", "torch"]
OpenUnit = Annotated[float, Field(gt=0, lt=1)]
"""A momentum that Schedule-Free divides by."""
Touched = Literal["conv-kernels", "kernels", "all"]
"""Convolution kernels; convolution and dense kernels; every trainable parameter, biases and BN's included."""


def _with_torch_default(given: Any, field: str, value: float) -> Any:
    if isinstance(given, Mapping) and given.get("semantics") == "torch" and field not in given:
        return {**given, field: value}
    return given


# --- optimizers ---------------------------------------------------------------------------------------------------


class _AdamFamily(Spec):
    kind: str  # first, whoever adds to it
    semantics: Semantics = "keras"
    lr: Positive = 1e-3
    beta_1: Unit = 0.9
    beta_2: Unit = 0.999
    epsilon: Positive = 1e-7

    @model_validator(mode="before")
    @classmethod
    def _torch_epsilon(cls, given: Any) -> Any:
        return _with_torch_default(given, "epsilon", 1e-8)


class Adam(_AdamFamily):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980)."""

    kind: Literal["adam"] = "adam"


class AdamW(_AdamFamily):
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): Adam with a weight decay that is not part of the gradient.

    The decay itself stands in the recipe's `weight_decay`, of kind "decoupled" or "independent".
    """

    kind: Literal["adamw"] = "adamw"


class Nadam(_AdamFamily):
    """Nadam (Dozat 2016): Adam with Nesterov momentum.

    The momentum at step t is beta_1 * (1 - 0.96^(t * momentum_decay) / 2); Keras has `momentum_decay` 1, torch 0.004.
    """

    kind: Literal["nadam"] = "nadam"
    momentum_decay: Positive = 1.0

    @model_validator(mode="before")
    @classmethod
    def _torch_momentum_decay(cls, given: Any) -> Any:
        return _with_torch_default(given, "momentum_decay", 4e-3)


class Sgd(Spec):
    """Stochastic gradient descent, with heavy-ball or Nesterov momentum."""

    kind: Literal["sgd"] = "sgd"
    semantics: Semantics = "keras"
    lr: Positive = 0.01
    momentum: Unit = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class RmsProp(Spec):
    """RMSprop (Tieleman & Hinton 2012); `centered` subtracts the squared mean gradient from the second moment."""

    kind: Literal["rmsprop"] = "rmsprop"
    semantics: Semantics = "keras"
    lr: Positive = 1e-3
    rho: Unit = 0.9
    momentum: Unit = 0.0
    centered: bool = False
    epsilon: Positive = 1e-7

    @model_validator(mode="before")
    @classmethod
    def _torch_epsilon(cls, given: Any) -> Any:
        return _with_torch_default(given, "epsilon", 1e-8)


class Lion(Spec):
    """Lion (Chen et al. 2023, arXiv:2302.06675): the sign of an interpolated momentum."""

    kind: Literal["lion"] = "lion"
    lr: Positive = 1e-4
    beta_1: Unit = 0.9
    beta_2: Unit = 0.99


class Lamb(Spec):
    """LAMB (You et al. 2019, arXiv:1904.00962) as in Keras: Adam's direction, scaled to each tensor's norm."""

    kind: Literal["lamb"] = "lamb"
    lr: Positive = 1e-3
    beta_1: Unit = 0.9
    beta_2: Unit = 0.999
    epsilon: Positive = 1e-7


Auxiliary = Annotated[Sgd | Adam | AdamW, Field(discriminator="kind")]


class Muon(Spec):
    """Muon (Jordan 2024) for convolution kernels, each as a matrix [out, in*k*k]; `auxiliary` for everything else.

    The momentum's direction is replaced by the nearest semi-orthogonal matrix, found by `iterations` Newton-Schulz
    steps. `unit_filters` rescales each kernel to the norm sqrt(out) before its update (Jordan's airbench). `scale`
    multiplies the update of a matrix [m, n]: "none" by 1, "aspect" by sqrt(max(1, m/n)), "rms" by 0.2 * sqrt(max(m, n))
    (torch's "original" and "match_rms_adamw"). `auxiliary.lr` follows the same schedule.
    """

    kind: Literal["muon"] = "muon"
    lr: Positive = 0.02
    momentum: Unit = 0.95
    nesterov: bool = True
    iterations: Annotated[int, Field(ge=1, le=20)] = 5
    unit_filters: bool = False
    scale: Literal["none", "aspect", "rms"] = "aspect"
    auxiliary: Auxiliary = AdamW()


class ScheduleFreeSgd(Spec):
    """Schedule-Free SGD (Defazio et al. 2024, arXiv:2405.15682), by the package `schedulefree`."""

    kind: Literal["schedule-free-sgd"] = "schedule-free-sgd"
    lr: Positive = 1.0
    momentum: OpenUnit = 0.9
    warm_up_steps: NonNegativeInt = 0
    bn_images: PositiveInt = 10_000


class ScheduleFreeAdamW(Spec):
    """Schedule-Free AdamW (Defazio et al. 2024, arXiv:2405.15682), by the package `schedulefree`.

    As for averaged weights, BN's statistics are taken anew before an evaluation, from `bn_images` training images.
    """

    kind: Literal["schedule-free-adamw"] = "schedule-free-adamw"
    lr: Positive = 2.5e-3
    beta_1: OpenUnit = 0.9
    beta_2: Unit = 0.999
    epsilon: Positive = 1e-8
    warm_up_steps: NonNegativeInt = 0
    bn_images: PositiveInt = 10_000


Argument = bool | int | float | str | Annotated[tuple[float, ...], Strict(False)]


class PythonOptimizer(Spec):
    """A torch.optim.Optimizer of the user's own, by dotted name, constructed with lr and `arguments`.

    Its module must be allowed on the command line (`--allow-code mypkg`): a recipe from a stranger runs no code.
    """

    kind: Literal["python"] = "python"
    target: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", max_length=200)]
    lr: Positive = 1e-3
    arguments: Annotated[dict[str, Argument], Field(default_factory=dict)]


Optimizer = Annotated[
    Adam | AdamW | Nadam | Sgd | RmsProp | Lion | Lamb | Muon | ScheduleFreeSgd | ScheduleFreeAdamW | PythonOptimizer,
    Field(discriminator="kind"),
]


def momentum_of(spec: Optimizer) -> float | None:
    """Return the momentum that a schedule can move, None where the rule has none of its own."""
    match spec:
        case Adam() | AdamW():
            return spec.beta_1
        case Sgd() | RmsProp() | Muon():
            return spec.momentum
        case Nadam() | Lion() | Lamb() | ScheduleFreeSgd() | ScheduleFreeAdamW() | PythonOptimizer():
            return None
        case _:
            assert_never(spec)


# --- penalties and decay ------------------------------------------------------------------------------------------


class L2(Spec):
    """Adds strength * sum(w^2) over kernels to the loss (gradient 2*strength*w), as Keras's kernel_regularizer does."""

    kind: Literal["l2"] = "l2"
    strength: rates.Factor = 1e-4
    on: Literal["conv-kernels", "kernels"] = "conv-kernels"


class NoRegularisation(Spec):
    """The loss is the cross-entropy alone."""

    kind: Literal["none"] = "none"


Regularisation = Annotated[L2 | NoRegularisation, Field(discriminator="kind")]


class NoWeightDecay(Spec):
    """Weights shrink only as the gradient says."""

    kind: Literal["none"] = "none"


class Coupled(Spec):
    """Adds strength * w to the gradient and nothing to the loss: `weight_decay` of torch's SGD, Adam and RMSprop."""

    kind: Literal["coupled"] = "coupled"
    strength: NonNegative = 1e-4
    on: Touched = "all"
    schedule: rates.Schedule = rates.Constant()


class Decoupled(Spec):
    """Before the update, w -= lr * strength * w, with the lr of the step: AdamW as in Keras and torch.

    Keras's default strength is 0.004, torch's 0.01.
    """

    kind: Literal["decoupled"] = "decoupled"
    strength: NonNegative = 4e-3
    on: Touched = "all"
    schedule: rates.Schedule = rates.Constant()


class Independent(Spec):
    """Before the update, w -= strength * w, whatever the learning rate is."""

    kind: Literal["independent"] = "independent"
    strength: Unit = 1e-5
    on: Touched = "all"
    schedule: rates.Schedule = rates.Constant()

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.strength * rates.highest(self.schedule) >= 1:
            raise ValueError(
                "strength times the schedule's highest factor must stay below 1: weights would change sign"
            )
        return self


WeightDecay = Annotated[NoWeightDecay | Coupled | Decoupled | Independent, Field(discriminator="kind")]


# --- averaging ----------------------------------------------------------------------------------------------------


class NoAveraging(Spec):
    """Evaluation sees the weights as they are."""

    kind: Literal["none"] = "none"


class Ema(Spec):
    """Evaluation sees an exponential moving average: average += (1 - decay) * (w - average), after every `every` steps.

    BN's statistics are taken anew before an evaluation, from `bn_images` training images without augmentation.
    """

    kind: Literal["ema"] = "ema"
    decay: Unit = 0.999
    every: PositiveInt = 1
    bn_images: PositiveInt = 10_000


class Swa(Spec):
    """Evaluation sees the mean of the weights at the end of each epoch after `start` (Izmailov et al. 2018).

    `start` is a fraction of the budget; until then evaluation sees the weights as they are. BN's statistics as in
    `Ema`. arXiv:1803.05407.
    """

    kind: Literal["swa"] = "swa"
    start: Unit = 0.75
    bn_images: PositiveInt = 10_000


Averaging = Annotated[NoAveraging | Ema | Swa, Field(discriminator="kind")]
