"""Slices of a run: which lines and planes there are, what they cost, and that the folder stays as it was."""

from __future__ import annotations

from pathlib import Path

import kept_runs
import numpy as np
import pytest
import torch

from fewepochs import store
from fewepochs.probes import landscape, slices, surface
from fewepochs.probes import moment as moments
from fewepochs.probes.slices import Line, Plane
from fewepochs.report import figures, findings, table_text
from fewepochs.report import landscape as pages
from run_folders import contents

FAST = slices.Settings(points=9, grid=3, images=40)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    schedule = "schedule={kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 0.1]}"
    return kept_runs.train(tmp_path_factory.mktemp("landscape") / "run", schedule)


@pytest.fixture(scope="module")
def measured(run: store.StoredRun) -> slices.Measurement:
    return measure(run)


def measure(run: store.StoredRun, settings: slices.Settings = FAST) -> slices.Measurement:
    kept = landscape.kept_rates(run)
    compared = slices.before_and_after(kept)
    parts = list(landscape.measure(run, bench=kept_runs.bench(run), settings=settings, compared=compared))
    lines = tuple(part for part in parts if isinstance(part, Line))
    planes = tuple(part for part in parts if isinstance(part, Plane))
    images = {"training": 40, "validation": 40}
    return slices.Measurement("run", store.trained(run), settings, kept, compared, lines, planes, images, 1.0)


def drawn(page: table_text.Page) -> figures.Figure:
    figure = findings.figure(findings.of(page))
    assert figure is not None
    return figure


def test_lines_go_through_the_moments_before_and_after_the_drop(measured: slices.Measurement) -> None:
    assert measured.compared == (2, 3)
    assert [(line.name, line.epochs) for line in measured.lines] == [
        ("gradient", (2,)), ("random", (2,)), ("gradient", (3,)), ("random", (3,)),
        ("between", (2, 3)), ("principal 1", (3,)), ("principal 2", (3,)),
    ]  # fmt: skip
    for line in measured.lines:
        assert line.training.shape == line.validation.shape == (9, 40)
        assert line.penalty.shape == (9,)
    [plane] = measured.planes
    assert plane.training.shape == plane.validation.shape == (3, 3)
    assert [epoch for epoch, *_ in plane.path] == [1, 2, 3]
    assert plane.path[-1] == (3, 0.0, 0.0)
    assert plane.explained == pytest.approx(1.0)  # three points lie in a plane


def test_a_line_between_weights_has_their_own_losses_at_its_ends(run: store.StoredRun) -> None:
    settings = slices.Settings(kinds=("between",), points=13, grid=0, images=40, statistics="stored")
    [line] = measure(run, settings).lines
    first, second = moments.moments(run, bench=kept_runs.bench(run), epochs=(2, 3))
    with first.at(weights=second.weights):
        end = first.score(first.data.validation)
    for t, score in ((0.0, first.score(first.data.validation)), (1.0, end)):
        [place] = np.flatnonzero(np.isclose(line.places, t))
        assert line.validation[place].mean() == pytest.approx(score.cross_entropy, rel=1e-4)
        assert line.penalty[place] == pytest.approx(score.penalty, rel=1e-5)
    assert line.length == pytest.approx(float((second.weights - first.weights).norm()), rel=1e-5)


def test_the_gradients_line_falls_at_the_moment(measured: slices.Measurement) -> None:
    for line in measured.lines:
        if line.kind == "gradient":
            middle = len(line.places) // 2
            assert line.training.mean(1)[middle - 1] > line.training.mean(1)[middle]


def test_it_repeats_its_bits_and_leaves_the_folder(run: store.StoredRun, measured: slices.Measurement) -> None:
    before = contents(run.path)
    for ours, theirs in zip(measure(run).lines, measured.lines, strict=True):
        assert ours.training.tobytes() == theirs.training.tobytes()
        assert ours.validation.tobytes() == theirs.validation.tobytes()
    assert contents(run.path) == before


def test_passes_are_counted_beforehand(run: store.StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    original = surface.Surface._batches

    def counted(self: surface.Surface, part: object) -> object:
        nonlocal count
        count += 1
        return original(self, part)  # type: ignore[arg-type]

    monkeypatch.setattr(surface.Surface, "_batches", counted)
    measure(run)
    asked = slices.passes(FAST, compared=2, kept=3)
    assert 0.95 * asked < count <= asked + 10  # some more for the statistics where a surface begins


def test_a_run_with_one_state_has_the_lines_through_it_and_a_random_plane(tmp_path: Path) -> None:
    found = measure(kept_runs.train(tmp_path / "run", keep=()))
    assert found.compared == (3,)
    assert [line.name for line in found.lines] == ["gradient", "random"]
    assert [plane.kind for plane in found.planes] == ["random"]
    assert drawn(pages.page(found)).chart(figures.PAPER) is not None


def test_numbers_and_figure_have_every_slice(measured: slices.Measurement) -> None:
    page = pages.page(measured)
    assert [len(table.rows) for table in page.tables] == [7, 14, 14]
    csv = table_text.lines(page, form="csv")
    assert len(csv) == 1 + 7 + 14 * 3 + 14 * 2
    found = page.as_dict()
    assert [line["line"] for line in found["lines"]] == [line.name for line in measured.lines]
    assert len(found["planes"][0]["path"]) == 3
    for ink in (figures.PAPER, figures.PAGE):
        spec = figures.specification(drawn(page), ink=ink)
        assert len(spec["concat"]) == 9
        assert len(figures.rows(spec)) == 7 * 2 * 9 + 9


@pytest.mark.parametrize("statistics", ["stored", "recomputed"])
def test_bn_statistics_are_those_asked_for(statistics: str, run: store.StoredRun) -> None:
    kind = slices.Settings(kinds=("random",), points=9, grid=0, images=40, statistics=statistics)  # type: ignore[arg-type]
    line = measure(run, kind).lines[-1]
    moment = list(moments.moments(run, bench=kept_runs.bench(run)))[-1]
    own = moment.score(moment.data.validation).cross_entropy
    assert bool(np.isclose(line.validation[4].mean(), own, rtol=1e-4)) is (statistics == "stored")
    assert torch.equal(moment.weights, next(moments.moments(run, bench=kept_runs.bench(run), epochs=(3,))).weights)
