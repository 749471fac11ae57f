"""What a recipe needs, which data are at hand, which learning rates it bears: before a run.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.errors import DataError
from fewepochs.optim import permission

if TYPE_CHECKING:
    from fewepochs.probes import sweeps
    from fewepochs.report import sweep_console

Runtime = runtimes.Runtime


def dry_run(recipe: recipes.Recipe, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Return what `recipe` needs: parameters, FLOPs, steps, memory. The user's own images (npz) must be given."""
    from fewepochs.nets import resnet
    from fewepochs.train import estimate

    shape = estimate.KNOWN_SHAPES.get(recipe.data.kind)
    if shape is None:
        from fewepochs.data import sources

        dataset = sources.load(recipe.data.kind, where=(runtime or Runtime()).data)
        height, width, channels = dataset.train.pixels.shape[1:]
        shape = estimate.DataShape(
            train=len(dataset.train.labels),
            test=len(dataset.test.labels),
            image=resnet.ImageShape(height, width, channels),
            classes=len(dataset.classes),
        )
    return {"recipe": recipe.name, "digest": recipes.digest(recipe), **estimate.estimate(recipe, data=shape).as_dict()}


def available(where: Path | None = None) -> list[dict[str, Any]]:
    """Return the data sets at hand, as JSON-able rows: kind, path, form, detail.

    Raises DataError where `where` is not to be found.
    """
    from fewepochs.data import sources

    try:
        if where is not None:
            where.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{where} does not exist.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return [asdict(source) for source in sources.available(where)]


def fetch(kind: str, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Download the data set `kind` unless it is there already; return where it came from and its digest."""
    from fewepochs.data import sources

    dataset = sources.load(kind, download=True, say=say)
    return {"kind": kind, "origin": dataset.origin, "verified": dataset.verified, "digest": dataset.digest}


def lr_range(
    recipe: recipes.Recipe,
    *,
    sweep: sweeps.Sweep | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    runtime: Runtime | None = None,
    view: sweep_console.View | None = None,
) -> sweeps.Measurement:
    """Sweep the learning rate of `recipe` from fresh weights, once for each seed; no run folder, no file, no change.

    Without `sweep`, six decades that suit the optimizer. After a signal, what was measured so far is returned, and
    says that it is incomplete. Raises FewEpochsError's family.
    """
    from fewepochs.probes import sweeps

    runtime = runtime or Runtime()
    if sweep is None:
        lowest, highest = sweeps.default_range(recipe.optimizer)
        sweep = sweeps.Sweep(from_lr=lowest, up_to_lr=highest)
    sweeps.check(sweep, seeds=seeds)
    runtimes.check(runtime)
    permission.require_allowed(recipe.optimizer, allow_code=runtime.allow_code)
    import torch

    threads = torch.get_num_threads()
    try:
        return _measure(recipe, sweep=sweep, seeds=tuple(seeds), runtime=runtime, view=view)
    finally:
        torch.set_num_threads(threads)


def _measure(
    recipe: recipes.Recipe,
    *,
    sweep: sweeps.Sweep,
    seeds: tuple[int, ...],
    runtime: Runtime,
    view: sweep_console.View | None,
) -> sweeps.Measurement:
    from fewepochs.probes import bench as benches
    from fewepochs.probes import lr_range as probe
    from fewepochs.probes import sweeps
    from fewepochs.report import sweep_console
    from fewepochs.train import environment, interrupt, running

    shown, begun = view or sweep_console.View(), time.perf_counter()
    loaded = running.load(recipe, runtime=runtime, say=shown.note)
    bench = benches.Bench(loaded.data, loaded.device, loaded.kernels, runtime.allow_code)
    where = environment.collect(
        device=loaded.device,
        kernels=loaded.kernels,
        data_digest=loaded.dataset.digest,
        data_origin=loaded.dataset.origin,
    )
    progress, curves = probe.Progress(), list[sweeps.Curve]()
    with interrupt.catching(progress) as caught:
        shown.start(recipe, sweep=sweep, seeds=seeds, progress=progress)
        for curve in probe.measure(recipe, seeds=seeds, sweep=sweep, bench=bench, progress=progress):
            curves.append(curve)
            shown.swept(curve)
    seconds = time.perf_counter() - begun
    return sweeps.Measurement(recipe, sweep, seeds, tuple(curves), where, seconds, caught.signal)


def lr_range_numbers(measured: sweeps.Measurement) -> dict[str, Any]:
    """Return curves, noise band and suggestions of a range test as JSON-able data."""
    from fewepochs.report import sweeps

    return sweeps.build(measured)


def lr_range_picture(numbers: Mapping[str, Any], *, to: Path) -> Path:
    """Draw what `lr_range_numbers` found as SVG, PNG, PDF or HTML, whatever `to` ends in; return its path."""
    from fewepochs.report import sweep_figure

    sweep_figure.write(to, numbers)
    return to
