"""Slices of training and validation loss: what the two surfaces look like where the optimizer went, and beside it.

    for part in measure(run, bench=bench, settings=Settings()):
        ...                      # a Line or a Plane each, as it is measured

Lines go through the moments before and after the drop of the rate: from one to the other, down the gradient, along
random filter-normalised directions; and through the path's end along its principal directions, in which lies the plane,
too. Losses are those of `surface`: drawn images without augmentation, the same ones everywhere, without the L2 penalty,
which is the same for both surfaces and is given by itself.

BN's statistics are recomputed at each point from the training images drawn, unless the stored ones are asked for: away
from the moment the stored ones belong to other weights, and a slice with them shows that mismatch more than the loss.

Sources: Goodfellow et al. 2015 (arXiv:1412.6544) for lines between weights; Li et al. 2018 (arXiv:1712.09913).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fewepochs import store
from fewepochs.probes import bench as benches
from fewepochs.probes import directions
from fewepochs.probes import moment as moments
from fewepochs.probes.slices import Kind, Line, Plane, Settings
from fewepochs.probes.surface import Surface
from fewepochs.probes.valleys import Values

MARGIN = 0.25
"""Lines between weights and planes of the path go beyond them by this part of their length, to either side."""


@dataclass(frozen=True)
class Direction:
    """A line to be measured: through `origin` [P] along `vector` [P], at `places` [T]."""

    kind: Kind
    name: str
    epochs: tuple[int, ...]
    origin: Tensor
    vector: Tensor
    places: Values


def kept_rates(run: store.StoredRun) -> dict[int, float | None]:
    """Return the epochs whose states `run` keeps, each with the rate of its last step, None where it is not logged."""
    own = run.own_epochs
    return {epoch: own[epoch - 1].lr_last if epoch <= len(own) else None for epoch in moments.kept(run)}


def measure(
    run: store.StoredRun, *, bench: benches.Bench, settings: Settings, compared: Sequence[int]
) -> Iterator[Line | Plane]:
    """Yield the slices of `run`; `compared` are the epochs of one or two moments, whose states are kept."""
    chosen = list(moments.moments(run, bench=bench, epochs=compared))
    for moment in chosen:
        surface = Surface(moment, images=settings.images, seed=settings.seed, statistics=settings.statistics)
        for kind in settings.kinds:
            if kind in ("gradient", "random"):
                yield along(surface, _through(moment, surface, kind, settings=settings))
    if "between" in settings.kinds and len(chosen) > 1:
        surface = Surface(chosen[0], images=settings.images, seed=settings.seed, statistics=settings.statistics)
        yield along(surface, _between(chosen[0], chosen[-1], settings=settings))
    yield from _of_the_path(run, bench=bench, settings=settings)


def along(surface: Surface, direction: Direction) -> Line:
    """Return the losses of single images at each place of a line."""
    training, validation, penalty = [], [], []
    for t in direction.places.tolist():
        surface.move(direction.origin + t * direction.vector)
        training.append(surface.losses(surface.training).cpu().numpy())
        validation.append(surface.losses(surface.validation).cpu().numpy())
        penalty.append(surface.penalty())
    length = float(torch.linalg.vector_norm(direction.vector.double()))
    told = (direction.kind, direction.name, direction.epochs, length, direction.places)
    return Line(*told, np.stack(training), np.stack(validation), np.array(penalty))


def over(
    surface: Surface, origin: Tensor, across: tuple[Tensor, Values], down: tuple[Tensor, Values]
) -> tuple[Values, Values]:
    """Return the mean training and validation losses [down, across] at each point of a plane through `origin`."""
    found = np.zeros((2, len(down[1]), len(across[1])))
    for row, t in enumerate(down[1].tolist()):
        for column, s in enumerate(across[1].tolist()):
            surface.move(origin + s * across[0] + t * down[0])
            for part, images in enumerate((surface.training, surface.validation)):
                found[part, row, column] = float(surface.losses(images).mean())
    return found[0], found[1]


def _through(moment: moments.Moment, surface: Surface, kind: Kind, *, settings: Settings) -> Direction:
    """Return the direction of a line through one moment."""
    layout, origin = surface.program.weights.layout, surface.origin
    if kind == "gradient":
        surface.move(origin)
        vector = directions.downhill(surface.gradient(surface.training), layout=layout, weights=origin)
        span = settings.gradient_span
    else:
        vector = directions.random(origin, layout=layout, seed=settings.seed, number=1)
        span = settings.span
    places = np.linspace(-span, span, settings.points)
    return Direction(kind, kind, (moment.epoch,), origin, vector, places)


def _between(first: moments.Moment, second: moments.Moment, *, settings: Settings) -> Direction:
    origin = first.weights.clone()
    places = np.linspace(-MARGIN, 1.0 + MARGIN, settings.points)
    return Direction("between", "between", (first.epoch, second.epoch), origin, second.weights - origin, places)


def _of_the_path(run: store.StoredRun, *, bench: benches.Bench, settings: Settings) -> Iterator[Line | Plane]:
    """Yield the lines along the path's principal directions, and the plane: theirs, or a random one at the end."""
    if not {"principal", "random"} & set(settings.kinds):
        return
    epochs, path, last = [], [], None
    for last in moments.moments(run, bench=bench):
        epochs.append(last.epoch)
        path.append(last.weights.clone())
    assert last is not None, "moments() raises where there is none"
    surface = Surface(last, images=settings.images, seed=settings.seed, statistics=settings.statistics)
    found = directions.principal(path) if "principal" in settings.kinds and len(path) > 1 else None
    if found is not None:
        for number, vector in enumerate(found.directions, start=1):
            places = _extent(found.places[:, number - 1], points=settings.points)
            yield along(surface, Direction("principal", f"principal {number}", (last.epoch,), path[-1], vector, places))
    if not settings.grid:
        return
    if found is not None and len(found.directions) == 2:
        first, second = (
            (vector, _extent(found.places[:, k], points=settings.grid)) for k, vector in enumerate(found.directions)
        )
        drawn = tuple((epoch, *map(float, place)) for epoch, place in zip(epochs, found.places, strict=True))
        losses = over(surface, path[-1], first, second)
        yield Plane("principal", last.epoch, first[1], second[1], *losses, drawn, sum(found.explained))  # type: ignore[arg-type]
    elif "random" in settings.kinds:
        layout = surface.program.weights.layout
        places = np.linspace(-settings.span, settings.span, settings.grid)
        first, second = (
            (directions.random(path[-1], layout=layout, seed=settings.seed, number=number), places) for number in (1, 2)
        )
        losses = over(surface, path[-1], first, second)
        yield Plane("random", last.epoch, places, places, *losses, ((last.epoch, 0.0, 0.0),), None)


def _extent(places: Values, *, points: int) -> Values:
    """Return evenly spaced places from beyond the lowest to beyond the highest of `places`."""
    low, high = float(places.min()), float(places.max())
    margin = MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, points)
