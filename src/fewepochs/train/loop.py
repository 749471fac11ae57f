"""The story of a run: epochs of steps, an evaluation after each, a record for each.

    for record, cost in run(training, progress=Progress()):
        ...                      # store it, print it, stop: the caller's

The loop reads the device after an epoch's last step, and for each part of an evaluation and its penalty, which is off
the training clock. Between epochs, and whenever the loop has ended - after any step, if `progress` asks for it -
`training.snapshot()` is the whole state. Run again, it goes on as if nothing had happened, bit for bit, and so does
another Training that `restore`s the snapshot: a save or an evaluation in mid-epoch (`Progress.halt_every`, then
`evaluate`) is a stop that is gone on with. It costs the epoch's plan made and sent once more, and two readings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from fewepochs import controls, schedules
from fewepochs import recipe as recipes
from fewepochs.data import loader
from fewepochs.errors import CheckpointError, DataError, DivergedError, RecipeError
from fewepochs.nets import resnet
from fewepochs.nets.kernels import Kernels
from fewepochs.records import CostRecord, EpochRecord, EvaluationRecord
from fewepochs.specs import updates
from fewepochs.train import checkpoint, meters, replay
from fewepochs.train.step import EvaluationStoppedError, Rules, TrainingStep, sizes_of
from fewepochs.train.sums import Evaluation, Totals


@dataclass
class Progress:
    """Where the loop is: written by the loop, read by whoever watches.

    `stop`, `pause` and `pause_at` are written by whoever wants the loop to end: now and without another evaluation,
    after the step, or after the first step that ends at or after that time of `time.monotonic()`. With `halt_every` it
    ends after each step of the run that is a multiple of it, unless that ends an epoch. Plain numbers that the host
    knows anyway, so that watching costs the device nothing.
    """

    epoch: int = 0
    step: int = 0
    steps_per_epoch: int = 0
    phase: Literal["setup", "training", "evaluation"] = "setup"
    stop: bool = False
    pause: bool = False
    pause_at: float = math.inf
    halt_every: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the loop is to end after the step; it does one at least, unless it is to stop."""
        return self.stop or self.pause or time.monotonic() >= self.pause_at

    def halts(self, steps: int) -> bool:
        """Whether the loop is to end after so many steps of the run."""
        return self.halt_every is not None and steps % self.halt_every == 0


@dataclass
class Spent:
    """What the epoch in progress has cost so far; joules and busy seconds that are not known have a reason.

    Busy are the seconds of training in which the device was at work.
    """

    setup_seconds: float = 0.0
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    joules: float | None = 0.0
    joules_reason: str | None = None
    busy_seconds: float | None = 0.0
    busy_reason: str | None = None

    def add(self, reading: meters.Reading) -> None:
        """Add a stretch of training."""
        self.train_seconds += reading.seconds
        if self.joules is not None and reading.joules is not None:
            self.joules += reading.joules
        else:
            self.joules, self.joules_reason = None, self.joules_reason or reading.reason
        if self.busy_seconds is not None and reading.busy_seconds is not None:
            self.busy_seconds += reading.busy_seconds
        else:
            self.busy_seconds, self.busy_reason = None, self.busy_reason or reading.busy_reason

    @property
    def load(self) -> float | None:
        """Which part of the training seconds the device was at work, None where that is not known."""
        known = self.busy_seconds is not None and self.train_seconds > 0
        return min(1.0, self.busy_seconds / self.train_seconds) if known and self.busy_seconds is not None else None


class Training:
    """A run in memory: the device program, where it stands, and what it has cost.

    `kernels`: "fused" uses the compiled ones (see nets.kernels), "torch" torch's own operators, "inductor" what torch
    compiles, which takes `compile_seconds` here, so that no step does. Each repeats its bits; they differ in rounding,
    so a run keeps those that it began with. `allow_code`: packages and modules that the recipe's optimizer may come
    from; a recipe runs no code unless they cover it. `recorder` records the steps, so that they are replayed, with the
    same bits; where that cannot be, `not_recorded` says why. `together` is that of a `Runtime`.
    """

    def __init__(
        self,
        recipe: recipes.Recipe,
        *,
        data: loader.DeviceData,
        device: torch.device,
        kernels: Kernels = "torch",
        allow_code: Sequence[str] = (),
        recorder: replay.Recorder | None = None,
        together: int = 1,
    ) -> None:
        self.recipe = recipe
        self.kernels = kernels
        self.data = data
        self.device = device
        self.together = together
        self.meter = meters.Meter(device, together=together)
        height, width, channels = data.image
        network = resnet.build(
            recipe.network,
            image=resnet.ImageShape(height, width, channels),
            classes=data.classes,
            init_seed=recipe.stream_seed("init"),
            dropout_seed=recipe.stream_seed("dropout"),
            device=device,
            kernels=kernels,
        )
        self.batch_sizes = controls.batch_sizes(recipe)
        self.horizon = controls.horizon(recipe, images=len(data.train))
        self.program = TrainingStep(
            network,
            data=data,
            rules=_rules(recipe),
            batch_size=max(self.batch_sizes),
            precision=recipe.precision,
            bn_momentum=recipe.network.bn_momentum,
            allow_code=allow_code,
        )
        self.compile_seconds = self._compile() if kernels == "inductor" else 0.0
        self.recorded, self.not_recorded = self._record(recorder)
        self.epochs = 0
        self.epoch_steps = 0
        self.plateau = schedules.PlateauState()
        self.spent = Spent()

    def _sizes(self) -> list[int]:
        """Return the sizes of all batches that are trained on: whole ones and what is left at an epoch's end."""
        images = len(self.data.train)
        return sorted({size for batch in self.batch_sizes for size in sizes_of(images, batch=batch)})

    def _compile(self) -> float:
        """Let layers be compiled for all batches; return the seconds that it took."""
        begin = time.perf_counter()
        self.program.compile_layers(sizes=self._sizes())
        meters.synchronise(self.device)
        return time.perf_counter() - begin

    def _record(self, recorder: replay.Recorder | None) -> tuple[bool, str | None]:
        """Return whether steps are replayed, and why not where that was wished for."""
        if recorder is None:
            return False, None
        try:
            self.program.record(recorder, sizes=self._sizes())
        except replay.NotRecordedError as error:
            return False, str(error)
        return True, None

    @property
    def steps(self) -> int:
        """Steps done since the run began."""
        return self._steps(self.epochs, self.epoch_steps)

    def _steps(self, epochs: int, epoch_steps: int) -> int:
        return self.horizon.first(epochs + 1) + epoch_steps

    def snapshot(self) -> checkpoint.Snapshot:
        """Return the whole state, copied to the host."""
        # JSON has no infinity: a plateau that has seen no epoch has no best.
        plateau = {**asdict(self.plateau), "best": self.plateau.best if math.isfinite(self.plateau.best) else None}
        return checkpoint.Snapshot(
            tensors={name: tensor.detach().to("cpu", copy=True) for name, tensor in self.program.state().items()},
            facts=checkpoint.Facts(
                recipe=self.recipe.model_dump(mode="json", exclude_none=True),
                data=self.data.digest,
                steps=self.steps,
                epochs=self.epochs,
                epoch_steps=self.epoch_steps,
                plateau=checkpoint.Plateau(**plateau),
                spent=checkpoint.Spent(**asdict(self.spent)),
            ),
        )

    def restore(self, snapshot: checkpoint.Snapshot) -> None:
        """Take over the state of `snapshot`; raises where it belongs to another recipe or other data."""
        facts = snapshot.facts
        self._refuse_another_recipe(facts.recipe)
        if facts.data != self.data.digest:
            raise other_data(self.data.digest, facts.data)
        within = (*self.horizon.epoch_steps, 0)[facts.epochs : facts.epochs + 1]  # nothing beyond the budget
        if not within or facts.epoch_steps > within[0] or facts.steps != self._steps(facts.epochs, facts.epoch_steps):
            raise CheckpointError(f"the checkpoint stands at step {facts.steps}, epoch {facts.epochs}: impossible here")
        checkpoint.restore(snapshot.tensors, self.program.state())
        self.program.weights.publish()
        self.epochs, self.epoch_steps = facts.epochs, facts.epoch_steps
        plateau = facts.plateau.model_dump(exclude_none=True)
        self.plateau = schedules.PlateauState(**plateau)
        self.spent = Spent(**facts.spent.model_dump())

    def _refuse_another_recipe(self, saved: dict[str, Any]) -> None:
        try:
            begun = recipes.from_json(saved, source="the checkpoint's recipe")
        except RecipeError as error:
            raise CheckpointError(f"{error}\nAnother version of fewepochs wrote it; go on with that one.") from None
        differences = recipes.differences(begun, self.recipe)
        if differences:
            raise CheckpointError(
                "this run was begun with another recipe:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nA run keeps its recipe, its budget too: the schedule is a function of both. Put recipe.toml back "
                "as it was, or train the changed recipe as a run of its own."
            )


def _rules(recipe: recipes.Recipe) -> Rules:
    return Rules(
        optimizer=recipe.optimizer,
        regularisation=recipe.regularisation,
        weight_decay=recipe.weight_decay,
        clip_norm=recipe.clip_norm,
        label_smoothing=recipe.label_smoothing,
        augmentation=recipe.augmentation,
        mixing=recipe.mixing,
        averaging=recipe.averaging,
    )


def other_data(now: str, then: str) -> DataError:
    """Return the error for data of the digest `now` in a run that began with `then`."""
    return DataError(
        f"the data has changed since this run began: digest {now[:12]}..., then {then[:12]}...; "
        "give the same data with --data"
    )


def run(training: Training, *, progress: Progress) -> Iterator[tuple[EpochRecord, CostRecord]]:
    """Train until the budget is spent, or until `progress` asks to end; yield the records of each epoch as it ends.

    Raises DivergedError where the loop ends, or an epoch does, after a loss or gradient that was not finite - the
    weights are those before that step - or where weights are not: so no state that is yielded or left is spoiled.
    """
    while training.epochs < training.recipe.budget.epochs and not progress.stop:
        _train_epoch(training, progress=progress)
        totals = training.program.totals()
        if totals.diverged_at is not None:
            raise DivergedError(f"loss or gradient not finite at step {totals.diverged_at}")
        if not totals.finite:
            raise DivergedError(f"weights or statistics not finite after step {training.steps}")
        if training.epoch_steps < progress.steps_per_epoch:
            return
        try:
            closed = _close_epoch(training, totals=totals, progress=progress)
        except EvaluationStoppedError:
            return
        yield closed


def _train_epoch(training: Training, *, progress: Progress) -> None:
    """Train from where the epoch stands to its end, or to where `progress` asks to end."""
    program, epoch = training.program, training.epochs + 1
    steps, batch_size = training.horizon.epoch_steps[epoch - 1], training.batch_sizes[epoch - 1]
    progress.epoch, progress.step, progress.phase = epoch, training.epoch_steps, "training"
    progress.steps_per_epoch = steps
    stop = training.meter.start()
    drawn, moved = plan(training, epoch=epoch), _controls(training, epoch=epoch)
    program.begin_epoch(drawn, controls=moved, done=training.epoch_steps)
    images, before = len(training.data.train), training.horizon.first(epoch)
    while training.epoch_steps < steps and not progress.stop:
        program.step(min(batch_size, images - training.epoch_steps * batch_size))
        training.epoch_steps += 1
        progress.step = training.epoch_steps
        training.meter.beat()
        if training.epoch_steps == steps:  # with the last step, so that a state after it needs no second time
            program.end_epoch(done=epoch / training.recipe.budget.epochs)
        if progress.ended or progress.halts(before + training.epoch_steps):
            break
    training.spent.add(stop())


def evaluate(training: Training, *, progress: Progress) -> EvaluationRecord | None:
    """Evaluate the validation images in mid-epoch, where the loop has ended; None where the loss is not finite.

    Training goes on from here as if nothing had happened. Raises EvaluationStoppedError.
    """
    progress.phase = "evaluation"
    within = training.epoch_steps / training.horizon.epoch_steps[training.epochs]
    if isinstance(training.recipe.averaging, updates.Swa):
        within = 0.0  # it takes weights in at the ends of epochs: the average is that of the last one
    done = (training.epochs + within) / training.recipe.budget.epochs
    found = _evaluated(training, training.data.validation, done=done, progress=progress)
    part = found.parts[0]
    val_loss = part.loss / part.images + found.penalty
    if not math.isfinite(val_loss):
        return None
    return EvaluationRecord(
        step=training.steps, epoch=training.epochs + 1, val_loss=val_loss, val_acc=part.correct / part.images
    )


def _close_epoch(training: Training, *, totals: Totals, progress: Progress) -> tuple[EpochRecord, CostRecord]:
    """Evaluate, make the records, and step over into the next epoch."""
    data = training.data
    progress.phase = "evaluation"
    done = (training.epochs + 1) / training.recipe.budget.epochs
    parts = (data.validation,) if data.test is None else (data.validation, data.test)
    found = _evaluated(training, *parts, done=done, progress=progress)
    record = _record(training, totals=totals, found=found)
    spent = training.spent
    cost = CostRecord(
        epoch=record.epoch,
        setup_seconds=spent.setup_seconds,
        compile_seconds=spent.compile_seconds,
        train_seconds=spent.train_seconds,
        evaluation_seconds=spent.evaluation_seconds,
        images_per_second=totals.images / spent.train_seconds,
        joules=spent.joules,
        joules_source=training.meter.source,
        joules_reason=spent.joules_reason,
        load=spent.load,
        load_source=training.meter.load_source,
        load_reason=spent.busy_reason,
        peak_memory_bytes=training.meter.peak_memory_bytes(),
    )
    training.epochs, training.epoch_steps, training.spent = record.epoch, 0, Spent()
    return record, cost


def _evaluated(training: Training, *parts: loader.Part, done: float, progress: Progress) -> Evaluation:
    """Evaluate `parts` on the evaluation's clock; one that is stopped is done again, and its time is not counted."""
    stop = training.meter.start()
    found = training.program.evaluate(*parts, done=done, unwanted=lambda: progress.stop)
    training.spent.evaluation_seconds += stop().seconds
    return found


def _record(training: Training, *, totals: Totals, found: Evaluation) -> EpochRecord:
    epoch, penalty = training.epochs + 1, found.penalty
    validation, test = found.parts[0], found.parts[1] if len(found.parts) > 1 else None
    rates = _controls(training, epoch=epoch)[0]
    val_loss = validation.loss / validation.images + penalty
    if not math.isfinite(val_loss):
        raise DivergedError(f"validation loss not finite after epoch {epoch}")
    lr_logged = float(rates[-1])
    test_loss = math.nan if test is None else test.loss / test.images + penalty
    if training.recipe.plateau is not None:
        training.plateau, lr_logged = schedules.plateau_update(
            training.recipe.plateau, training.plateau, val_loss=val_loss, lr=lr_logged
        )
    return EpochRecord(
        epoch=epoch,
        step=training.steps,
        loss=totals.loss / totals.images,
        acc=totals.correct / totals.images,
        val_loss=val_loss,
        val_acc=validation.correct / validation.images,
        test_loss=test_loss if math.isfinite(test_loss) else None,  # test images decide nothing, not even divergence
        test_acc=None if test is None else test.correct / test.images,
        penalty=penalty,
        lr_first=float(rates[0]),
        lr_last=float(rates[-1]),
        lr_logged=lr_logged,
    )


def plan(training: Training, *, epoch: int) -> loader.EpochPlan:
    """Return what is random in `epoch` (1-based): its order and its draws."""
    recipe = training.recipe
    return loader.plan_epoch(
        training.data,
        augmentation=recipe.augmentation,
        mixing=recipe.mixing,
        steps=training.horizon.epoch_steps[epoch - 1],
        order_seed=recipe.stream_seed("order"),
        augmentation_seed=recipe.stream_seed("augmentation"),
        epoch=epoch,
    )


def _controls(training: Training, *, epoch: int) -> schedules.Rates:
    """Return learning rate, momentum and weight decay of each step of `epoch`: float64 [3, steps]."""
    horizon, scale = training.horizon, training.plateau.scale
    return controls.of_epoch(training.recipe, epoch=epoch, horizon=horizon, plateau_scale=scale)
