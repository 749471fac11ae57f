"""Runs made of numbers alone, as a store would read them; nothing is trained, and only `write` makes folders."""

from __future__ import annotations

import dataclasses
import math
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.records import CostRecord, EpochRecord, RunState, RunStatus

RECIPE = """
name = "digits-step"
summary = "A small net on digits"
targets = [0.9, 0.97]
[data]
kind = "digits"
[network]
kind = "resnet-v1"
depth = 8
[regularisation]
kind = "l2"
[budget]
epochs = 20
"""

ENVIRONMENT: Mapping[str, Any] = {
    "command": ["fewepochs", "train", "digits-step", "--seed", "0"],
    "device": {"kind": "cpu", "name": None},
    "threads": 2,
    "versions": {"python": "3.11.7", "torch": "2.6.0"},
}


def make_run(
    *overrides: str,
    seed: int = 0,
    epochs: int = 20,
    plateau: float = 0.98,
    state: RunState = "finished",
    reason: str | None = None,
    folder: str | None = None,
    joules: float | None = None,
    costed: int | None = None,
    drop_after: int | None = None,
    test: bool = False,
    environment: Mapping[str, Any] = ENVIRONMENT,
) -> store.StoredRun:
    """Return a run; `overrides` go to the recipe, the others are what the run left behind."""
    recipe = recipes.parse(RECIPE, source="test", overrides=overrides, seed=seed)
    curve = tuple(_epoch(e, seed=seed, plateau=plateau, drop_after=drop_after, test=test) for e in range(1, epochs + 1))
    costs = tuple(_cost(record.epoch, joules=joules) for record in curve[:costed])
    status = RunStatus(
        state=state, epochs=epochs, budget=recipe.budget.epochs, reason=reason, heartbeat="2026-01-01T00:00:00+00:00"
    )
    return store.StoredRun(Path("runs") / (folder or store.run_name(recipe)), recipe, status, curve, costs, environment)


def killed(run: store.StoredRun) -> store.StoredRun:
    """Return the run as SIGKILL leaves it: running by its status, of a process that is gone; none has such a number."""
    words = {"state": "running", "host": socket.gethostname(), "pid": 1 << 30}
    return dataclasses.replace(run, status=run.status.model_copy(update=words))


def write(folder: Path, *runs: store.StoredRun) -> Path:
    """Write `runs` as run folders inside `folder`, and return it."""
    for made in runs:
        path = folder / made.name
        written = store.create(path, recipe=store.trained(made), environment=made.environment, status=made.status)
        for epoch, cost in zip(made.own_epochs, made.costs, strict=True):
            written.append(epoch, cost)
    return folder


def _epoch(epoch: int, *, seed: int, plateau: float, drop_after: int | None, test: bool) -> EpochRecord:
    """Return a point on a curve that rises to `plateau`, with a ripple of its own for each seed."""
    wave = 0.004 * math.sin(1.7 * epoch + seed)
    val_acc = min(1.0, max(0.0, plateau - 0.8 * math.exp(-epoch / 3) + wave))
    rate = 1e-3 if drop_after is None or epoch <= drop_after else 1e-4
    return EpochRecord(
        epoch=epoch,
        step=23 * epoch,
        loss=0.2 + 2 * math.exp(-epoch / 4),
        acc=1 - 0.8 * math.exp(-epoch / 2.5),
        val_loss=0.3 + 2 * math.exp(-epoch / 4) - wave,
        val_acc=val_acc,
        test_loss=0.31 if test else None,
        test_acc=max(0.0, val_acc - 0.0123) if test else None,
        penalty=0.125,
        lr_first=rate,
        lr_last=rate,
        lr_logged=rate,
    )


def _cost(epoch: int, *, joules: float | None) -> CostRecord:
    return CostRecord(
        epoch=epoch,
        setup_seconds=1.75 if epoch == 1 else 0.0,
        train_seconds=2.5 + epoch / 64,
        evaluation_seconds=0.25,
        images_per_second=512.0,
        joules=joules,
        joules_source=None if joules is None else "NVML",
        joules_reason="no energy counter on this machine" if joules is None else None,
        peak_memory_bytes=123_456_789,
    )
