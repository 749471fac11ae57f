"""The loss surface: losses as the run's own, gradients and Hessian as autograd has them, statistics as said."""

from __future__ import annotations

from pathlib import Path

import kept_runs
import pytest
import torch
from torch import Tensor

from fewepochs import store
from fewepochs.data import loader
from fewepochs.probes import bn_split, lanczos
from fewepochs.probes import moment as moments
from fewepochs.probes.surface import Statistics, Surface

SMALL = (
    "precision=float64", "batch_size=40", "network.units=[1]", "network.filters=[4]", "network.bottleneck=[2]",
    "network.stem={filters=2, stride=4}", "label_smoothing=0.1", "regularisation.strength=0.01",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    return kept_runs.train(tmp_path_factory.mktemp("surface") / "run", *SMALL)


def last(run: store.StoredRun) -> moments.Moment:
    return list(moments.moments(run, bench=kept_runs.bench(run)))[-1]


def surface(run: store.StoredRun, *, statistics: Statistics = "stored", images: int = 1000) -> Surface:
    return Surface(last(run), images=images, seed=0, statistics=statistics)


def dense(found: Surface, part: loader.Part, *, training: bool) -> Tensor:
    """Return the Hessian [P, P] of loss and penalty, row by row, the loss written down anew."""
    network, weights = found.program.network, found.program.weights
    network.train(training)
    logits = network(found.program.inputs(part.pixels))
    kernels = [p.square().sum() for p in network.parameters() if p.dim() == 4]
    loss = torch.nn.functional.cross_entropy(logits, part.labels, label_smoothing=0.1) + 0.01 * sum(kernels)
    first = torch.autograd.grad(loss, weights.parameters, create_graph=True)
    entries = torch.cat([flat(one) for one in first])
    rows = [torch.autograd.grad(entry, weights.parameters, retain_graph=True) for entry in entries]
    return torch.stack([torch.cat([flat(one) for one in row]) for row in rows])


def flat(tensor: Tensor) -> Tensor:
    """Return the values in the order of the weights: kernels channels-last."""
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).reshape(-1)


def test_its_losses_are_the_runs_own(run: store.StoredRun) -> None:
    found, score = surface(run), last(run).score(last(run).data.validation)
    assert float(found.losses(found.validation).mean()) == pytest.approx(score.cross_entropy, rel=1e-12)
    assert found.penalty() == pytest.approx(score.penalty, rel=1e-12)


@pytest.mark.parametrize("statistics", ["stored", "fresh", "batch"])
def test_products_and_the_largest_eigenvalue_are_those_of_the_dense_hessian(
    statistics: Statistics, run: store.StoredRun
) -> None:
    found = surface(run, statistics=statistics, images=40)  # one batch: its statistics are the part's
    part = found.training if statistics == "batch" else found.validation
    matrix = dense(found, part, training=statistics == "batch")
    vector = lanczos.start_vector(0, "product", size=len(matrix))
    assert torch.allclose(found.product(part, vector), matrix @ vector, rtol=1e-9, atol=1e-12)
    values = torch.linalg.eigvalsh(matrix).tolist()
    top = lanczos.top(
        lambda v: found.product(part, v),
        start=lanczos.start_vector(1, "top", size=len(matrix)),
        count=2,
        tolerance=1e-10,
        most_steps=150,
    )
    assert [pair.value for pair in top.pairs] == pytest.approx(values[:-3:-1], rel=1e-8)
    assert values[0] <= top.lowest == pytest.approx(values[0], abs=1e-2)


def test_without_the_penalty_the_hessian_is_smaller_by_twice_its_strength(run: store.StoredRun) -> None:
    found = surface(run)
    vector = torch.ones_like(found.origin)
    part = found.training
    penalty = found.product(part, vector) - found.product(part, vector, penalty=False)
    kernels = found.program.weights.layout.conv_kernels
    assert torch.allclose(penalty[:kernels], torch.full_like(penalty[:kernels], 0.02))
    assert float(penalty[kernels:].abs().max()) < 1e-12


@pytest.mark.parametrize("statistics", ["stored", "fresh", "recomputed", "batch"])
def test_the_gradient_is_that_of_the_losses(statistics: Statistics, run: store.StoredRun) -> None:
    found = surface(run, statistics=statistics, images=40)
    gradient = found.gradient(found.training)
    along = gradient / gradient.norm()
    step = 1e-5
    sides = []
    for t in (-step, step):
        found.move(found.origin + t * along)
        sides.append(float(found.losses(found.training).mean()))
    assert (sides[1] - sides[0]) / (2 * step) == pytest.approx(float(gradient.norm()), rel=1e-5)


def test_recomputed_statistics_are_those_of_the_training_images_at_each_point(run: store.StoredRun) -> None:
    """Of one batch they are its own, so that its losses are those of training."""
    pooled, batch = surface(run, statistics="recomputed", images=40), surface(run, statistics="batch", images=40)
    for factor in (1.0, 1.5):
        for one in (pooled, batch):
            one.move(factor * one.origin)
        assert torch.allclose(pooled.losses(pooled.training), batch.losses(batch.training), rtol=1e-9)
    stored = surface(run, images=40)
    pooled.move(pooled.origin)
    assert not torch.allclose(pooled.losses(pooled.training), stored.losses(stored.training), rtol=1e-3)


def test_fresh_statistics_are_those_of_all_training_images_at_the_moment_and_stay(run: store.StoredRun) -> None:
    found, moment = surface(run, statistics="fresh", images=40), last(run)
    held = found.program.statistics.moving.clone()
    assert torch.allclose(held, bn_split.recomputed(moment), rtol=1e-12)
    assert not torch.allclose(held, moment.statistics, rtol=1e-2)
    found.move(1.5 * found.origin)
    assert torch.equal(found.program.statistics.moving, held)


def test_the_moment_is_left_alone_and_half_precision_is_widened(tmp_path: Path) -> None:
    moment = last(kept_runs.train(tmp_path / "run", "precision=bfloat16", "averaging={kind='ema'}"))
    state = {name: tensor.clone() for name, tensor in moment.program.state().items()}
    found = Surface(moment, images=20, seed=0, statistics="recomputed")
    found.move(2.0 * found.origin)
    assert found.losses(found.training).shape == (20,)
    assert next(found.program.network.parameters()).dtype == torch.float32
    for name, tensor in moment.program.state().items():
        assert torch.equal(tensor, state[name]), name
