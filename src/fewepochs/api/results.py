"""What runs show: crossings, comparisons, verdicts on claims, tables, the report.

What only some calls need is imported inside of them, so that everything else stays fast; nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fewepochs import disk, store
from fewepochs.api import collector
from fewepochs.errors import Problem, RecipeError

if TYPE_CHECKING:
    from fewepochs.report import gallery, noise_phases, table_text


@collector.paused()
def load_runs(paths: Sequence[Path]) -> tuple[store.StoredRun, ...]:
    """Return the runs in the folders `paths`, or directly inside them."""
    return tuple(store.read(path) for path in store.find(paths))


@collector.paused()
def summarise(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> dict[str, Any]:
    """Return crossings, best accuracies and costs of `runs` as JSON-able data."""
    from fewepochs.report import summary

    return summary.build(runs, targets=targets)


@collector.paused()
def compare(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
    by: Literal["epochs", "seconds", "joules"] = "epochs",
    horizon: float | None = None,
    looks: int = 1,
    width: float | None = None,
) -> dict[str, Any]:
    """Return which recipe needs less, as JSON-able data; arguments as for `stats.compare.compare`."""
    from fewepochs.report import comparison

    return comparison.build(runs, targets=targets, rule=rule, by=by, horizon=horizon, looks=looks, width=width)


def claims() -> list[dict[str, Any]]:
    """Return every published claim, how it is known, and what its test would cost, as JSON-able data."""
    from fewepochs.report import replication

    return replication.listing()


def replicate(claim: str, runs: Sequence[store.StoredRun]) -> dict[str, Any]:
    """Return what `runs` say about the published `claim`, item by item, as JSON-able data."""
    from fewepochs.claims import catalogue
    from fewepochs.report import replication

    return replication.build(catalogue.find(claim), runs)


@collector.paused()
def table(
    kind: Literal["transitions", "best", "cost"],
    runs: Sequence[store.StoredRun],
    *,
    by: str = "batch_size",
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
) -> table_text.Page:
    """Return a table of `runs` by the recipe's field `by`: epochs to targets, best accuracy, or cost."""
    from fewepochs.report import tables

    return tables.build(kind, runs, by=by, targets=targets, rule=rule)


@collector.paused()
def noise(
    runs: Sequence[store.StoredRun],
    *,
    by: Literal["epochs", "evaluations"] = "epochs",
    spike: float = 5.0,
    first: bool = False,
) -> noise_phases.Found:
    """Return how restless `runs` are in each phase; arguments as for `report.noise_phases.find`."""
    from fewepochs.report import noise_phases

    return noise_phases.find(runs, by=by, spike=spike, first=first)


def noise_page(found: noise_phases.Found, *, gradient_noise: Sequence[Path] = ()) -> table_text.Page:
    """Return what `noise` found as tables: each phase, and how noise goes with rate and batch size.

    `gradient_noise` are files that `fewepochs gradient-noise RUN --json` wrote of these runs: noise is then also held
    against the length of a step's random part. Raises StorageError, and RecipeError where they are no such files.
    """
    from fewepochs.report import findings, noise_lengths, noise_tables

    if not gradient_noise:
        return noise_tables.build(found)
    lengths = noise_lengths.of([findings.gradient_noise_in(path) for path in gradient_noise])
    return noise_tables.build(found, lengths=lengths)


def noise_picture(page: table_text.Page, *, to: Path) -> Path:
    """Draw the tables of `noise_page` into the file `to`; return its path. Raises RecipeError for nothing to draw."""
    from fewepochs.report import findings, picture

    figure = findings.figure(findings.of(page))
    if figure is None:
        raise RecipeError("command line", (Problem("--to", "nothing to draw: no phase is long enough"),))
    picture.write(to, figure)
    return to


def attribution(
    base: str,
    full: str,
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
) -> table_text.Page:
    """Return what each ingredient of the recipe `full` saves beside the recipe `base`, put in and left out."""
    from fewepochs.report import attribution

    return attribution.build(attribution.ask(base, full), runs, targets=targets, rule=rule)


def attribution_plan(
    base: str, full: str, runs: Sequence[store.StoredRun] = (), *, to: Path | None = None
) -> table_text.Page:
    """Return which recipes an attribution needs, and write them with a study file into the folder `to` if given."""
    from fewepochs.report import attribution

    asked = attribution.ask(base, full)
    if to is not None:
        attribution.write(asked, to)
    return attribution.plan(asked, runs)


def comparison_picture(found: Mapping[str, Any], *, to: Path) -> Path:
    """Draw what `compare` returned into the file `to`: SVG, PNG, PDF or HTML; return its path."""
    from fewepochs.report import comparison_figure

    comparison_figure.write(to, found)
    return to


@collector.paused()
def figure(
    kind: gallery.Kind,
    runs: Sequence[store.StoredRun],
    *,
    to: Path,
    targets: Sequence[float] = (),
    millimetres: float | None = None,
) -> Path:
    """Draw one of the report's figures into the file `to`: a picture, a page, or its data; return its path."""
    from fewepochs.report import gallery, picture

    picture.write(to, gallery.build(kind, runs, targets=targets), millimetres=millimetres)
    return to


@collector.paused()
def page(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    title: str | None = None,
    question: str = "",
    found: Mapping[str, Any] | None = None,
    probes: Sequence[Path] = (),
    version: str | None = None,
) -> str:
    """Return the report of `runs` as one offline HTML document; see `report.page.render`.

    `probes` are files in which probes' commands wrote with --json what they found. A page with a `version` asks the
    server that it came from for a newer one. Raises StorageError and RecipeError for a file of `probes`.
    """
    from fewepochs.report import findings, page

    read = [findings.read(path) for path in probes]
    return page.render(runs, targets=targets, title=title, question=question, found=found, probes=read, live=version)


def check_probes(probes: Sequence[Path]) -> None:
    """Raise StorageError or RecipeError for a file of `probes` that a report cannot show."""
    from fewepochs.report import findings

    for path in probes:
        findings.read(path)


def report(
    runs: Sequence[store.StoredRun],
    *,
    to: Path,
    targets: Sequence[float] = (),
    title: str | None = None,
    question: str = "",
    found: Mapping[str, Any] | None = None,
    probes: Sequence[Path] = (),
) -> Path:
    """Write the report of `runs` as one offline HTML file; return its path. Arguments as for `page`.

    Raises StorageError, and RecipeError for a file of `probes`.
    """
    content = page(runs, targets=targets, title=title, question=question, found=found, probes=probes)
    disk.make_folder(to.parent)
    disk.write_whole(to, content.encode())
    return to
