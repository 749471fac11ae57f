"""Directions: what their lengths and places are, and that a filter's scale changes no random slice."""

from __future__ import annotations

from pathlib import Path

import kept_runs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs.optim.layout import Layout
from fewepochs.probes import directions, landscape
from fewepochs.probes import moment as moments
from fewepochs.probes.surface import Surface


def layout(weights: torch.Tensor) -> Layout:
    """Return the layout of a convolution of 3 filters, a dense kernel of 2 rows, and the rest."""
    return Layout(weights, {"conv": 12, "dense": 8, "bias": 5}, {"conv": 3, "dense": 2}, 12, 20)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), number=st.integers(0, 5))
def test_each_filter_of_a_random_direction_is_as_long_as_the_weights_filter(seed: int, number: int) -> None:
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=25))
    found = directions.random(weights, layout=layout(weights), seed=seed, number=number)
    for start, size, rows in ((0, 12, 3), (12, 8, 2)):
        ours, theirs = (v[start : start + size].view(rows, -1).norm(dim=1) for v in (found, weights))
        assert torch.allclose(ours, theirs)
    assert not found[20:].any()
    again = directions.random(weights, layout=layout(weights), seed=seed, number=number)
    assert torch.equal(found, again)
    other = directions.random(weights, layout=layout(weights), seed=seed, number=number + 1)
    assert not torch.allclose(found, other)


def test_down_the_gradient_is_as_long_as_the_kernels() -> None:
    weights = torch.arange(25.0)
    gradient = torch.ones(25)
    found = directions.downhill(gradient, layout=layout(weights), weights=weights)
    assert float(found.norm()) == pytest.approx(float(weights[:20].norm()))
    assert float(torch.dot(found, gradient)) < 0
    assert not directions.downhill(0 * gradient, layout=layout(weights), weights=weights).any()


def test_the_principal_directions_are_the_singular_vectors_of_the_path_seen_from_its_end() -> None:
    generator = np.random.default_rng(0)
    path = [torch.from_numpy(row) for row in np.cumsum(generator.normal(size=(6, 40)), axis=0)]
    found = directions.principal(path)
    rows = np.stack([(weights - path[-1]).numpy() for weights in path[:-1]])
    _, values, vectors = np.linalg.svd(rows)
    for k, direction in enumerate(found.directions):
        assert abs(float(direction.numpy() @ vectors[k])) == pytest.approx(1.0)
        assert found.places[:-1, k] == pytest.approx(rows @ direction.numpy())
        assert found.explained[k] == pytest.approx(values[k] ** 2 / (values**2).sum())
        assert found.places[0, k] >= 0
    assert not found.places[-1].any()


def test_a_straight_path_has_one_direction_and_a_path_that_stands_still_none() -> None:
    line = [torch.tensor([float(k), 2.0 * k, 0.0]) for k in range(4)]
    assert len(directions.principal(line).directions) == 1
    assert directions.principal(line).explained == pytest.approx((1.0,))
    assert directions.principal([torch.ones(3)] * 3).directions == ()


def test_scaling_filters_in_front_of_a_batch_normalisation_changes_no_random_slice(tmp_path: Path) -> None:
    """But for BN's epsilon, which is held small here by large filters."""
    run = kept_runs.train(tmp_path / "run", "precision=float64", keep=())
    [moment] = moments.moments(run, bench=kept_runs.bench(run))
    slices = []
    for factor in (300.0, 1500.0):
        weights = moment.weights.clone()
        parts = moment.program.weights.layout.parts(weights)
        for name in ("units.0.conv1.weight", "units.0.conv2.weight", "units.1.conv1.weight", "units.1.conv2.weight"):
            parts[name].mul_(factor)
        with moment.at(weights=weights):
            surface = Surface(moment, images=60, seed=0, statistics="recomputed")
            own = surface.program.weights.layout
            vector = directions.random(weights, layout=own, seed=3, number=1)
            line = landscape.Direction("random", "random", (3,), weights, vector, np.linspace(-1, 1, 5))
            slices.append(landscape.along(surface, line))
    assert slices[1].training == pytest.approx(slices[0].training, rel=1e-3)
    assert slices[1].validation == pytest.approx(slices[0].validation, rel=1e-3)
    assert np.ptp(slices[1].training.mean(1)) > 0.1
