"""A recipe, a loop that stands still, and records of an epoch, for tests of what a run says."""

from __future__ import annotations

from dataclasses import dataclass

from fewepochs.records import CostRecord, EpochRecord
from recipe_samples import FULL, parse

RECIPE = parse(FULL, "targets=[0.8, 0.9]", "budget.epochs=100")


@dataclass
class Progress:
    """A loop that stands still."""

    epoch: int = 2
    step: int = 3
    steps_per_epoch: int = 10
    phase: str = "training"


def record(epoch: int, *, val_acc: float = 0.75, test_acc: float | None = None) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        step=10 * epoch,
        loss=1.23456,
        acc=0.5,
        val_loss=0.98765,
        val_acc=val_acc,
        test_loss=None if test_acc is None else 1.0,
        test_acc=test_acc,
        penalty=0.0,
        lr_first=1e-3,
        lr_last=3.1622776601683795e-4,
        lr_logged=1e-3,
    )


def cost(epoch: int, *, joules: float | None = None, memory: int | None = None) -> CostRecord:
    return CostRecord(
        epoch=epoch,
        setup_seconds=0.0,
        train_seconds=212.4,
        evaluation_seconds=1.0,
        images_per_second=235.6,
        joules=joules,
        peak_memory_bytes=memory,
    )
