"""Runs of published claims made of numbers alone: a curve in steps, costs, a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewepochs import store
from fewepochs.claims import catalogue
from fewepochs.records import CostRecord, EpochRecord, RunState, RunStatus

DROP = 81
"""The published schedule's first drop comes after so many epochs."""

PUBLISHED_GPU = {"name": "NVIDIA GeForce RTX 4060 Ti"}


def experiment(claim: str, number: int = 0) -> catalogue.Experiment:
    """Return an experiment of a claim."""
    return catalogue.experiments(catalogue.find(claim))[number]


def claim_run(
    one: catalogue.Experiment,
    steps: Mapping[int, float],
    *,
    seed: int = 0,
    epochs: int | None = None,
    state: RunState = "finished",
    overrides: Mapping[str, Any] | None = None,
    gpu: Mapping[str, Any] | None = None,
    joules: float | None = None,
    seconds: float = 20.0,
    wiggle: float = 0.0,
    folder: str | None = None,
) -> store.StoredRun:
    """Return a run of the experiment: `steps` says from which epoch on it has which val_acc.

    `epochs` of its budget are done; `wiggle` is the size of the swings of val_loss.
    """
    recipe = one.load().model_copy(update={"seed": seed, **(overrides or {})})
    done = recipe.budget.epochs if epochs is None else epochs
    curve = tuple(_epoch(e, steps, wiggle=wiggle, seed=seed) for e in range(1, done + 1))
    costs = tuple(_cost(e, joules=joules, seconds=seconds) for e in range(1, done + 1))
    status = RunStatus(state=state, epochs=done, budget=recipe.budget.epochs, heartbeat="2026-01-01T00:00:00+00:00")
    path = Path("runs") / (folder or store.run_name(recipe))
    return store.StoredRun(path, recipe, status, curve, costs, {"gpu": gpu, "cpu": "a processor"})


def write(run: store.StoredRun, out: Path) -> Path:
    """Write `run` as a folder under `out`; return the folder."""
    made = store.create(out / run.name, recipe=store.trained(run), environment=run.environment, status=run.status)
    made.path.joinpath(store.EPOCHS).write_text("".join(record.model_dump_json() + "\n" for record in run.epochs))
    made.path.joinpath(store.COSTS).write_text("".join(record.model_dump_json() + "\n" for record in run.costs))
    return made.path


def _epoch(epoch: int, steps: Mapping[int, float], *, wiggle: float, seed: int) -> EpochRecord:
    reached = [accuracy for since, accuracy in steps.items() if since <= epoch]
    rate = 1e-3 if epoch <= DROP else 1e-4
    return EpochRecord(
        epoch=epoch,
        step=782 * epoch,
        loss=0.5,
        acc=min(1.0, max(reached, default=0.1) + 0.04),
        val_loss=1.0 + wiggle * ((7 * epoch + 3 * seed) % 5 - 2),
        val_acc=max(reached, default=0.1),
        penalty=0.1,
        lr_first=rate,
        lr_last=rate,
        lr_logged=rate,
    )


def _cost(epoch: int, *, joules: float | None, seconds: float) -> CostRecord:
    return CostRecord(
        epoch=epoch,
        setup_seconds=0.0,
        train_seconds=seconds,
        evaluation_seconds=1.0,
        images_per_second=50_000 / seconds,
        joules=joules,
        joules_source=None if joules is None else "NVML",
        joules_reason="no counter" if joules is None else None,
    )
