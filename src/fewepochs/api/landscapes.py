"""What the loss surfaces around a run's states look like: sharpness, slices. The run's folder is only read.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.api import measuring
from fewepochs.errors import Problem, RecipeError

if TYPE_CHECKING:
    from fewepochs.probes import edge, slices
    from fewepochs.probes.bench import Bench
    from fewepochs.report import table_text

Runtime = runtimes.Runtime


def sharpness(
    path: Path,
    *,
    settings: edge.Settings | None = None,
    epochs: Sequence[int] | None = None,
    runtime: Runtime | None = None,
    say: Callable[[str], None] | None = None,
) -> edge.Measurement:
    """Measure the largest Hessian eigenvalues at each state that the run in the folder `path` keeps, or at `epochs`.

    Says beforehand what it costs at most, and a line a state. Raises FewEpochsError's family.
    """
    from fewepochs.probes import edge

    settings, say, begun = settings or edge.Settings(), say or _silent, time.perf_counter()
    _check(edge.problems(settings))
    with measuring.opened(path, runtime=_twice(runtime), say=say) as (run, bench):
        from fewepochs.probes import moment as moments
        from fewepochs.probes import sharpness as probe

        images = _images(bench, settings.images)
        states = len(moments.kept(run)) if epochs is None else len(set(epochs))
        each = 3 * (settings.most_steps + 1)
        say(f"{states} states, at most {each} products with the Hessian of {images['training']:,} images each")
        if settings.statistics == "recomputed":
            say(f"and a pass over all {len(bench.data.train):,} training images for the statistics of each")
        rows = []
        for row in probe.measure(run, bench=bench, settings=settings, epochs=epochs):
            say(f"epoch {row.epoch}: {row.training.value:.4g} on training, {row.validation.value:.4g} on validation")
            rows.append(row)
        adds = probe.penalty_adds(run, settings=settings)
        recipe = store.trained(run)
    seconds = time.perf_counter() - begun
    return edge.Measurement(path.name, recipe, settings, tuple(rows), images, adds, seconds)


def landscape(
    path: Path,
    *,
    settings: slices.Settings | None = None,
    compared: Sequence[int] | None = None,
    runtime: Runtime | None = None,
    say: Callable[[str], None] | None = None,
) -> slices.Measurement:
    """Measure slices of training and validation loss through the states of the run in the folder `path`.

    `compared`: one or two epochs whose states are kept; by default those before and after the largest drop of the rate.
    Says beforehand what it costs, and a line a slice. Raises FewEpochsError's family.
    """
    from fewepochs.probes import slices

    settings, say, begun = settings or slices.Settings(), say or _silent, time.perf_counter()
    _check(slices.problems(settings, compared=compared))
    with measuring.opened(path, runtime=_twice(runtime), say=say) as (run, bench):
        from fewepochs.probes import landscape as probe

        kept, images = probe.kept_rates(run), _images(bench, settings.images)
        chosen = tuple(sorted(set(compared))) if compared else slices.before_and_after(kept)
        passes = slices.passes(settings, compared=len(chosen), kept=len(kept))
        say(f"about {passes:,} passes over {images['training']:,} images or fewer")
        lines, planes = [], []
        for part in probe.measure(run, bench=bench, settings=settings, compared=chosen):
            if isinstance(part, slices.Line):
                say(f"line {part.name}, epoch {' to '.join(map(str, part.epochs))}")
                lines.append(part)
            else:
                say(f"plane {part.kind}, epoch {part.epoch}")
                planes.append(part)
        recipe = store.trained(run)
    seconds = time.perf_counter() - begun
    told = (path.name, recipe, settings, kept, chosen, tuple(lines), tuple(planes))
    return slices.Measurement(*told, images, seconds)


def sharpness_page(found: edge.Measurement) -> table_text.Page:
    """Return what `sharpness` found as a table."""
    from fewepochs.report import sharpness as pages

    return pages.page(found)


def landscape_page(found: slices.Measurement) -> table_text.Page:
    """Return what `landscape` found as tables: shifts, widths, walls."""
    from fewepochs.report import landscape as pages

    return pages.page(found)


def _silent(_: str) -> None:
    """Say nothing."""


def _check(found: tuple[Problem, ...]) -> None:
    if found:
        raise RecipeError("command line", found)


def _images(bench: Bench, wanted: int) -> Mapping[str, int]:
    """Return how many images of each part are looked at."""
    return {"training": min(wanted, len(bench.data.train)), "validation": min(wanted, len(bench.data.validation))}


def _twice(runtime: Runtime | None) -> Runtime:
    """Return `runtime` with kernels that can be differentiated twice."""
    return replace(runtime or Runtime(), kernels="torch")
