"""fewepochs figure: what it draws, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import problems, run
from fewepochs.cli import drawing
from fewepochs.report import gallery
from report_runs import make_run, write


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write(tmp_path / "runs", *(make_run(seed=seed) for seed in range(3)))


def test_the_file_is_named_on_stdout(tmp_path: Path, runs: Path) -> None:
    told = run("figure", "survival", runs, "-o", "new/fig.pdf", "--width", "85", folder=tmp_path)

    assert (told.returncode, told.stdout, told.stderr) == (0, "new/fig.pdf\n", "")
    assert (tmp_path / "new" / "fig.pdf").read_bytes().startswith(b"%PDF")


def test_the_command_offers_what_the_gallery_has() -> None:
    assert drawing.KINDS == gallery.KINDS  # written down twice: the gallery takes a second to import


def test_numbers_come_as_csv_and_the_file_as_json(tmp_path: Path, runs: Path) -> None:
    told = run("figure", "curves", runs, "-o", "fig.csv", "--json", folder=tmp_path)

    assert json.loads(told.stdout) == {"figure": "fig.csv"}
    assert (tmp_path / "fig.csv").read_text().splitlines()[0] == "run,epoch,acc,val_acc,loss,val_loss"
    assert len((tmp_path / "fig.csv").read_text().splitlines()) == 1 + 3 * 20


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("curve", "-o", "f.svg"), "KIND: not a known choice (got 'curve'); allowed: survival, curves, cost, noise"),
        (
            ("curves", "-o", "f.gif"),
            "--to: not a kind of picture (got 'f.gif'); allowed: FILE.svg, FILE.png, FILE.pdf, FILE.html, FILE.csv, "
            "FILE.json",
        ),
        (
            ("curves", "-o", "f.svg", "--width", "4"),
            "--width: not a width (got '4.0'); allowed: 40 to 1000 millimetres",
        ),
        (
            ("curves", "-o", "f.svg", "--width", "nan"),
            "--width: not a width (got 'nan'); allowed: 40 to 1000 millimetres",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_read(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    kind, *options = arguments
    ended = run("figure", kind, "nowhere", *options, folder=tmp_path)

    assert ended.returncode == 2
    assert problems(ended) == [told]


def test_runs_without_what_the_figure_shows_say_so(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run(epochs=15))
    ended = run("figure", "noise", "runs", "-o", "f.svg", folder=tmp_path)

    assert ended.returncode == 2
    assert "noise: nothing to draw: no run has a phase of constant rate that is long enough, 20 epochs" in ended.stderr
    assert not (tmp_path / "f.svg").exists()
