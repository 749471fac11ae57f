"""The learning-rate range test: train from fresh weights while the rate rises, and see where the loss falls and rises.

    for curve in measure(recipe, seeds=(0, 1, 2), sweep=Sweep(), ...):
        ...                      # one curve a seed

It is the recipe's own device program, step by step: data, augmentation, network, optimizer, penalties, precision and
batch size are the recipe's, and initial weights, order and draws are those of a run with that seed. What moves over a
budget is left out: schedules of rate, momentum, weight decay and batch size stand at 1; plateau, averaging and warm-up
are off. Whatever follows the rate in training follows it here: a decoupled weight decay, the auxiliary rate of Muon.

Batches are whole: an epoch's last, smaller one is left out, because its loss would be noisier than its neighbours'.
Losses contain the L2 penalty, as everywhere. The host reads the device once in READ_EVERY steps; it may therefore learn
of a sweep's end some steps late, and what was measured after it is dropped.

Source: Smith 2017, arXiv:1506.01186, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.probes import bench as benches
from fewepochs.probes import smoothing
from fewepochs.probes.sweeps import Curve, Stop, Sweep, Values
from fewepochs.specs import rates, updates
from fewepochs.train import loop, replay

READ_EVERY = 20
"""Steps from one reading of the device to the next."""


@dataclass
class Progress:
    """Where the measurement is: written by it, read by whoever watches; `stop` is written by whoever wants it to end.

    `lr` and `loss` (smoothed, None before there is one) are those of the last reading.
    """

    seed: int = 0
    step: int = 0
    lr: float | None = None
    loss: float | None = None
    stop: bool = False


def measure(
    recipe: recipes.Recipe, *, seeds: Sequence[int], sweep: Sweep, bench: benches.Bench, progress: Progress
) -> Iterator[Curve]:
    """Sweep each seed from fresh weights; yield its curve as it ends. After `progress.stop` no other seed is begun."""
    for seed in seeds:
        if progress.stop:
            return
        progress.seed, progress.step, progress.lr, progress.loss = seed, 0, None, None
        spec = unscheduled(recipe.model_copy(update={"seed": seed}), steps=sweep.steps)
        training = loop.Training(
            spec,
            data=bench.data,
            device=bench.device,
            kernels=bench.kernels,
            allow_code=bench.allow_code,
            recorder=replay.recorder(bench.device),
        )
        yield _Sweeping(training, sweep=sweep, progress=progress).run()


def unscheduled(recipe: recipes.Recipe, *, steps: int) -> recipes.Recipe:
    """Return `recipe` with nothing that moves over its budget, which becomes long enough for `steps` steps."""
    decay, optimizer = recipe.weight_decay, recipe.optimizer
    if not isinstance(decay, updates.NoWeightDecay):
        decay = decay.model_copy(update={"schedule": rates.Constant()})
    if isinstance(optimizer, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW):
        optimizer = optimizer.model_copy(update={"warm_up_steps": 0})
    return recipe.model_copy(
        update={
            "optimizer": optimizer,
            "weight_decay": decay,
            "averaging": updates.NoAveraging(),
            "schedule": rates.Constant(),
            "momentum_schedule": rates.Constant(),
            "batch_schedule": rates.Constant(),
            "plateau": None,
            "budget": recipe.budget.model_copy(update={"epochs": steps}),
        }
    )


class _Sweeping:
    """A seed's sweep: the losses stay on the device until a reading fetches them."""

    def __init__(self, training: loop.Training, *, sweep: Sweep, progress: Progress) -> None:
        self._training, self._sweep, self._progress = training, sweep, progress
        self._rates = sweep.rates()
        self._epoch_steps = len(training.data.train) // training.recipe.batch_size
        # The epoch's running sum after each step: what a step added is found when it is read.
        self._sums = torch.zeros(sweep.steps, dtype=torch.float64, device=training.device)
        self._losses: Values = np.zeros(0)

    def run(self) -> Curve:
        """Sweep until the end, until the loss explodes, or until a wish to stop."""
        done, steps = 0, self._sweep.steps
        while done < steps and not self._progress.stop:
            before = done
            while done < min(steps, before + READ_EVERY) and not self._progress.stop:
                self._step(done)
                done += 1
                self._progress.step = done
            stop = self._read(before, done)
            if stop is not None:
                return self._curve(stop)
        if done < steps:
            return self._curve(Stop("interrupted", done, float(self._rates[min(done, steps - 1)])))
        return self._curve(Stop("end", steps, float(self._rates[-1])))

    def _step(self, done: int) -> None:
        """Train on one batch at the rate after `done` steps, without waiting for the device."""
        program, recipe = self._training.program, self._training.recipe
        place = done % self._epoch_steps
        if place == 0:
            epoch = 1 + done // self._epoch_steps
            program.begin_epoch(loop.plan(self._training, epoch=epoch), controls=self._controls(done, epoch=epoch))
        program.step(recipe.batch_size)
        self._sums[done].copy_(program.state()["loss_sum"])

    def _controls(self, done: int, *, epoch: int) -> Values:
        """Return rate, momentum and weight decay of the `epoch` that begins after `done` steps: float64 [3, steps]."""
        training = self._training
        moved = controls.of_epoch(training.recipe, epoch=epoch, horizon=training.horizon)
        moved = moved[:, : min(self._epoch_steps, self._sweep.steps - done)]
        moved[0] = self._rates[done : done + moved.shape[1]]
        return moved

    def _read(self, first: int, after: int) -> Stop | None:
        """Fetch the losses of steps `first` to `after` - 1; return why the sweep is over, if it is."""
        if first == after:
            return None
        diverged_at = self._training.program.state()["count.diverged_at"].double().reshape(1)
        read = torch.cat([self._sums[max(0, first - 1) : after], diverged_at]).tolist()
        sums, frozen_at = np.array(read[:-1]), int(read[-1])
        sums = sums if first else np.concatenate([[0.0], sums])
        begins = np.arange(first, after) % self._epoch_steps == 0
        with np.errstate(invalid="ignore"):  # after a loss that was not finite all sums are so
            added = sums[1:] - np.where(begins, 0.0, sums[:-1])
        self._losses = np.concatenate([self._losses, added / self._training.recipe.batch_size])
        stop = self._stop(frozen_at)
        kept = self._losses if stop is None else self._losses[: stop.steps]
        self._progress.lr = float(self._rates[after - 1] if stop is None else stop.lr)
        if len(kept):
            self._progress.loss = float(smoothing.past(kept, weight=self._sweep.weight)[-1])
        return stop

    def _stop(self, frozen_at: int) -> Stop | None:
        """Return how the losses end the sweep, or how the device did, frozen at step `frozen_at` (from 1; 0: not)."""
        live = self._losses if frozen_at == 0 else self._losses[: frozen_at - 1]
        above = smoothing.stop_step(live, sweep=self._sweep)
        if above is not None:
            return Stop("loss", above + 1, float(self._rates[above]))
        return None if frozen_at == 0 else Stop("not finite", frozen_at - 1, float(self._rates[frozen_at - 1]))

    def _curve(self, stop: Stop) -> Curve:
        seed = self._training.recipe.seed
        return Curve(seed, self._rates[: stop.steps], self._losses[: stop.steps], stop)
