"""The report's figures as charts, for notebooks and scripts: the same ones as on its page and in papers.

    import fewepochs

    runs = fewepochs.load("runs")
    fewepochs.figures.curves(runs, targets=[0.97])                     # shows itself in a notebook
    fewepochs.figures.save(runs, "survival", "fig.pdf", millimetres=85)

They are Altair charts: `.to_dict()`, `.save("chart.html")` and `.properties(...)` work as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewepochs import store
from fewepochs.api import collector, results

if TYPE_CHECKING:
    import altair as alt

    from fewepochs.report import gallery

    Chart = alt.VConcatChart | alt.ConcatChart


def survival(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> Chart:
    """Return who gets to the targets, and when: the share of each recipe's runs that have arrived, over epochs.

    `targets` are the recipes' where none are given, here as in all figures. Raises RecipeError without two runs of a
    recipe.
    """
    return _chart("survival", runs, targets)


def curves(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> Chart:
    """Return accuracy, loss and learning rate over epochs, a panel for each recipe, its median and band over seeds.

    Raises RecipeError before the first epoch.
    """
    return _chart("curves", runs, targets)


def cost(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> Chart:
    """Return seconds of training, and joules where they were measured, of each run up to the targets.

    Raises RecipeError where no run whose cost is known reaches one.
    """
    return _chart("cost", runs, targets)


def noise(runs: Sequence[store.StoredRun]) -> Chart:
    """Return the settled noise of the validation loss over the learning rate, phase by phase.

    Raises RecipeError where no phase of constant rate is long enough.
    """
    return _chart("noise", runs, ())


def save(
    runs: Sequence[store.StoredRun],
    kind: gallery.Kind,
    to: str | Path,
    *,
    targets: Sequence[float] = (),
    millimetres: float | None = None,
) -> Path:
    """Write a figure to the file `to` (.svg, .pdf, .png, .html, .csv, .json), as wide in print as that.

    Returns its path. Raises RecipeError and StorageError.
    """
    from fewepochs.report import picture

    picture.check(Path(to), data=True)
    return results.figure(kind, tuple(runs), to=Path(to), targets=targets, millimetres=millimetres)


@collector.paused()
def _chart(kind: gallery.Kind, runs: Sequence[store.StoredRun], targets: Sequence[float]) -> Chart:
    from fewepochs.report import figures, gallery

    return gallery.build(kind, tuple(runs), targets=targets, live=True).chart(figures.PAPER)
