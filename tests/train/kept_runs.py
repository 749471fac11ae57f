"""A tiny run in a folder, trained once, with the state after every epoch that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny_runs
import torch

from fewepochs import store
from fewepochs.probes import bench as benches
from fewepochs.records import RunStatus
from fewepochs.train import checkpoint, loop


def train(path: Path, *overrides: str, keep: Sequence[int] = (1, 2, 3)) -> store.StoredRun:
    """Train the tiny recipe into the folder `path`; return the run."""
    training = tiny_runs.training(tiny_runs.recipe(*overrides))
    budget = training.recipe.budget.epochs
    status = RunStatus(state="finished", epochs=budget, budget=budget, heartbeat=store.now())
    environment = {"device": "cpu", "kernels": "torch", "threads": 1}
    folder = store.create(path, recipe=training.recipe, environment=environment, status=status)
    for record, cost in loop.run(training, progress=loop.Progress()):
        folder.append(record, cost)
        if record.epoch in keep:
            checkpoint.save_epoch(folder.checkpoints, training.snapshot())
    checkpoint.save(folder.checkpoints, training.snapshot())
    return store.read(path)


def bench(run: store.StoredRun) -> benches.Bench:
    """Return the tiny run's data, on the CPU."""
    torch.set_num_threads(1)
    return benches.Bench(tiny_runs.data(store.trained(run)), torch.device("cpu"))
