"""What the states that a run keeps have to tell: BN's statistics, gradient noise. The run's folder is only read.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.specs import updates

if TYPE_CHECKING:
    from fewepochs.probes import scores
    from fewepochs.probes.bench import Bench
    from fewepochs.report import figures, probed, table_text

Runtime = runtimes.Runtime


def bn_split(
    path: Path,
    *,
    epochs: Sequence[int] | None = None,
    augmented: bool = False,
    batch_size: int | None = None,
    runtime: Runtime | None = None,
    say: Callable[[str], None] | None = None,
) -> list[scores.BnSplit]:
    """Evaluate the run in the folder `path` under three kinds of BN statistics, at each epoch whose state it keeps.

    What `runtime` leaves open is taken from the run's environment, so that the first kind has the bits that the run
    logged. Raises FewEpochsError's family.
    """
    with opened(path, runtime=runtime, say=say) as (run, bench):
        from fewepochs.probes import bn_split as probe
        from fewepochs.probes import moment as moments

        found = moments.moments(run, bench=bench, epochs=epochs)
        return [probe.split(moment, augmented=augmented, batch_size=batch_size) for moment in found]


def gradient_noise(
    path: Path,
    *,
    epochs: Sequence[int] | None = None,
    images: int | None = None,
    batch_size: int | None = None,
    runtime: Runtime | None = None,
    say: Callable[[str], None] | None = None,
) -> list[scores.GradientNoise]:
    """Measure the gradient noise scale of the run in the folder `path`, at each epoch whose state it keeps.

    `images` go forward and backward for each of them, 8,192 where it is None. Raises FewEpochsError's family.
    """
    with opened(path, runtime=runtime, say=say) as (run, bench):
        from fewepochs.probes import gradient_noise as probe
        from fewepochs.probes import moment as moments

        found = moments.moments(run, bench=bench, epochs=epochs)
        spent = probe.IMAGES if images is None else images
        return [probe.measure(moment, images=spent, batch_size=batch_size) for moment in found]


@contextmanager
def opened(
    path: Path, *, runtime: Runtime | None = None, say: Callable[[str], None] | None = None
) -> Iterator[tuple[store.StoredRun, Bench]]:
    """Hand out a run that keeps states, and the bench to look at them on; the CPU threads that it takes are given back.

    Raises FewEpochsError's family.
    """
    run, runtime = store.read(path), runtime or Runtime()
    store.trained(run)
    runtimes.check(runtime)
    import torch

    from fewepochs.probes import bench as benches
    from fewepochs.probes import moment as moments

    threads = torch.get_num_threads()
    try:
        moments.kept(run)  # before the data are read
        yield run, benches.of_run(run, runtime=runtime, say=say or _unheard)
    finally:
        torch.set_num_threads(threads)


def _unheard(text: str) -> None:
    del text


def bn_split_page(
    path: Path, found: Sequence[scores.BnSplit], *, augmented: bool = False, batch_size: int | None = None
) -> table_text.Page:
    """Return what `bn_split` found in the run at `path` as a table."""
    from fewepochs.report import bn_split as pages

    run = store.read(path)
    recipe = store.trained(run)
    averages = not isinstance(recipe.averaging, updates.NoAveraging) or isinstance(
        recipe.optimizer, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW
    )
    size = batch_size or recipe.batch_size
    return pages.page(_named(run), found, augmented=augmented, batch_size=size, averaged=averages)


def gradient_noise_page(path: Path, found: Sequence[scores.GradientNoise], *, layers: bool = False) -> table_text.Page:
    """Return what `gradient_noise` found in the run at `path` as tables, with one of the layers if asked for."""
    from fewepochs.report import gradient_noise as pages

    return pages.page(_named(store.read(path)), found, layers=layers)


def figure(page: table_text.Page) -> figures.Figure | None:
    """Return the figure of a probe's tables, the same as on a report's page; None where there is nothing to draw."""
    from fewepochs.report import findings

    return findings.figure(findings.of(page))


def _named(run: store.StoredRun) -> probed.Run:
    from fewepochs.report import probed

    return probed.Run(name=run.name, digest=run.digest)
