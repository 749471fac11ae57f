"""What a run leaves behind, as values.

Two records, because two different promises are made. An `EpochRecord` repeats bit for bit: in a resumed run, in a
second run of the same recipe and seed. A `CostRecord` is what this machine needed that day, and is never compared.
An absent value is None (with a reason where the reader will ask for one), never 0, -1 or NaN.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """A frozen, strict value; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class EpochRecord(Record):
    """What one epoch of training did; equal bit for bit between a run and its resumed twin.

    Losses are means over images and contain the L2 penalty, as Keras reports them: `loss` averages each batch's
    loss at the weights before that batch's update, weighted by batch size; `val_loss` is taken at the weights
    after the epoch. `acc` and `val_acc` are fractions. `test_loss` and `test_acc` are None where the validation
    images are the test images, `test_loss` also where it is not finite.

    `lr_first` and `lr_last` are the learning rates of the epoch's first and last step. `lr_logged` is the rate
    that Keras's history would show for the epoch: the one that stands in the optimizer after all callbacks
    of the epoch's end, which ReduceLROnPlateau may already have lowered (Keras 3.15, a LearningRateScheduler after it).
    """

    epoch: Annotated[int, Field(ge=1)]
    step: Annotated[int, Field(ge=1)]
    loss: Finite
    acc: Fraction
    val_loss: Finite
    val_acc: Fraction
    test_loss: Finite | None = None
    test_acc: Fraction | None = None
    penalty: Finite
    lr_first: Finite
    lr_last: Finite
    lr_logged: Finite


class EvaluationRecord(Record):
    """What an evaluation on request found after `step` steps, in the epoch `epoch`; repeats bit for bit, too.

    `val_loss` and `val_acc` mean what they mean in an `EpochRecord`, and are those at the end of an epoch.
    """

    step: Annotated[int, Field(ge=1)]
    epoch: Annotated[int, Field(ge=1)]
    val_loss: Finite
    val_acc: Fraction


class ForeignEpoch(Record):
    """What another tool's file says of one epoch; what it does not say is None.

    Fields mean what they mean in an `EpochRecord`, as far as the other tool means the same: whether its losses
    contain a penalty is not known, and `lr_logged` is the one rate that it wrote for the epoch.
    """

    epoch: Annotated[int, Field(ge=1)]
    step: Annotated[int, Field(ge=1)] | None = None
    loss: Finite | None = None
    acc: Fraction | None = None
    val_loss: Finite | None = None
    val_acc: Fraction
    test_acc: Fraction | None = None
    lr_logged: Finite | None = None


Epoch = EpochRecord | ForeignEpoch
"""An epoch of a run, whoever trained it."""


class CostRecord(Record):
    """What one epoch cost on the machine it ran on.

    Seconds are monotonic, by phase. `setup_seconds` (data read and sent to the device, network and optimizer built, a
    checkpoint read; not Python's imports) and `compile_seconds` (compiled kernels made or loaded on first use; 0 where
    there are none) belong to a start of the process, and are not zero only in the first epoch after one; a run
    may have had several. `evaluation_seconds` hold evaluations on request, too. `joules` is the energy of the training
    phase, None with `joules_reason` when nothing could be measured, and so is `load`, how busy the device was
    meanwhile: on CUDA the part of the time in which it computed, on a CPU the process's time over that of all its
    cores. `peak_memory_bytes` is device memory on CUDA and the process's resident peak on a CPU. `images_per_second`
    counts training images over training seconds. Records of older runs have neither `compile_seconds` nor `load`.
    """

    epoch: Annotated[int, Field(ge=1)]
    setup_seconds: Annotated[float, Field(ge=0)]
    compile_seconds: Annotated[float, Field(ge=0)] | None = None
    train_seconds: Annotated[float, Field(ge=0)]
    evaluation_seconds: Annotated[float, Field(ge=0)]
    images_per_second: Annotated[float, Field(ge=0)]
    joules: Annotated[float, Field(ge=0)] | None = None
    joules_source: str | None = None
    joules_reason: str | None = None
    load: Fraction | None = None
    load_source: str | None = None
    load_reason: str | None = None
    peak_memory_bytes: Count | None = None

    @property
    def seconds(self) -> float:
        """Seconds in all, set-up, compiling and evaluation included."""
        return self.setup_seconds + (self.compile_seconds or 0.0) + self.train_seconds + self.evaluation_seconds


class Crossing(Record):
    """Whether, and after how many epochs, a run reached a target.

    `rule` is "first" (the first epoch with val_acc >= target) or "held" (the first epoch from which
    `hold` evaluations in a row reach it). When `reached` is False, `epoch` is None and the run is censored at
    `censored_at` epochs: it needed more than that. `pinned` marks a crossing within two epochs after a drop of the
    learning rate: the schedule's position, not the optimizer's merit; None where the rates are not known.
    `train_seconds` and `joules` are summed over the epochs up to the crossing, None where unknown.
    """

    target: Fraction
    rule: Literal["first", "held"]
    hold: Annotated[int, Field(ge=1)]
    reached: bool
    epoch: Annotated[int, Field(ge=1)] | None
    step: Annotated[int, Field(ge=1)] | None
    censored_at: Count | None
    pinned: bool | None
    train_seconds: Annotated[float, Field(ge=0)] | None = None
    joules: Annotated[float, Field(ge=0)] | None = None


class Best(Record):
    """The highest validation accuracy so far and the first epoch that had it."""

    val_acc: Fraction
    epoch: Annotated[int, Field(ge=1)]


RunState = Literal["running", "finished", "interrupted", "diverged", "crashed"]
Stopped = Literal["target", "given-up", "paused"]
"""Why a run was left before its budget: by a part of its stopping rule (`stats.stopping`), or by a search that has not
promoted it."""


class RunStatus(Record):
    """Where a run stands; rewritten whole at each change, never compared.

    `epochs` of `budget` are done. `reason` says in words why a run is not simply running or finished
    ("target 0.92 reached", "loss not finite at step 812"); `stopped` says it of a run that its stopping rule ended.
    `heartbeat` is UTC, ISO 8601.
    """

    state: RunState
    epochs: Count
    budget: Annotated[int, Field(ge=1)]
    reason: str | None = None
    stopped: Stopped | None = None
    crossings: tuple[Crossing, ...] = ()
    best: Best | None = None
    host: str | None = None
    pid: int | None = None
    heartbeat: str
