"""Directions through the weights: to other weights, along the path, down the gradient, and random by filters.

    between      d = b - a
    principal    the first two right singular vectors of the path, rows w_i - w_end       as Li et al., from its end
    gradient     d = -g |k| / |g|                  k: all kernels; so t is a part of their norm, as for random ones
    random       normal draws, each filter scaled to the norm of the weights' filter; biases and BN's scale and offset 0

A filter is what makes one output: a convolution's [in, k, k], a row of a dense kernel. Multiplying a filter that a
batch normalisation follows by a positive number changes neither the network nor the random slice: the direction grows
with it.

Source: Li et al. 2018, arXiv:1712.09913, sections 4 and 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor

from fewepochs import seeds
from fewepochs.optim.layout import Layout


@dataclass(frozen=True)
class Principal:
    """The first principal `directions` of a path, unit vectors [P], the path's `places` on them, and their shares.

    `places` float64 [n, directions]; `explained`: the share of the squared distances from the end, of each direction.
    """

    directions: tuple[Tensor, ...]
    places: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    explained: tuple[float, ...]


def principal(path: Sequence[Tensor], *, count: int = 2) -> Principal:
    """Return the first `count` principal directions of `path`, weights [P] in the order of training, seen from its end.

    There are fewer where the path has fewer independent steps. A direction points to where the path came from.
    """
    steps = [weights - path[-1] for weights in path[:-1]]
    # The matrix of inner products is n by n, however many weights there are.
    inner = np.array([[float(torch.dot(a.double(), b.double())) for a in steps] for b in steps])
    values, vectors = np.linalg.eigh(inner)
    order = np.argsort(values)[::-1][:count]
    kept = [k for k in order if values[k] > 1e-12 * max(values[order[0]], np.finfo(float).tiny)]
    rows = []
    for k in kept:
        row = vectors[:, k] / np.sqrt(values[k])
        rows.append(row if row @ inner[:, 0] >= 0 else -row)  # the path's beginning lies on its positive side
    found = [sum((float(w) * step for w, step in zip(row, steps, strict=True)), 0 * path[-1]) for row in rows]
    places = np.stack([inner @ row for row in rows], axis=1) if rows else np.zeros((len(inner), 0))
    total = float(np.trace(inner))
    return Principal(
        directions=tuple(found),
        places=np.concatenate([places, np.zeros((1, len(rows)))]),
        explained=tuple(float(values[k]) / total for k in kept),
    )


def downhill(gradient: Tensor, *, layout: Layout, weights: Tensor) -> Tensor:
    """Return the direction [P] against `gradient` [P], as long as all kernels of `weights` [P] together."""
    size = float(torch.linalg.vector_norm(gradient))
    if size == 0.0:
        return torch.zeros_like(gradient)
    return gradient.mul(-float(torch.linalg.vector_norm(weights[: layout.kernels])) / size)


def random(weights: Tensor, *, layout: Layout, seed: int, number: int) -> Tensor:
    """Return the filter-normalised direction [P] of the name `seed`, `number` at `weights` [P].

    The draws of a kernel hang on its name alone: other weights of the same network get the same ones, scaled anew.
    """
    direction = torch.zeros_like(weights)
    parts, own = layout.parts(direction), layout.parts(weights)
    for name, rows in layout.rows.items():
        key = seeds.derive(seed, "direction", number, name)
        draws = torch.from_numpy(special.ndtri(seeds.uniform(key, own[name].numel()))).to(weights)
        filters, drawn = own[name].view(rows, -1), draws.view(rows, -1)
        parts[name].copy_((drawn * (filters.norm(dim=1) / drawn.norm(dim=1)).unsqueeze(1)).view(-1))
    return direction
