"""What probes might have found in a run, made of numbers alone: nothing is trained, nothing measured."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fewepochs import store
from fewepochs.probes import edge, scores, slices
from fewepochs.report import (
    bn_split,
    findings,
    gradient_noise,
    landscape,
    noise_phases,
    noise_tables,
    probed,
    sharpness,
)
from fewepochs.report.table_text import Page
from report_runs import make_run

SWINGS = (0.0, 1.0, -0.7, 0.3, -1.2, 0.9, 0.1, -0.4, 1.3, -0.9, 0.6)
MOVING, RECOMPUTED = (1.75, 1.625, 1.875, 0.375), (0.5, 0.375, 0.25, 0.25)


def named(run: store.StoredRun) -> probed.Run:
    return probed.Run(name=run.name, digest=run.digest)


def split(run: store.StoredRun, *, moving: Sequence[float] = MOVING, recomputed: Sequence[float] = RECOMPUTED) -> Page:
    """Return a split with these losses after epochs 1, 2, ..."""

    def score(loss: float) -> scores.Score:
        return scores.Score(cross_entropy=loss - 0.125, penalty=0.125, accuracy=0.5, images=300)

    found = [
        scores.BnSplit(
            epoch=epoch,
            steps=36 * epoch,
            lr=0.01,
            train_loss=0.75 / epoch,
            logged=stored if math.isfinite(stored) else None,
            moving=score(stored),
            recomputed=score(fresh),
            batch=score(fresh + 0.0625),
            mean_shift=0.25,
            variance_ratio=0.5,
            images=2000,
        )
        for epoch, (stored, fresh) in enumerate(zip(moving, recomputed, strict=True), start=1)
    ]
    return bn_split.page(named(run), found, augmented=False, batch_size=32, averaged=False)


def noise_scale(
    run: store.StoredRun,
    *scales: tuple[float | None, float | None, float | None],
) -> Page:
    """Return gradient noise with these scales and intervals after epochs 1, 2, ..."""
    found = []
    for epoch, (images, low, high) in enumerate(scales or ((160.0, 120.0, 250.0), (2500.0, 900.0, None)), start=1):
        whole = scores.Scale(
            noise=16.0, signal=-0.5 if images is None else 16 / images, images=images, low=low, high=high
        )
        layers = {"stem": whole, "dense": whole}
        found.append(scores.GradientNoise(epoch, 36 * epoch, 0.01, 32, 2, 8, whole, layers, None))
    return gradient_noise.page(named(run), found, layers=True)


def sharp(
    run: store.StoredRun,
    *,
    training: Sequence[float] = (250.0, 150.0, 20.0),
    rates: Sequence[float] = (0.01, 0.01, 0.001),
    seen: Sequence[float | None] = (400.0, 4000.0, 300.0),
    momentum: float = 0.9,
) -> Page:
    """Return sharpness at these rates after epochs 1, 2, ..., `seen` by Adam, or without such a view by SGD."""

    def value(number: float) -> edge.Eigenvalue:
        return edge.Eigenvalue(value=number, error=0.5, lowest=-1.0, products=12, settled=True)

    recipe = store.trained(run)
    rows = tuple(
        edge.Row(
            epoch=epoch,
            steps=36 * epoch,
            lr=lr,
            momentum=momentum,
            training=value(ours),
            validation=value(1.25 * ours),
            preconditioned=None if preconditioned is None else value(preconditioned),
            threshold=edge.threshold(recipe.optimizer, lr=lr, momentum=momentum),
        )
        for epoch, (ours, lr, preconditioned) in enumerate(zip(training, rates, seen, strict=True), start=1)
    )
    images = {"training": 64, "validation": 64}
    return sharpness.page(edge.Measurement(run.name, recipe, edge.Settings(images=64), rows, images, 2e-4, 1.5))


def slopes(run: store.StoredRun, *, shift: float = 0.0, grid: int = 4) -> Page:
    """Return two lines, on which the validation loss is the training loss moved by `shift` and raised, and a plane."""
    places = np.linspace(-1.0, 1.0, 13)
    wobble = 1 + 0.01 * np.sin(np.arange(40.0))

    def bowl(moved: float, raised: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray((raised + (places - moved) ** 2)[:, None] * wobble[None], dtype=np.float64)

    def line(kind: slices.Kind, epochs: tuple[int, ...]) -> slices.Line:
        return slices.Line(kind, kind, epochs, 2.0, places, bowl(0.0, 0.25), bowl(shift, 0.5), np.full(13, 0.125))

    side = np.linspace(-1.0, 1.0, grid) if grid else np.zeros(0)
    losses = 0.25 + side[None] ** 2 + 2 * side[:, None] ** 2
    path = ((1, 1.0, 0.5), (2, 0.0, 0.0))
    planes = (slices.Plane("principal", 2, side, side, losses, losses + 0.5, path, 1.0),) if grid else ()
    settings = slices.Settings(points=13, grid=grid, images=40)
    kept: dict[int, float | None] = {1: 0.01, 2: 0.001}
    lines = (line("gradient", (2,)), line("between", (1, 2)))
    images = {"training": 40, "validation": 40}
    found = slices.Measurement(run.name, store.trained(run), settings, kept, (1, 2), lines, planes, images, 1.5)
    return landscape.page(found)


def restless(*, rate_power: float = 1.0, batch_power: float = -1.0) -> list[store.StoredRun]:
    """Return SGD's runs at two rates and three batch sizes whose noise goes with these powers, but for some scatter."""
    found = []
    for lr in (0.1, 0.02):
        for batch in (32, 64, 128):
            for seed in (0, 1):
                sgd = f"optimizer={{kind='sgd', lr={lr}, momentum=0.9}}"
                run = make_run(sgd, f"batch_size={batch}", "budget.epochs=40", seed=seed, epochs=40)
                size = 10 * (1 + 0.05 * SWINGS[(5 * seed + batch) % 11]) * lr**rate_power * batch**batch_power
                epochs = []
                for record in run.own_epochs:
                    wave = size * SWINGS[(record.epoch * (3 + seed)) % 11]
                    told = {"val_loss": 50 + wave, "lr_first": lr, "lr_last": lr, "lr_logged": lr}
                    epochs.append(record.model_copy(update=told))
                found.append(replace(run, epochs=tuple(epochs)))
    return found


def law(runs: Sequence[store.StoredRun] | None = None) -> Page:
    return noise_tables.build(noise_phases.find(restless() if runs is None else runs))


@functools.cache
def pages() -> Mapping[findings.Kind, Page]:
    """Return what each of the probes might have found in `make_run()`; the noise is that of other runs."""
    run = make_run()
    return {
        "bn-split": split(run),
        "gradient-noise": noise_scale(run),
        "sharpness": sharp(run),
        "landscape": slopes(run),
        "noise": law(),
    }
