"""The largest eigenvalues of a symmetric matrix that is known by its products alone: Lanczos, all orthogonalised.

    beta_j q_(j+1) = A q_j - alpha_j q_j - beta_(j-1) q_(j-1)          alpha_j = q_j . A q_j, |q_(j+1)| = 1

The eigenvalues of the tridiagonal matrix T of alphas and betas (Ritz values) approach A's from within; with T s = theta
s, the vector y = Q s has the residual |A y - theta y| = beta_m |s_m|, and an eigenvalue of A lies within that of theta.
Rounding makes the q lose their right angles, and then copies of found eigenvalues appear; so each new vector is made
orthogonal to all before it, twice. At the end the residual is not believed but measured, by one more product for each.

What is found is the top of what the start vector has a part in. A start drawn at random has a part in everything, but a
small one in each of many; whether there is a larger eigenvalue that it nearly misses, no residual says.

Sources: Lanczos 1950; Parlett, "The Symmetric Eigenvalue Problem" (1998), chapters 11 and 13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg, special
from torch import Tensor

from fewepochs import seeds

Product = Callable[[Tensor], Tensor]
"""A symmetric matrix [P, P], as what it makes of a vector [P]."""

TOLERANCE = 1e-3
MOST_STEPS = 60


@dataclass(frozen=True)
class Pair:
    """An approximate eigenvalue, its unit vector [P], and the measured residual |A y - value y|.

    An eigenvalue of the matrix lies within `error` of `value`, and its largest is no less than the largest value.
    """

    value: float
    vector: Tensor
    error: float


@dataclass(frozen=True)
class Spectrum:
    """The top `pairs`, the largest first. `settled`: whether their residuals fell to the tolerance.

    `products` says what it cost. `lowest` is the smallest Ritz value: the matrix's smallest eigenvalue is no greater.
    """

    pairs: tuple[Pair, ...]
    lowest: float
    products: int
    settled: bool


def start_vector(seed: int, *counters: int | str, size: int) -> Tensor:
    """Return a unit vector [size], float64, of normal draws named by `seed` and `counters`."""
    draws = special.ndtri(seeds.uniform(seeds.derive(seed, "lanczos", *counters), size))
    return torch.from_numpy(draws / np.linalg.norm(draws))


def top(
    product: Product, *, start: Tensor, count: int = 1, tolerance: float = TOLERANCE, most_steps: int = MOST_STEPS
) -> Spectrum:
    """Return the `count` largest eigenvalues, begun at the vector `start` [P], whose type the computation has.

    Stops once every residual is at most `tolerance` times the largest absolute Ritz value, at the latest after
    `most_steps` products, or where the vectors found span a space that the matrix does not leave. Then there may be
    fewer than `count`. A product that is not finite raises FloatingPointError.
    """
    basis = [start / torch.linalg.vector_norm(start)]
    alphas: list[float] = []
    betas: list[float] = []
    settled = False
    while True:
        image = product(basis[-1])
        alphas.append(float(torch.dot(basis[-1].double(), image.double())))
        rest = _without(image, basis)
        beta = float(torch.linalg.vector_norm(rest.double()))
        if not np.isfinite(beta):
            raise FloatingPointError("a product with the matrix is not finite")
        values, rows = linalg.eigh_tridiagonal(np.array(alphas), np.array(betas))
        size = float(np.abs(values).max())
        # A rest of mere rounding has no direction: the space is whole.
        whole = beta <= 10.0 * torch.finfo(start.dtype).eps * size or len(basis) == len(start)
        bounds = beta * np.abs(rows[-1, -count:])
        settled = whole or (len(alphas) >= count and bool((bounds <= tolerance * size).all()))
        if settled or len(alphas) >= most_steps:
            break
        betas.append(beta)
        basis.append(rest / beta)
    chosen = [rows[:, -1 - k] for k in range(min(count, len(values)))]
    found = [_pair(product, _combined(basis, row.tolist())) for row in chosen]
    pairs = tuple(
        sorted(found, key=lambda pair: -pair.value)
    )  # the residual's values may differ from these by rounding
    return Spectrum(pairs, float(values[0]), len(alphas) + len(pairs), settled)


def _without(vector: Tensor, basis: list[Tensor]) -> Tensor:
    """Return `vector` without its part in the space of `basis`; twice is enough (Parlett 1998, section 6.9)."""
    for _ in range(2):
        for direction in basis:
            vector = vector - torch.dot(direction, vector) * direction
    return vector


def _combined(basis: list[Tensor], row: list[float]) -> Tensor:
    vector: Tensor = torch.zeros_like(basis[0])
    for direction, weight in zip(basis, row, strict=True):
        vector = vector + weight * direction
    return vector.div(torch.linalg.vector_norm(vector))


def _pair(product: Product, vector: Tensor) -> Pair:
    """Return the eigenpair of `vector`: the value that leaves the smallest residual, and this residual."""
    image = product(vector)
    value = float(torch.dot(vector.double(), image.double()))
    return Pair(value, vector, float(torch.linalg.vector_norm((image - value * vector).double())))
