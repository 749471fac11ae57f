"""What probes found, from their JSON to sentences and figures: nothing is lost on the way, nothing wrong gets in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import probe_samples
from fewepochs.errors import RecipeError, StorageError
from fewepochs.report import figures, findings, table_text
from report_runs import make_run

RUN = make_run()


def written(path: Path, page: table_text.Page, **changes: Any) -> Path:
    """Write the page as its command's --json does, but for `changes`."""
    path.write_text(json.dumps({**page.as_dict(), **changes}, indent=2))
    return path


def told(page: table_text.Page) -> list[str]:
    return findings.sentences(findings.of(page))


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", findings.KINDS)
def test_a_file_says_what_its_command_drew(kind: findings.Kind, tmp_path: Path) -> None:
    found = findings.read(written(tmp_path / "found.json", probe_samples.pages()[kind]))
    drawn, own = findings.figure(found), findings.figure(findings.of(probe_samples.pages()[kind]))
    assert drawn is not None
    assert own is not None

    assert found == findings.of(probe_samples.pages()[kind])
    assert figures.specification(drawn) == figures.specification(own)
    assert (drawn.title, drawn.alternative) == (own.title, own.alternative)
    assert found.probe == kind
    assert found.notes == probe_samples.pages()[kind].notes
    assert [table.rows for table in found.tables] == [table.rows for table in probe_samples.pages()[kind].tables]


def test_the_numbers_of_a_figure_are_those_of_the_table() -> None:
    for kind, rows in (("sharpness", probe_samples.pages()["sharpness"].tables[0].data), ("gradient-noise", None)):
        figure = findings.figure(findings.of(probe_samples.pages()[kind]))  # type: ignore[index]
        assert figure is not None
        expected = rows or [
            row for row in probe_samples.pages()["gradient-noise"].tables[0].data if row["layer"] == "all weights"
        ]
        assert figures.rows(figures.specification(figure)) == list(expected)


@pytest.mark.parametrize("kind", ["bn-split", "gradient-noise", "sharpness"])
def test_epochs_stand_at_whole_ticks(kind: findings.Kind) -> None:
    figure = findings.figure(findings.of(probe_samples.pages()[kind]))
    assert figure is not None
    for layer in figures.specification(figure)["vconcat"][0]["layer"]:
        x = layer["encoding"]["x"]

        assert x["axis"].get("values") == list(range(x["scale"]["domain"][1] + 1))


def test_a_plane_says_what_its_axes_and_its_colours_are() -> None:
    figure = findings.figure(findings.of(probe_samples.pages()["landscape"]))
    assert figure is not None
    cells = [panel["layer"][0] for panel in figures.specification(figure)["concat"]]
    planes = [layer["encoding"] for layer in cells if layer["mark"]["type"] == "rect"]

    assert len(planes) == 2
    for encoding in planes:
        assert (encoding["x"]["title"], encoding["y"]["title"]) == ("first direction", "second direction")
        assert encoding["color"]["legend"]["title"] == "loss"


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "found.json", probe_samples.pages()["bn-split"], temperature=3)
    assert findings.read(path) == findings.of(probe_samples.pages()["bn-split"])


def test_where_there_is_nothing_to_draw_there_is_no_figure() -> None:
    assert findings.figure(findings.of(probe_samples.noise_scale(RUN, (None, None, None)))) is None
    assert findings.figure(findings.of(probe_samples.law([make_run(epochs=15)]))) is None


# --- sentences ------------------------------------------------------------------------------------------------------


def test_a_split_says_at_how_many_steps_val_loss_rises_under_either_kind_and_where_they_differ_most() -> None:
    assert told(probe_samples.pages()["bn-split"]) == [
        "From epoch to epoch, val_loss with recomputed statistics rises at 0 of 3 steps, with moving ones at 1.",
        "Stale statistics cost most after epoch 3: 1.8750 with moving statistics, 0.2500 with recomputed ones.",
    ]
    assert told(probe_samples.split(RUN, moving=(0.25,), recomputed=(0.5,))) == [
        "Stale statistics cost nothing, least after epoch 1: 0.2500 with moving statistics, "
        "0.5000 with recomputed ones."
    ]


def test_a_split_passes_over_losses_that_are_not_finite() -> None:
    page = probe_samples.split(RUN, moving=(float("inf"), 1.0, 2.0), recomputed=(0.5, 0.5, 0.5))
    assert page.tables[0].data[0]["val_loss_moving"] is None
    json.dumps(page.as_dict(), allow_nan=False)
    assert "rises at 0 of 1 step, with moving ones at 1" in told(page)[0]


def test_gradient_noise_rises_or_falls_only_where_intervals_do_not_overlap() -> None:
    first, second = told(probe_samples.pages()["gradient-noise"])
    assert first == (
        "The gradient noise scale is 160 (120 to 250) images after epoch 1 and 2,500 (900 to open) after epoch 2: "
        "it rises."
    )
    assert second.startswith("The batch of 32 is smaller than it at 2 of 2 states: ")
    falls = told(probe_samples.noise_scale(RUN, (300.0, 200.0, 400.0), (20.0, 10.0, 30.0)))
    assert falls[0].endswith("after epoch 2: it falls.")
    assert "smaller than it at 1 of 2 states" in falls[1]
    assert "cannot be told" in told(probe_samples.noise_scale(RUN, (300.0, 20.0, 400.0), (20.0, 10.0, 30.0)))[0]
    assert "cannot be told" in told(probe_samples.noise_scale(RUN, (100.0, 50.0, 200.0), (150.0, 120.0, 300.0)))[0]
    lost = told(probe_samples.noise_scale(RUN, (300.0, 20.0, 400.0), (None, None, None)))
    assert lost[-1] == "At 1 of 2 states the gradient is not told from its noise."
    assert told(probe_samples.noise_scale(RUN, (None, None, None))) == [
        "Nowhere is the gradient told from its noise: more images (--images) help."
    ]


def test_sharpness_says_where_it_lies_above_2_over_lr_and_above_the_edge() -> None:
    assert told(probe_samples.pages()["sharpness"]) == [
        "On training images the largest eigenvalue lies above 2 / lr at 1 of 3 states, most after epoch 1: 1.2 of it.",
        "On training images as Adam sees it, it lies above the edge of Adam at 1 of 3 states, most after epoch 2: "
        "1.1 of it.",
    ]
    below = probe_samples.sharp(RUN, training=(50.0, 20.0), rates=(0.01, 0.01), seen=(400.0, 400.0))
    assert told(below)[0].endswith("stays below 2 / lr at all 2 states, most after epoch 1: 0.25 of it.")
    sgd = make_run("optimizer={kind='sgd', lr=0.01, momentum=0.9}")
    heavy = told(probe_samples.sharp(sgd, training=(250.0,), rates=(0.01,), seen=(None,)))
    assert heavy[0].endswith("lies above 2 / lr at 1 of 1 states, most after epoch 1: 1.2 of it.")
    assert "stays below the edge of its rule, 3.8 / lr (heavy ball, momentum 0.9) at the one state" in heavy[1]
    plain = probe_samples.sharp(sgd, training=(250.0,), rates=(0.01,), seen=(None,), momentum=0.0)
    assert len(told(plain)) == 1  # without momentum the edge is 2 / lr
    assert told(probe_samples.sharp(sgd, training=(9.0,), rates=(0.0,), seen=(None,))) == []


def test_a_landscape_says_on_which_lines_a_shift_is_told_from_0() -> None:
    alike = told(probe_samples.pages()["landscape"])
    assert alike[0] == "A shift of validation against training is told from 0 on none of 2 lines."
    assert alike[1].startswith("Shifted, and raised by 0.25 to 0.25, ")
    assert alike[1].endswith("to a likeness of 1.000 to 1.000 (1: alike).")
    moved = told(probe_samples.slopes(RUN, shift=0.25))[0]
    assert moved.startswith("Validation is shifted against training on 2 of 2 lines (gradient, epoch 2: 0.25, ")
    assert "; between, epoch 1 to 2: 0.25, " in moved


def test_the_law_says_powers_with_their_intervals() -> None:
    [only] = told(probe_samples.pages()["noise"])
    found = re.fullmatch(
        r"sgd: noise of val_loss goes as rate \^ (\S+) \((\S+) to (\S+)\) and batch size \^ (\S+) \((\S+) to (\S+)\): "
        r"grows with the learning rate; falls with the batch size\.",
        only,
    )
    assert found is not None
    law = next(row for row in probe_samples.pages()["noise"].tables[1].data if row["noise_of"] == "val_loss")
    numbers = [law[f"{power}_{end}"] for power in ("rate", "batch") for end in ("value", "low", "high")]
    assert [float(text) for text in found.groups()] == [pytest.approx(number, abs=0.005) for number in numbers]
    [short] = told(probe_samples.law([make_run(epochs=15)]))
    assert short.startswith("adam: cannot tell whether it goes with the learning rate: no noise; ")


# --- what is refused ------------------------------------------------------------------------------------------------


def refused(document: object, path: Path) -> str:
    """Return what is said of a file with this document, without the file's name."""
    path.write_text(json.dumps(document))
    with pytest.raises(RecipeError) as caught:
        findings.read(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    return told.removeprefix(f"{path}: ")


WRONG: dict[str, tuple[findings.Kind, tuple[str | int, ...], Any, str]] = {
    "a newer one": ("bn-split", ("format",), 2, "format: another format than is read here; make it again"),
    "no runs": ("bn-split", ("runs",), [], "runs: tuple should have at least 1 item"),
    "no digest": ("bn-split", ("runs", 0, "digest"), "1", "runs.0.digest: "),
    "no moment": ("bn-split", ("tables", 0, "data"), [], "tables.0.data: "),
    "text for a number": ("sharpness", ("tables", 0, "data", 0, "lr"), "1", "tables.0.data.0.lr: "),
    "no number": ("sharpness", ("tables", 0, "data", 0, "training"), float("nan"), "data.0.training: "),
    "a cell too few": ("bn-split", ("tables", 0, "rows", 0), ["1"], "not every row has 7 cells"),
    "an expression": ("landscape", ("lines", 0, "line"), "x' || 1 || '", "lines.0.line: "),
    "an uneven line": ("landscape", ("lines", 0, "t"), [0.0, 1.0, 2.0], "not as many losses as places t"),
    "an uneven plane": ("landscape", ("planes", 0, "across"), [0.0, 1.0, 2.0], "places across and down"),
    "a rate of 0": ("noise", ("points", 0, "x"), 0.0, "points.0.x: "),
    "many": ("noise", ("points",), [{}] * 9, "(file): and 58 problems more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_with_a_wrong_value_is_refused(name: str, tmp_path: Path) -> None:
    kind, place, value, message = WRONG[name]
    document: dict[str, Any] = json.loads(json.dumps(probe_samples.pages()[kind].as_dict()))
    here: Any = document
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    assert message in refused(document, tmp_path / "found.json")


def test_what_is_of_no_probe_or_of_an_older_one_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    assert "not what a probe prints; make it with fewepochs bn-split RUN --json > FILE" in refused([], path)
    other = refused({"table": "best"}, path)
    assert "(got 'best'); allowed: bn-split, gradient-noise, sharpness, landscape, noise" in other
    added = ("probe", "format", "runs")
    former = {key: value for key, value in probe_samples.pages()["sharpness"].as_dict().items() if key not in added}
    assert "make it again with fewepochs sharpness RUN --json > FILE" in refused(former, path)


@pytest.mark.parametrize("content", [b"", b"epoch,lr\n1,2\n", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "found.csv"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"make it with fewepochs bn-split RUN --json > FILE"):
        findings.read(path)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"none\.json: cannot be read: No such file or directory"):
        findings.read(tmp_path / "none.json")
    with pytest.raises(StorageError, match="Is a directory"):
        findings.read(tmp_path)
    monkeypatch.setattr(findings, "MOST_BYTES", 100)
    with pytest.raises(RecipeError, match="larger than 100 bytes"):
        findings.read(written(tmp_path / "found.json", probe_samples.pages()["bn-split"]))
