"""The page shows what probes found as they found it, says what is missing, and shows text as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import altair
import pytest
from page_reader import Document

import probe_samples
from command_line import problems, run
from fewepochs.report import figures, findings, page
from report_runs import make_run, write

RUN = make_run()
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


@pytest.fixture(scope="module", autouse=True)
def _without_stills() -> Iterator[None]:
    """As pages of many runs: still pictures take long, and are the figures' own business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "MANY", 0)
        yield


@pytest.fixture(scope="module")
def everything(_without_stills: None) -> Document:
    return Document(page.render([RUN], probes=[findings.of(one) for one in probe_samples.pages().values()]))


def figure_of(kind: findings.Kind) -> figures.Figure:
    figure = findings.figure(findings.of(probe_samples.pages()[kind]))
    assert figure is not None
    return figure


@pytest.mark.parametrize("kind", findings.KINDS)
def test_the_figure_on_the_page_is_the_one_that_the_command_draws(kind: findings.Kind, everything: Document) -> None:
    drawn = json.loads(json.dumps(figures.specification(figure_of(kind), ink=figures.PAGE)))
    assert everything.block(f"spec-probe-{kind}") == drawn


@pytest.mark.parametrize("kind", findings.KINDS)
def test_a_figure_is_what_its_schema_allows(kind: findings.Kind) -> None:
    altair.Chart.from_dict(figures.specification(figure_of(kind)), validate=True)


@pytest.mark.parametrize("kind", findings.KINDS)
def test_the_table_on_the_page_is_the_one_that_the_command_prints(kind: findings.Kind, everything: Document) -> None:
    for number, table in enumerate(probe_samples.pages()[kind].tables, start=1):
        rows = everything.rows(f"table-{kind}-{number}")
        assert [tuple(cell.text for cell in row) for row in rows] == list(table.rows)


def test_sentences_stand_before_notes_and_a_run_that_is_not_shown_is_named(everything: Document) -> None:
    told = everything.texts["p"]
    for one in probe_samples.pages().values():
        for sentence in findings.sentences(findings.of(one)):
            assert sentence in told
    assert {note for one in probe_samples.pages().values() for note in one.notes} <= set(everything.texts["li"])
    names = ", ".join(probe.name for probe in findings.of(probe_samples.pages()["noise"]).runs)
    assert [text for text in told if text.startswith("Not among")] == [f"Not among the runs of this page: {names}."]
    assert "Noise by learning rate and batch size: 12 runs" in everything.texts["h3"]


def test_two_files_of_a_kind_have_names_of_their_own() -> None:
    other = make_run(seed=1)
    splits = [findings.of(probe_samples.split(one)) for one in (RUN, other)]
    found = Document(page.render([RUN, other], probes=splits))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert found.block("spec-probe-bn-split") == found.block("spec-probe-bn-split-2")
    assert [run for run in (RUN, other) if f"Stale BN statistics or the weights: {run.name}" in found.texts["h3"]] == [
        RUN, other,
    ]  # fmt: skip


def test_runs_without_an_epoch_may_be_shown_with_what_was_found() -> None:
    found = Document(page.render([make_run(epochs=0, state="crashed")], probes=[findings.of(probe_samples.split(RUN))]))
    assert any("vegaEmbed" in text for _, text in found.scripts)


def test_what_stands_in_a_file_is_text(tmp_path: Path) -> None:
    document = json.loads(json.dumps(probe_samples.split(RUN).as_dict()))
    document["runs"][0]["name"] = document["notes"][0] = document["tables"][0]["title"] = HOSTILE
    document["tables"][0]["heads"][0] = document["tables"][0]["rows"][0][0] = HOSTILE + "\x1b[31m\u202e"
    (tmp_path / "split.json").write_text(json.dumps(document))
    found = Document(page.render([RUN], probes=[findings.read(tmp_path / "split.json")]))
    assert not any(tag == "img" for tag, _ in found.elements)
    assert not any("alert" in text for attributes, text in found.scripts if "type" not in attributes)
    assert found.rows("table-bn-split-1")[0][0].text == HOSTILE + "\\x1b[31m\\u202e"


def test_the_command_names_a_file_that_it_cannot_show_and_writes_nothing(tmp_path: Path) -> None:
    """That it takes files is tested with what reading imports."""
    write(tmp_path / "runs", RUN)
    (tmp_path / "split.json").write_text(json.dumps(probe_samples.split(RUN).as_dict()))
    (tmp_path / "wrong.json").write_text("epoch,lr\n")
    refused = run("report", "runs", "--probe", "split.json", "--probe", "wrong.json", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("fewepochs: wrong.json: 1 problem")
    assert problems(refused)[0].startswith("(file): not JSON; make it with fewepochs bn-split RUN --json > FILE")
    absent = run("report", "runs", "--probe", "none.json", "--serve", "--port", "0", folder=tmp_path)
    assert (absent.returncode, absent.stdout) == (5, "")
    assert not (tmp_path / "report.html").exists()
