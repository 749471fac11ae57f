"""The compiled kernels change no result beyond what rounding does: the first twenty losses, held against float64."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.data import loader, sources
from fewepochs.nets import kernels
from fewepochs.specs import base
from fewepochs.train import loop

pytestmark = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler here")
SAMPLE = Path(__file__).parent.parent / "data" / "cifar10_sample.npz"
STEPS, BATCH = 20, 16
FIRST: dict[base.Precision, float] = {"float32": 1e-6, "bfloat16": 1e-3}
"""Relative error of the first loss, before anything drifts."""
DRIFT = 3.0
"""So many times as far from float64 as torch's own operators, at the most."""


@pytest.fixture(autouse=True)
def _all_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Take every kernel that there is, whatever the processor."""
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path_factory.getbasetemp() / "kernels"))
    kernels._library.cache_clear()
    assert kernels.available() == "fused"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def training(precision: base.Precision, how: kernels.Kernels) -> loop.Training:
    overrides = (f"precision={precision}", f"batch_size={BATCH}", "network.depth=11")
    recipe = recipes.load("resnet56v2-adam-atienza", overrides=overrides)
    data = loader.prepare(sources.load("npz", where=SAMPLE), spec=recipe.data)
    return loop.Training(recipe, data=data, device=torch.device("cpu"), kernels=how)


def losses(precision: base.Precision, how: kernels.Kernels) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the losses of the steps, augmentation included; the sample has two batches an epoch."""
    made, found = training(precision, how), []
    for step in range(STEPS):
        if step % 2 == 0:
            rates = controls.of_epoch(made.recipe, epoch=1 + step // 2, horizon=made.horizon)
            made.program.begin_epoch(loop.plan(made, epoch=1 + step // 2), controls=rates)
        before = made.program.totals().loss
        made.program.step(BATCH)
        found.append(made.program.totals().loss - before)
    return np.array(found)


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_the_first_twenty_losses_are_as_near_to_float64s_as_those_of_torchs_operators(
    precision: base.Precision,
) -> None:
    """Training amplifies rounding, so that both drift: what is held against float64 is how far by then."""
    exact = losses("float64", "torch")
    ours, theirs = (np.abs(losses(precision, how) - exact) / exact for how in ("fused", "torch"))
    assert max(ours[0], theirs[0]) <= FIRST[precision]
    assert ours.max() <= DRIFT * theirs.max()
