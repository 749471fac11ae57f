"""One step as one program on the device.

    index, draws   = order[cursor : cursor + B]                       gathered on the device
    x, y           = augment(normalise(images[index])), labels[index]
    loss           = cross-entropy(network(x), y) + strength * sum(kernels^2)
    gradient       = d loss / d weights, one vector
    weights        = optimizer(weights, gradient, learning rate, momentum and weight decay of step k)
    sums          += loss * B, correct, B

Everything it reads and writes is a tensor on the device: the host sends an epoch's order, draws and controls before the
epoch and reads the sums after it, and in between only says "another step". So the same step runs eagerly, compiled,
or as a replayed graph.

A loss or gradient that is not finite freezes the weights, the optimizer and the moving statistics from that step
on; the host learns of it when it next reads, and of weights that an update has thrown out of range. In float16 a step
whose gradient overflows is skipped and the loss scale halved (Keras's LossScaleOptimizer: 2^15, doubled after 2000).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewepochs import schedules
from fewepochs.data import augment, loader, mixing
from fewepochs.nets import layers
from fewepochs.optim import build as optimizers
from fewepochs.optim.layout import Controls
from fewepochs.specs import base, inputs, updates
from fewepochs.train import replay
from fewepochs.train.averaging import WeightAverage, bn_images
from fewepochs.train.sums import Evaluation, PartSums, Totals
from fewepochs.train.tables import EpochTables
from fewepochs.train.weights import MovingStatistics, Weights

DTYPES: dict[base.Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
EVALUATION_BATCH = 500
"""Images evaluated at once. A constant, because rounding depends on it."""
INITIAL_LOSS_SCALE = 2.0**15
LOSS_SCALE_GROWTH_STEPS = 2000


class EvaluationStoppedError(Exception):
    """Whoever asked for an evaluation does not want it any more; the state is what it was before."""


class Rules(base.Spec):
    """What a recipe says of a step beside network, data, batch size and precision."""

    optimizer: updates.Optimizer = updates.Adam()
    regularisation: updates.Regularisation = updates.NoRegularisation()
    weight_decay: updates.WeightDecay = updates.NoWeightDecay()
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    augmentation: inputs.Augmentation = inputs.NoAugmentation()
    mixing: inputs.Mixing = inputs.NoMixing()
    averaging: updates.Averaging = updates.NoAveraging()


class TrainingStep:
    """The device program of a run: its network, its optimizer, its data, and all of its state as tensors."""

    def __init__(
        self,
        network: nn.Module,
        *,
        data: loader.DeviceData,
        rules: Rules,
        batch_size: int,
        precision: base.Precision,
        bn_momentum: float = layers.BN_MOMENTUM,
        allow_code: Sequence[str] = (),
    ) -> None:
        self.network = network
        self._data = data
        self._dtype = DTYPES[precision]
        self._scaled = precision == "float16"
        self._rules = rules
        self.weights = Weights(network, dtype=self._dtype)
        self.statistics = MovingStatistics(network, dtype=self._dtype, momentum=bn_momentum)
        layout = self.weights.layout
        self.optimizer = optimizers.build(
            rules.optimizer, layout=layout, weight_decay=rules.weight_decay, allow_code=allow_code
        )
        averaging = rules.averaging
        self.average = None
        if not isinstance(averaging, updates.NoAveraging):
            self.average = WeightAverage(averaging, weights=self.weights.master)
        l2 = rules.regularisation if isinstance(rules.regularisation, updates.L2) else updates.L2(strength=0.0)
        self._strength, self._penalised = l2.strength, layout.vector[: layout.touched(l2.on)]
        device = data.train.labels.device
        self._offsets = torch.arange(max(min(batch_size, len(data.train)), EVALUATION_BATCH), device=device)
        # The epoch in progress: filled by begin_epoch, walked through by step.
        self._tables = EpochTables(len(data.train), augmentation=rules.augmentation, mixing=rules.mixing, device=device)
        self._on_host = [(0.0, 0.0, 0.0)]
        self._step_on_host = 0
        self._counts = {name: torch.zeros((), dtype=torch.int64, device=device) for name in _COUNTS}
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._loss_scale = torch.full((), INITIAL_LOSS_SCALE if self._scaled else 1.0, device=device)
        self._evaluated = PartSums(device)
        self._replays = replay.Replays()
        for module in network.modules():
            if isinstance(module, layers.Dropout):
                module.step = self._counts["steps"]

    def compile_layers(self, *, sizes: Iterable[int]) -> None:
        """Let layers that are compiled meet every batch of a run: `sizes` in training, and the evaluations'.

        The state stays as it is, bit for bit.
        """
        train, rules = self._data.train, self._rules
        self.network.train()
        for size in sizes:
            self.gradient(self.inputs(train.pixels[:size]), train.labels[:size])
        with torch.no_grad():
            taken = min(bn_images(rules.averaging, rules.optimizer), len(train))
            for size in sizes_of(taken, batch=EVALUATION_BATCH):
                self.network(self.inputs(train.pixels[:size]))
        for part in filter(None, (self._data.validation, self._data.test)):
            for work in dict(self._evaluation(part)).values():
                work()
            self._evaluated.clear()

    def record(self, recorder: replay.Recorder, *, sizes: Iterable[int]) -> None:
        """Record a step of each of `sizes` images, and the evaluation of the data's parts, to be replayed from now on.

        Before an epoch is begun. The state stays as it is, bit for bit. Raises NotRecordedError, and steps are then
        done one operation after the other, as they are without a recording.
        """
        if not optimizers.on_device(self._rules.optimizer):
            raise replay.NotRecordedError(f"the optimizer {self._rules.optimizer.kind!r} reads the device in each step")
        works: dict[Hashable, replay.Work] = {("step", size): partial(self._step, size) for size in sizes}
        for part in filter(None, (self._data.validation, self._data.test)):
            works.update(self._evaluation(part))
        kept = {name: tensor.clone() for name, tensor in self.state().items()}

        def restore() -> None:
            for name, live in self.state().items():
                live.copy_(kept[name])
            self.weights.publish()
            self._evaluated.clear()

        self._replays.record(works, recorder=recorder, restore=restore)

    # --- an epoch ---------------------------------------------------------------------------------------------

    def begin_epoch(self, plan: loader.EpochPlan, *, controls: schedules.Rates, done: int = 0) -> None:
        """Take over an epoch's plan and its `controls` float64 [3, steps]: learning rate, momentum, weight decay.

        `done` steps of the epoch were done before: the place in it and the sums stand as they were restored.
        """
        self._tables.fill(plan, controls=controls)
        self._on_host = list(zip(*controls.tolist(), strict=True))
        self._step_on_host = done
        if done == 0:
            for name in ("cursor", "epoch_steps", "correct", "images"):
                self._counts[name].zero_()
            self._loss_sum.zero_()

    def step(self, size: int) -> None:
        """Train on the next `size` images of the epoch: a batch, or what is left at its end."""
        self._replays.do(("step", size), partial(self._step, size))
        self._step_on_host += 1

    def _step(self, size: int) -> None:
        self.network.train()
        with torch.no_grad():
            rows = self._counts["cursor"] + self._offsets[:size]
            x_NCHW, labels_N, share = self._batch(rows)
        logits_NK = self.network(x_NCHW).to(self._wide)
        loss = self.loss(logits_NK, labels_N)
        if share is not None:
            loss = torch.lerp(self.loss(logits_NK, labels_N.flip(0)), loss, share.to(loss.dtype))
            labels_N = torch.where(share >= 0.5, labels_N, labels_N.flip(0))  # counted by the label that weighs more
        scaled = loss * self._loss_scale if self._scaled else loss
        gradients = torch.autograd.grad(scaled, self.weights.parameters)
        with torch.no_grad():
            self._update(loss, gradients, size=size)
            self._count(logits_NK, labels_N, size=size)

    @torch.no_grad()
    def evaluate(self, *parts: loader.Part, done: float, unwanted: Callable[[], bool] = lambda: False) -> Evaluation:
        """Return the sums over each of `parts`, with the moving statistics, without augmentation.

        `done` is the share of the budget that is done, above 0. Where weights are averaged, the average is evaluated,
        with statistics of its own; training goes on from the weights and statistics as they were, bit for bit. Raises
        EvaluationStoppedError once `unwanted` answers yes; it is asked before each batch.
        """
        average = self.optimizer.averaged() if self.average is None else self.average.average(done=done)
        if average is None:
            return self._found(parts, unwanted=unwanted)
        weights, statistics = self.weights.master.clone(), self.statistics.moving.clone()
        try:
            self.weights.master.copy_(average)
            self.weights.publish()
            self._take_statistics()
            return self._found(parts, unwanted=unwanted)
        finally:
            self.weights.master.copy_(weights)
            self.weights.publish()
            self.statistics.moving.copy_(statistics)

    def end_epoch(self, *, done: float) -> None:
        """Do what is done once an epoch, after its last step; `done` is the share of the budget that is done."""
        if self.average is not None:
            self.average.after_epoch(done=done)

    def _take_statistics(self) -> None:
        """Let the moving statistics be those of the first training images, at the weights as they are.

        Mean and variance over all of them: the variance is the mean of the batches' variances and the variance of
        their means.
        """
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, layers.Dropout):
                module.eval()
        pixels = self._data.train.pixels[: bn_images(self._rules.averaging, self._rules.optimizer)]
        for start in range(0, len(pixels), EVALUATION_BATCH):
            batch = pixels[start : start + EVALUATION_BATCH]
            self.network(self.inputs(batch))
            self.statistics.pool(batch_size=len(batch), before=start)

    def _found(self, parts: Sequence[loader.Part], *, unwanted: Callable[[], bool]) -> Evaluation:
        return Evaluation(tuple(self._sums(part, unwanted=unwanted) for part in parts), float(self.penalty()))

    def _sums(self, part: loader.Part, *, unwanted: Callable[[], bool]) -> Totals:
        self._evaluated.clear()
        for key, work in self._evaluation(part):
            if unwanted():
                raise EvaluationStoppedError
            self._replays.do(key, work)
        loss, correct = self._evaluated.read()
        return Totals(loss, correct, len(part), None)

    def _evaluation(self, part: loader.Part) -> Iterator[tuple[Hashable, replay.Work]]:
        """Yield the batches of an evaluation of `part`: a key, the same for batches of one size, and what is done."""
        for start in range(0, len(part), EVALUATION_BATCH):
            size = min(EVALUATION_BATCH, len(part) - start)
            yield ("evaluation", id(part), size), partial(self._evaluate_batch, part, size)

    @torch.no_grad()
    def _evaluate_batch(self, part: loader.Part, size: int) -> None:
        """Add the next `size` images of `part` to the sums."""
        self.network.eval()
        rows = self._evaluated.cursor + self._offsets[:size]
        labels_N = part.labels[rows]
        logits_NK = self.network(self.inputs(part.pixels[rows])).to(self._wide)
        self._evaluated.loss += self.loss(logits_NK, labels_N, reduction="sum")
        self._evaluated.correct += (logits_NK.argmax(1) == labels_N).sum()
        self._evaluated.cursor += size

    def totals(self) -> Totals:
        """Read the epoch's sums so far; here the host waits for the device."""
        finite = self.weights.master.isfinite().all() & self.statistics.moving.isfinite().all()
        read = torch.stack([self._loss_sum, finite.double(), *(self._counts[name].double() for name in _READ)]).tolist()
        return Totals(read[0], int(read[2]), int(read[3]), int(read[4]) or None, finite=read[1] == 1.0)

    def state(self) -> dict[str, Tensor]:
        """Return everything that a resumed run needs, by name: the live tensors, to be copied out or into."""
        return {
            "weights": self.weights.master,
            "statistics": self.statistics.moving,
            "loss_sum": self._loss_sum,
            "loss_scale": self._loss_scale,
            **{f"count.{name}": count for name, count in self._counts.items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()},
            **{f"average.{n}": tensor for n, tensor in (self.average.state() if self.average else {}).items()},
        }

    # --- for whoever looks at the weights as they are -----------------------------------------------------------

    @torch.no_grad()
    def look(self, *parts: loader.Part) -> Evaluation:
        """Return the sums over each of `parts` at the weights and moving statistics as they are, averaged or not."""
        return self._found(parts, unwanted=lambda: False)

    def inputs(self, pixels_NHWC: Tensor, *, draws: augment.Draws | None = None) -> Tensor:
        """Return stored pixels uint8 [N, H, W, C] as the network takes them: normalised, augmented where draws are."""
        x_NHWC = self._data.normalise(pixels_NHWC, dtype=self._wide)
        if draws is not None:
            x_NHWC = augment.augment(x_NHWC, draws, spec=self._rules.augmentation)
        return self._input(x_NHWC)

    def logits(self, x_NCHW: Tensor) -> Tensor:
        """Return the network's answer [N, K] in the type that losses are computed in; its mode is the caller's."""
        logits_NK: Tensor = self.network(x_NCHW).to(self._wide)
        return logits_NK

    def loss(self, logits_NK: Tensor, labels_N: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the cross-entropy, labels smoothed as in training, without the penalty."""
        return F.cross_entropy(logits_NK, labels_N, reduction=reduction, label_smoothing=self._rules.label_smoothing)

    def penalty(self) -> Tensor:
        """Return the L2 penalty at the weights as they are; 0 where there is none."""
        # Not torch.dot: its float32 sum of 1.6 million squares is off by 2e-6, this one by 7e-8.
        return self._strength * self._penalised.square().sum()

    def gradient(self, x_NCHW: Tensor, labels_N: Tensor) -> Tensor:
        """Return the gradient [P] of the batch's loss without the penalty; nothing moves, the mode is the caller's."""
        loss = self.loss(self.logits(x_NCHW), labels_N)
        scaled = loss * self._loss_scale if self._scaled else loss
        gradient = self.weights.gather(torch.autograd.grad(scaled, self.weights.parameters))
        return gradient.div_(self._loss_scale) if self._scaled else gradient

    @torch.no_grad()
    def penalty_gradient(self) -> Tensor:
        """Return the gradient [P] of the penalty: 2 * strength * w where it is penalised, 0 elsewhere."""
        gradient = torch.zeros_like(self.weights.master)
        gradient[: self._penalised.numel()] = 2.0 * self._strength * self._penalised
        return gradient

    # --- the parts of a step ----------------------------------------------------------------------------------

    @property
    def _wide(self) -> torch.dtype:
        return self.weights.master.dtype

    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return images [N, C, H, W], labels [N], and the share of the labels where pairs are mixed."""
        index = self._tables.order[rows]
        x_NHWC = self._data.normalise(self._data.train.pixels[index], dtype=self._wide)
        draws, row = self._tables.draws(rows), self._tables.mixing(self._counts["epoch_steps"])
        if draws is not None:
            x_NHWC = augment.augment(x_NHWC, draws, spec=self._rules.augmentation)
        share = None
        if row is not None and not isinstance(self._rules.mixing, inputs.NoMixing):
            x_NHWC, share = mixing.mix(x_NHWC, row, spec=self._rules.mixing), row[0]
        return self._input(x_NHWC), self._data.train.labels[index], share

    def _input(self, x_NHWC: Tensor) -> Tensor:
        return x_NHWC.permute(0, 3, 1, 2).to(self._dtype)

    def _update(self, loss: Tensor, gradients: tuple[Tensor, ...], *, size: int) -> None:
        counts = self._counts
        gradient = self.weights.gather(gradients)
        if self._scaled:
            gradient.div_(self._loss_scale)
        if self._strength:
            gradient[: self._penalised.numel()].add_(self._penalised, alpha=2.0 * self._strength)
        loss = loss.double() + self.penalty()
        # A gradient whose square overflows would poison second moments a step later: it counts as not finite now.
        finite = torch.linalg.vector_norm(gradient, ord=float("inf")).square().isfinite()
        fatal = ~loss.isfinite() if self._scaled else ~(finite & loss.isfinite())
        counts["steps"] += 1
        counts["diverged_at"].add_(counts["steps"] * (fatal & (counts["diverged_at"] == 0)))
        healthy = counts["diverged_at"] == 0
        live = (healthy & finite).double()
        self._loss_sum += loss * size
        self.optimizer.update(self._clipped(torch.where(live > 0, gradient, 0.0)), self._step_controls(live))
        self.statistics.update(batch_size=size, live=healthy.double())
        if self.average is not None:
            self.average.after_step(live=live)
        self.weights.publish()
        if self._scaled:
            self._rescale(finite)

    def _clipped(self, gradient: Tensor) -> Tensor:
        """Scale the gradient to the norm `clip_norm` where it is longer, as Keras's global_clipnorm does."""
        if self._rules.clip_norm is None:
            return gradient
        norm = torch.linalg.vector_norm(gradient)
        return gradient.mul(self._rules.clip_norm / norm.clamp_min(self._rules.clip_norm))

    def _step_controls(self, live: Tensor) -> Controls:
        lr, momentum, decay = self._tables.controls(self._counts["epoch_steps"])
        on_host = self._on_host[self._step_on_host]
        return Controls(lr=lr, momentum=momentum, decay=decay, live=live, on_host=on_host)

    def _rescale(self, finite: Tensor) -> None:
        steps = self._counts["scale_steps"]
        steps.add_(1).mul_(finite)
        grown = steps == LOSS_SCALE_GROWTH_STEPS
        self._loss_scale.mul_(torch.where(finite, torch.where(grown, 2.0, 1.0), 0.5))
        steps.mul_(~grown)

    def _count(self, logits_NK: Tensor, labels_N: Tensor, *, size: int) -> None:
        counts = self._counts
        counts["correct"] += (logits_NK.argmax(1) == labels_N).sum()
        counts["images"] += size
        counts["cursor"] += size
        counts["epoch_steps"] += 1


def sizes_of(images: int, *, batch: int) -> set[int]:
    """Return the sizes of the batches that so many images come in: whole ones, and what is left at the end."""
    return {min(batch, images), images % batch} - {0}


_COUNTS = ("cursor", "epoch_steps", "steps", "correct", "images", "diverged_at", "scale_steps")
_READ = ("correct", "images", "diverged_at")
