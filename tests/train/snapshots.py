"""States of no run, for tests of what keeps states."""

from __future__ import annotations

import torch

from fewepochs.train import checkpoint


def facts(steps: int = 5, *, epochs: int = 0) -> checkpoint.Facts:
    return checkpoint.Facts(
        recipe={"name": "any"},
        data="0" * 64,
        steps=steps,
        epochs=epochs,
        epoch_steps=0,
        plateau=checkpoint.Plateau(best=None, wait=0, cooldown=0, scale=1.0),
        spent=checkpoint.Spent(setup_seconds=0.5, train_seconds=0.25, joules=None, joules_reason="none here"),
    )


def snapshot(steps: int = 5, *, epochs: int = 0) -> checkpoint.Snapshot:
    tensors = {"weights": torch.arange(6.0) + steps, "t": torch.tensor(3)}
    return checkpoint.Snapshot(tensors, facts(steps, epochs=epochs))
