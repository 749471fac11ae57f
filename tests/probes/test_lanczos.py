"""Lanczos against numpy's dense eigenvalues, and what it says about its own error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fewepochs.probes import lanczos

torch.set_num_threads(1)


def symmetric(size: int, seed: int, *, rank: int | None = None) -> Tensor:
    """Return a random symmetric matrix, of low `rank` where asked."""
    generator = np.random.default_rng(seed)
    rectangle = generator.normal(size=(size, size if rank is None else rank))
    signs = np.sign(generator.normal(size=rectangle.shape[1]))
    return torch.from_numpy((rectangle * signs) @ rectangle.T)


def start(size: int, seed: int = 0) -> Tensor:
    return lanczos.start_vector(seed, "test", size=size)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 40), seed=st.integers(0, 10_000), rank=st.integers(1, 40), count=st.integers(1, 4))
def test_run_to_the_end_it_finds_what_numpy_finds(size: int, seed: int, rank: int, count: int) -> None:
    matrix = symmetric(size, seed, rank=min(rank, size))
    found = lanczos.top(lambda v: matrix @ v, start=start(size, seed), count=count, tolerance=1e-12, most_steps=200)
    dense = np.linalg.eigvalsh(matrix.numpy())
    scale = np.abs(dense).max()
    assert found.settled
    assert found.pairs[0].value == pytest.approx(dense[-1], abs=1e-9 * scale)
    assert found.lowest == pytest.approx(dense[0], abs=1e-9 * scale)
    for pair in found.pairs:  # a repeated eigenvalue is found once: the start has one direction in its space
        assert np.abs(dense - pair.value).min() <= pair.error + 1e-12 * scale
    assert [pair.value for pair in found.pairs] == sorted((pair.value for pair in found.pairs), reverse=True)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(5, 60), seed=st.integers(0, 10_000), steps=st.integers(1, 20))
def test_however_soon_it_stops_an_eigenvalue_lies_within_the_error(size: int, seed: int, steps: int) -> None:
    matrix = symmetric(size, seed)
    found = lanczos.top(lambda v: matrix @ v, start=start(size, seed), most_steps=steps)
    dense = np.linalg.eigvalsh(matrix.numpy())
    [pair] = found.pairs
    rounding = 1e-12 * np.abs(dense).max()
    assert np.abs(dense - pair.value).min() <= pair.error + rounding
    assert pair.value <= dense[-1] + rounding
    assert found.lowest >= dense[0] - rounding
    assert found.products <= steps + 1


def test_it_stops_as_soon_as_the_error_is_small_enough_and_says_so() -> None:
    values = torch.linspace(0.0, 1.0, 500, dtype=torch.float64)
    values[-1] = 5.0
    found = lanczos.top(lambda v: values * v, start=start(500), tolerance=1e-3)
    assert found.settled
    assert found.products < 20
    assert found.pairs[0].value == pytest.approx(5.0, rel=1e-5)
    hasty = lanczos.top(lambda v: values * v, start=start(500), tolerance=1e-3, most_steps=2)
    assert not hasty.settled
    assert hasty.pairs[0].error > 5e-3


def test_without_orthogonalisation_copies_would_appear() -> None:
    """The classical failure: one eigenvalue far out is found again and again in float32."""
    values = torch.linspace(0.0, 1.0, 300)
    values[-3:] = torch.tensor([20.0, 50.0, 100.0])
    found = lanczos.top(lambda v: values * v, start=start(300).float(), count=4, tolerance=1e-5, most_steps=80)
    assert [pair.value for pair in found.pairs] == pytest.approx([100.0, 50.0, 20.0, 0.98997], abs=1e-3)


def test_the_start_has_a_name_and_no_generator() -> None:
    torch.manual_seed(1)
    first = start(64, 3)
    torch.manual_seed(2)
    assert first.numpy().tobytes() == start(64, 3).numpy().tobytes()
    assert not torch.equal(first, start(64, 4))
    assert float(torch.linalg.vector_norm(first)) == pytest.approx(1.0)


def test_the_zero_matrix_and_products_that_are_not_finite() -> None:
    nothing = lanczos.top(lambda v: 0 * v, start=start(5))
    assert (nothing.pairs[0].value, nothing.pairs[0].error, nothing.settled) == (0.0, 0.0, True)
    with pytest.raises(FloatingPointError):
        lanczos.top(lambda v: v * float("nan"), start=start(5))
