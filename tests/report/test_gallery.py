"""Figures become files: pictures of the width that is asked, pages without scripts, and their numbers."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from pathlib import Path

import altair
import pytest

from fewepochs import store
from fewepochs.errors import RecipeError, StorageError
from fewepochs.report import figures, gallery, picture
from report_runs import make_run


def some_runs() -> list[store.StoredRun]:
    sizes = (32, 64)
    return [make_run(f"batch_size={size}", seed=seed, joules=1.5, drop_after=9) for size in sizes for seed in (0, 1)]


def drawn(path: Path, kind: gallery.Kind = "survival", *, millimetres: float | None = None) -> bytes:
    picture.write(path, gallery.build(kind, some_runs(), targets=(0.97,)), millimetres=millimetres)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "millimetres"), [("survival", 85.0), ("survival", 180.0), ("curves", 85.0), ("cost", 180.0)]
)
def test_a_picture_is_as_wide_in_print_as_was_asked(tmp_path: Path, kind: gallery.Kind, millimetres: float) -> None:
    pdf = re.search(rb"MediaBox \[0 0 ([\d.]+)", drawn(tmp_path / "a.pdf", kind, millimetres=millimetres))
    svg = re.search(rb'width="([\d.]+)"', drawn(tmp_path / "a.svg", kind, millimetres=millimetres))
    assert pdf is not None
    assert svg is not None

    assert float(pdf[1]) == pytest.approx(millimetres / 25.4 * 72, rel=1e-3)
    assert float(svg[1]) == pytest.approx(millimetres / 25.4 * 72, rel=1e-3)


@pytest.mark.parametrize("millimetres", [85.0, 180.0])
def test_a_png_has_300_dots_an_inch(tmp_path: Path, millimetres: float) -> None:
    png = drawn(tmp_path / "a.png", millimetres=millimetres)

    assert struct.unpack(">I", png[16:20])[0] == pytest.approx(millimetres / 25.4 * 300, abs=1.5)


@pytest.mark.parametrize("sizes", [(32, 64), (16, 32, 64, 128, 256)])
def test_letters_have_one_size_in_all_widths_however_many_names_a_legend_has(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    def points(millimetres: float) -> float:
        runs = [make_run(f"batch_size={size}", seed=seed) for size in sizes for seed in (0, 1)]
        picture.write(tmp_path / "a.svg", gallery.build("survival", runs), millimetres=millimetres)
        svg = (tmp_path / "a.svg").read_text()
        width = re.search(r'width="([\d.]+)" height="[\d.]+" viewBox="0 0 ([\d.]+)', svg)
        assert width is not None
        return 11 * float(width[1]) / float(width[2])

    assert points(85) == pytest.approx(points(180), rel=0.01)
    assert 7.5 < points(85) < 9


def test_panels_stand_below_one_another_in_one_column_of_print() -> None:
    figure = gallery.build("curves", some_runs(), targets=(0.97,))

    assert figures.specification(figure, width=321)["columns"] == 1
    assert figures.specification(figure, width=680)["columns"] == 2


@pytest.mark.parametrize("kind", ["survival", "curves", "cost"])
def test_csv_has_the_numbers_of_the_figure(tmp_path: Path, kind: gallery.Kind) -> None:
    rows = list(csv.DictReader(io.StringIO(drawn(tmp_path / "a.csv", kind).decode())))
    found = figures.rows(figures.specification(gallery.build(kind, some_runs(), targets=(0.97,))))

    assert len(rows) == len(found) > 0
    assert [set(row) for row in rows] == [set(row) for row in found]
    number = {"survival": "share", "curves": "val_acc", "cost": "spent"}[kind]
    assert [float(row[number]) for row in rows] == [row[number] for row in found]


def test_json_is_the_specification(tmp_path: Path) -> None:
    found = json.loads(drawn(tmp_path / "a.json"))

    assert found["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert found == figures.specification(gallery.build("survival", some_runs(), targets=(0.97,)))


def test_the_page_of_a_figure_has_picture_words_and_numbers(tmp_path: Path) -> None:
    text = drawn(tmp_path / "a.html", "cost").decode()

    assert "<svg" in text
    assert "<script" not in text
    assert "What a target costs" in text
    assert "arm,run,target,by,spent,censored" in text


@pytest.mark.parametrize(
    ("kind", "runs", "why"),
    [
        ("survival", [make_run()], "no recipe has a target and two runs"),
        ("curves", [make_run(epochs=0)], "no run has done an epoch"),
        ("cost", [make_run(plateau=0.5)], "no run whose cost is known has reached a target"),
        ("noise", [make_run(epochs=15)], "long enough"),
    ],
)
def test_what_cannot_be_drawn_says_why(kind: gallery.Kind, runs: list[store.StoredRun], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        gallery.build(kind, runs)


def test_a_picture_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        drawn(tmp_path / "file" / "a.svg")


@pytest.mark.parametrize("kind", ["survival", "curves"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_epochs_are_labelled_whole_and_once_each(tmp_path: Path, kind: gallery.Kind, epochs: int) -> None:
    runs = [make_run(seed=seed, epochs=epochs) for seed in (0, 1)]
    picture.write(tmp_path / "a.svg", gallery.build(kind, runs, targets=(0.3,)))
    axis = re.findall(r'aria-label="X-axis titled .epochs [^"]*"(.*?)role-axis-title', (tmp_path / "a.svg").read_text())
    end = epochs if kind == "curves" else 1  # the epoch at which all have reached the target

    assert re.findall(r">([\d.]+)</text>", axis[-1]) == [str(epoch) for epoch in range(end + 1)]


@pytest.mark.parametrize("kind", ["survival", "curves", "cost", "noise"])
def test_long_names_that_end_differently_are_told_apart_in_a_figure(tmp_path: Path, kind: gallery.Kind) -> None:
    runs = [make_run(f"name={'n' * 75}{k}", f"batch_size={2**k}", seed=s, epochs=40) for k in (4, 5) for s in (0, 1)]
    picture.write(tmp_path / "a.svg", gallery.build(kind, runs, targets=(0.9,)), millimetres=180)
    names = re.findall(r">(n{9,}[^<]*)</text>", (tmp_path / "a.svg").read_text())

    assert len(names) == len(set(names)) == 2


@pytest.mark.parametrize("kind", gallery.KINDS)
def test_a_figure_is_what_its_schema_allows(kind: gallery.Kind) -> None:
    runs = [make_run(seed=seed, epochs=90, joules=1.5, drop_after=50) for seed in (0, 1)]
    figure = gallery.build(kind, runs, targets=(0.97,), live=True)

    altair.Chart.from_dict(figures.specification(figure), validate=True)
