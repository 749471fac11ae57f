"""On what a probe measures: the data on its device, the kernels, and whose code a recipe may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.data import loader
from fewepochs.nets.kernels import Kernels
from fewepochs.train import running


@dataclass(frozen=True)
class Bench:
    """The data on its device, the kernels, and the modules that a recipe's optimizer may come from."""

    data: loader.DeviceData
    device: torch.device
    kernels: Kernels = "torch"
    allow_code: Sequence[str] = ()


def of_run(run: store.StoredRun, *, runtime: runtimes.Runtime, say: Callable[[str], None]) -> Bench:
    """Return the bench that `run` was trained on, but for what `runtime` says otherwise; CPU threads are set.

    Raises FewEpochsError's family: an imported run has no recipe, data may be missing or other than they were.
    """
    recipe = store.trained(run)
    settled = runtimes.settled(runtime, environment=run.environment)
    loaded = running.load(recipe, runtime=settled, say=say)
    return Bench(loaded.data, loaded.device, loaded.kernels, settled.allow_code)
