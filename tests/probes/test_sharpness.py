"""Sharpness of a run against its edge: thresholds where they are known, values where they can be had densely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kept_runs
import numpy as np
import pytest
import torch

from fewepochs import store
from fewepochs.optim import adam, layout, sgd
from fewepochs.probes import bn_split, edge, sharpness
from fewepochs.probes import moment as moments
from fewepochs.probes import surface as surfaces
from fewepochs.specs import updates
from run_folders import contents

FAST = edge.Settings(images=40, most_steps=6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    schedule = "schedule={kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 0.1]}"
    return kept_runs.train(tmp_path_factory.mktemp("sharpness") / "run", schedule, "precision=float64")


def stays(rule: sgd.Sgd | adam.Adam, vector: torch.Tensor, curvature: float, *, lr: float, momentum: float) -> bool:
    """Return whether steps on the parabola curvature/2 w^2 stay bounded."""
    vector.fill_(1.0)
    wide = {"lr": lr, "momentum": momentum, "decay": 0.0, "live": 1.0}
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in wide.items()}
    for _ in range(3000):
        rule.update(curvature * vector, layout.Controls(**tensors, on_host=(lr, momentum, 0.0)))
        if not float(vector.abs()) < 1e6:
            return False
    return float(vector.abs()) < 10.0


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.5, True)])
def test_sgd_is_stable_below_its_threshold_and_not_above(momentum: float, nesterov: bool) -> None:
    spec = updates.Sgd(momentum=momentum, nesterov=nesterov)
    limit = edge.threshold(spec, lr=0.1, momentum=momentum)
    assert limit.of == "hessian"
    assert limit.value is not None
    for factor, expected in ((0.99, True), (1.01, False)):
        vector = torch.ones(1, dtype=torch.float64)
        rule = sgd.Sgd(spec, layout=layout.Layout(vector, {"w": 1}, {"w": 1}, 1, 1))
        assert stays(rule, vector, factor * limit.value, lr=0.1, momentum=momentum) is expected


def test_adam_with_its_divisor_held_still_is_stable_below_its_threshold_and_not_above() -> None:
    """m += (1 - b) (g - m), w -= lr m / d: on the parabola h/2 w^2 the preconditioned curvature is h / d."""
    limit = edge.threshold(updates.Adam(), lr=1e-3, momentum=0.9)
    assert limit.of == "preconditioned"
    assert limit.value is not None
    assert limit.value == pytest.approx(38 / 1e-3)
    for factor, expected in ((0.99, True), (1.01, False)):
        m, w = 0.0, 1.0
        for _ in range(3000):
            m += 0.1 * (factor * limit.value * w - m)
            w -= 1e-3 * m
        assert (abs(w) < 10) is expected


def test_what_has_no_threshold_says_so() -> None:
    assert edge.threshold(updates.Lion(), lr=0.1, momentum=0.0).reason == "no threshold is known here for lion"
    assert edge.threshold(updates.Sgd(), lr=0.0, momentum=0.0).value is None


def test_each_moment_has_its_rate_its_eigenvalues_and_its_threshold(run: store.StoredRun) -> None:
    before, bench = contents(run.path), kept_runs.bench(run)
    rows = list(sharpness.measure(run, bench=bench, settings=FAST))
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert [row.lr for row in rows] == [record.lr_last for record in run.own_epochs]
    for row in rows:
        assert row.preconditioned is not None
        assert row.threshold.value == pytest.approx(38 / row.lr)
        assert min(row.training.value, row.validation.value, row.preconditioned.value) > 0
        assert max(row.training.products, row.validation.products) <= FAST.most_steps + 1
    assert rows == list(sharpness.measure(run, bench=bench, settings=FAST))
    assert contents(run.path) == before
    assert sharpness.penalty_adds(run, settings=FAST) == 2e-4


SMALL = (
    "precision=float64", "network.units=[1]", "network.filters=[4]", "network.bottleneck=[2]",
    "network.stem={filters=2, stride=4}",
)  # fmt: skip


EXACT = edge.Settings(images=16, most_steps=300, tolerance=1e-8)


@pytest.fixture(scope="module")
def moment(tmp_path_factory: pytest.TempPathFactory) -> moments.Moment:
    run = kept_runs.train(tmp_path_factory.mktemp("small") / "run", *SMALL, keep=(2,))
    [found] = moments.moments(run, bench=kept_runs.bench(run), epochs=(2,))
    return found


def dense(moment: moments.Moment, statistics: surfaces.Statistics) -> torch.Tensor:
    """Return the Hessian on training images, from its products with unit vectors, which have tests of their own."""
    surface = surfaces.Surface(moment, images=16, seed=0, statistics=statistics)
    units = torch.eye(len(surface.origin)).double()
    return torch.stack([surface.product(surface.training, unit) for unit in units])


@pytest.fixture(scope="module")
def stored(moment: moments.Moment) -> edge.Row:
    return sharpness.at(moment, settings=EXACT)


def test_recomputed_statistics_are_put_in_the_place_of_the_stored_ones_and_held(
    moment: moments.Moment, stored: edge.Row
) -> None:
    row = sharpness.at(moment, settings=replace(EXACT, statistics="recomputed", tolerance=1e-3))
    with moment.at(statistics=bn_split.recomputed(moment)):
        fresh = float(torch.linalg.eigvalsh(dense(moment, "stored"))[-1])
    assert row.training.value == pytest.approx(fresh, rel=1e-3)
    assert stored.training.value != pytest.approx(fresh, rel=1e-2)  # else it would not matter which
    assert row.preconditioned is not None  # Adam's view has the batches' own, whatever is asked for
    assert stored.preconditioned is not None
    assert row.preconditioned.value == pytest.approx(stored.preconditioned.value, rel=1e-3)


def test_adams_view_is_the_hessian_between_the_roots_of_its_divisor(moment: moments.Moment, stored: edge.Row) -> None:
    row = stored
    assert row.training.value == pytest.approx(float(torch.linalg.eigvalsh(dense(moment, "stored"))[-1]), rel=1e-6)
    matrix = dense(moment, "batch")
    state = moment.optimizer
    t = int(state["t"])
    hat = state["v"].numpy() / (1 - 0.999**t)
    divisor = (1 - 0.9**t) * (np.sqrt(hat) + 1e-7 / np.sqrt(1 - 0.999**t))
    seen = matrix.numpy() / np.sqrt(divisor)[:, None] / np.sqrt(divisor)[None]
    assert row.preconditioned is not None
    assert row.preconditioned.value == pytest.approx(float(np.linalg.eigvalsh(seen)[-1]), rel=1e-6)


def test_other_optimizers_have_no_preconditioned_view(tmp_path: Path) -> None:
    run = kept_runs.train(tmp_path / "run", "optimizer={kind='sgd', lr=0.1, momentum=0.9}", keep=())
    bench = kept_runs.bench(run)
    batch = edge.Settings(images=32, most_steps=4, statistics="batch", penalty=False)
    [row] = sharpness.measure(run, bench=bench, settings=batch)
    assert row.preconditioned is None
    assert row.momentum == 0.9
    assert row.threshold.value == pytest.approx(3.8 / row.lr)
    assert sharpness.penalty_adds(run, settings=batch) == 0.0
