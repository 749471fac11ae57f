"""Run folders made of numbers alone, for tests of whatever reads or writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewepochs import store
from fewepochs.records import CostRecord, EpochRecord, RunStatus
from recipe_samples import parse

ENVIRONMENT = {"threads": 1, "gpu": None, "command": ["fewepochs"]}

STUDY = """
name = "pair"
question = "Which batch?"
base = "digits-step"
seeds = "0..1"
[axes]
batch_size = [32, 64]
"""
"""A study of the digits with two arms and two seeds."""


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        step=10 * number,
        loss=1 / number,
        acc=0.1,
        val_loss=2 / 3,
        val_acc=0.3,
        penalty=1e-300,
        lr_first=1e-3,
        lr_last=1e-3,
        lr_logged=1e-3,
    )


def cost(number: int) -> CostRecord:
    return CostRecord(
        epoch=number, setup_seconds=0.0, train_seconds=0.1 * number, evaluation_seconds=0.0, images_per_second=7.0
    )


def status(state: Any = "running", *, epochs: int = 0) -> RunStatus:
    return RunStatus(state=state, epochs=epochs, budget=10, heartbeat=store.now())


def make(path: Path, *, epochs: int = 0) -> store.RunFolder:
    folder = store.create(path, recipe=parse(), environment=ENVIRONMENT, status=status(epochs=epochs))
    for number in range(1, epochs + 1):
        folder.append(epoch(number), cost(number))
    return folder


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
