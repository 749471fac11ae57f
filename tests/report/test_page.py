"""The page says what the records say, shows text as text, and lets nothing in or out."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from page_reader import Document

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.api import results
from fewepochs.errors import StorageError
from fewepochs.report import curves_figure, page, summary
from report_runs import ENVIRONMENT, make_run

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "<!--",
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}",
    "n" * 300,
)


@pytest.fixture
def of_few_runs() -> None:
    """The page has still pictures, as those of few runs have."""


@pytest.fixture(autouse=True)
def _of_many_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are as those of many runs unless a test asks for the other kind: still pictures take long."""
    if "of_few_runs" not in request.fixturenames:
        monkeypatch.setattr(page, "MANY", 0)


def read(*runs: store.StoredRun, targets: tuple[float, ...] = (0.97,), title: str | None = None) -> Document:
    return Document(page.render(runs, targets=targets, title=title))


@functools.cache
def read_plain() -> Document:
    return read(make_run())


# --- numbers ------------------------------------------------------------------------------------------------------


def test_the_crossings_on_the_page_are_those_of_the_records() -> None:
    runs = [make_run(seed=0, joules=151.5), make_run(seed=1, plateau=0.9)]
    reached, censored = read(*runs).rows("table-crossings")
    first = summary.build(runs, targets=(0.97,))["runs"][0]["crossings"][0]["first"]

    assert [cell.value for cell in reached[1:]] == [
        "0.97",
        "15",
        "15",
        "345",
        repr(first["train_seconds"]),
        repr(15 * 151.5),
    ]
    assert [cell.text for cell in reached] == [
        runs[0].name,
        "0.97",
        "15",
        "15 \u00d7\u202f3",
        "345",
        "39.4 s",
        "2.27 kJ",
    ]
    assert [cell.text for cell in censored] == [
        runs[1].name,
        "0.97",
        "not within 20",
        "not \u00d7\u202f3 within 20",
        "not reached",
    ]


def test_the_costs_on_the_page_are_those_of_the_records() -> None:
    run = make_run(joules=151.5)
    costs = summary.build([run])["runs"][0]["costs"]
    (row,) = read(run).rows("table-costs")

    keys = ("train_seconds", "evaluation_seconds", "setup_seconds", "median_epoch_seconds", "images_per_second")
    told = [row[k] for k in (1, 2, 3, 5, 6, 8, 9, 10)]
    assert [cell.value for cell in told] == [
        repr(costs[key]) for key in (*keys, "peak_memory_bytes", "watts", "joules")
    ]
    expected = ["53.3 s", "5 s", "1.75 s", "2.66 s", "512", "118 MiB", "56.9 W", "3.03 kJ"]
    assert [cell.text for cell in told] == expected
    assert [row[k].text for k in (4, 7)] == ["not recorded", "not known"], "as in older runs"


def test_the_best_accuracy_and_its_test_accuracy_are_those_of_the_records() -> None:
    run = make_run("data.validation={kind='held-out', images=200}", test=True)
    record = max(run.epochs, key=lambda epoch: epoch.val_acc)
    document = read(run)
    (row,) = document.rows("table-runs")

    assert [cell.value for cell in row[4:7]] == [repr(record.val_acc), str(record.epoch), repr(record.test_acc)]
    assert row[4].text == f"{record.val_acc:.4f}"
    assert "Validated on 200 held-out training images (split seed 0)." in document.texts["p"]


def test_the_numbers_of_the_figure_are_the_records() -> None:
    runs = [make_run(seed=seed) for seed in (0, 1)]
    found = read(*runs).block("numbers-1")

    assert [run["val_acc"] for run in found["runs"]] == [[epoch.val_acc for epoch in run.epochs] for run in runs]
    assert [row["target"] for row in found["targets"]] == [0.97]


@pytest.mark.usefixtures("of_few_runs")
def test_every_epoch_stands_in_the_table_of_its_run() -> None:
    run = make_run()
    document = read(run)
    rows = next(rows for name, rows in document.tables.items() if [c.text for c in rows[0][:2]] == ["epoch", "step"])

    assert [row[0].text for row in rows[1:]] == [str(epoch) for epoch in range(1, 21)]
    column = [cell.text for cell in rows[0]].index("val_acc")
    assert [row[column].text for row in rows[1:]] == [f"{record.val_acc:.6g}" for record in run.epochs]


def test_each_recipe_has_a_figure_of_its_own_on_common_axes() -> None:
    runs = [make_run(f"batch_size={size}") for size in (32, 64)]
    document = read(*runs)

    assert document.texts["h3"][:2] == ["digits-step (batch_size = 32)", "digits-step (batch_size = 64)"]
    assert [document.block(f"numbers-{i}")["runs"][0]["run"] for i in (1, 2)] == [run.name for run in runs]


# --- absent, censored, unfinished -----------------------------------------------------------------------------------


def test_the_answers_come_first_and_name_censored_runs() -> None:
    answers = read(make_run(plateau=0.9), make_run(seed=1, plateau=0.9)).texts["li"]

    assert answers[0] == "digits-step: 0.97 not reached in 2 of 2 runs within 20 epochs"


def test_joules_that_were_not_measured_show_their_reason() -> None:
    document = read(make_run(), make_run(seed=1), make_run(seed=2, joules=3.0))

    assert document.rows("table-crossings")[0][-1].text == "not measured"
    assert document.rows("table-costs")[0][-1].text == "not measured"
    told = "Energy not measured in 2 of 3 runs: no energy counter on this machine."
    assert [text for text in document.texts["p"] if text.startswith("Energy not")] == [told]


def test_a_pinned_crossing_is_flagged_and_explained() -> None:
    document = read(make_run(drop_after=13))

    assert document.rows("table-crossings")[0][2].text == "15 pinned"
    assert any("within two epochs after a drop" in item for item in document.texts["li"])
    assert read(make_run(drop_after=5)).rows("table-crossings")[0][2].text == "15"


@pytest.mark.parametrize("state", ["running", "diverged", "crashed", "interrupted"])
@pytest.mark.parametrize("epochs", [0, 7])
def test_unfinished_runs_are_shown_with_their_reason(state: Any, epochs: int) -> None:
    run = make_run(epochs=epochs, state=state, reason="what happened")
    document = read(run, make_run(seed=1))
    row = document.rows("table-runs")[0]

    assert row[2].text == f"{state}: what happened"
    assert row[3].text == f"{epochs} of 20"
    assert "nan" not in "".join(cell.text for cell in row).lower()


def test_a_page_of_runs_without_epochs_draws_nothing_and_needs_no_script() -> None:
    document = read(make_run(epochs=0, state="running"))

    assert document.scripts == []
    assert "No epoch done yet: nothing to draw." in document.texts["p"]
    assert [cell.text for cell in document.rows("table-costs")[0]][1:] == ["no cost recorded"]


def test_a_page_of_no_runs_says_so() -> None:
    assert read(targets=()).texts["li"] == ["No runs."]


def test_what_is_unknown_about_the_environment_is_said() -> None:
    rows = {row[0].text: row[1].text for row in read(make_run()).rows("table-environment")}

    assert rows == {
        "device.kind": "cpu",
        "device.name": "unknown",
        "threads": "2",
        "versions.python": "3.11.7",
        "versions.torch": "2.6.0",
    }


def test_what_differs_between_environments_is_shown_run_by_run() -> None:
    runs = [make_run(seed=seed, environment={**ENVIRONMENT, "threads": 2 + seed}) for seed in (0, 1)]
    document = read(*runs)
    rows = next(rows for rows in document.tables.values() if [cell.text for cell in rows[0]] == ["run", "threads"])

    assert [[cell.text for cell in row] for row in rows[1:]] == [[runs[0].name, "2"], [runs[1].name, "3"]]
    assert "threads" not in [row[0].text for row in document.rows("table-environment")]


def test_where_no_target_is_asked_the_page_tells_the_best_accuracy() -> None:
    run = make_run("targets=[]")
    best = max(record.val_acc for record in run.epochs)
    told = f"digits-step: no target was asked; best validation accuracy {best:.4f} (1 of 1 run)"
    assert told in read(run, targets=()).texts["li"]


def test_the_recipe_its_digest_and_the_command_are_on_the_page() -> None:
    run = make_run()
    text = page.render([run])
    document = Document(text)

    assert recipes.to_toml(store.trained(run)) in document.texts["pre"]
    assert f"fewepochs train {run.name}/recipe.toml\n" in document.texts["pre"]
    assert recipes.digest(store.trained(run)) in text
    assert "fewepochs train digits-step --seed 0" in text


def test_the_l2_penalty_is_mentioned_where_there_is_one() -> None:
    assert "Losses include the L2 penalty." in read(make_run()).texts["figcaption"][0]
    without = make_run("regularisation={kind='none'}")
    assert "Losses include the L2 penalty." not in read(without).texts["figcaption"][0]


# --- safety -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_text(name: str) -> None:
    environment = {"command": ["fewepochs", name], name: name}
    run = make_run(folder=name.replace("/", "\u2215"), reason=name, state="crashed", environment=environment)
    plain, hostile = read_plain(), read(run, title=name)

    assert hostile.texts["title"] == hostile.texts["h1"] == [name]
    assert hostile.rows("table-runs")[0][0].text == run.name
    assert hostile.rows("table-runs")[0][2].text == f"crashed: {name}"
    assert hostile.rows("table-environment")[0][0].text == name
    assert hostile.block("numbers-1")["runs"][0]["run"] == run.name
    assert len(hostile.scripts) == len(plain.scripts)
    assert {tag for tag, _ in hostile.elements} == {tag for tag, _ in plain.elements}


def test_escape_sequences_and_broken_characters_are_spelt_out() -> None:
    text = page.render([make_run(folder="a\x1b[31mb\x00\u202ec\udce9", reason="\x07bell", state="crashed")])

    text.encode()
    assert "a\\x1b[31mb\\x00\\u202ec\\udce9" in text
    assert "\\x07bell" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text.split("<script>")[0])


def test_the_policy_allows_the_pages_own_scripts_and_style_and_nothing_else() -> None:
    document = read(make_run())
    policy = next(a["content"] for t, a in document.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))

    def known(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    active = [text for attributes, text in document.scripts if "type" not in attributes]
    assert directives["default-src"] == "'none'"
    assert directives["script-src"].split() == [known(text) for text in active]
    assert directives["style-src"] == known(document.texts["style"][0])
    assert "unsafe" not in policy


@pytest.mark.usefixtures("of_few_runs")
def test_the_page_has_no_external_address() -> None:
    document = read(make_run(drop_after=9), make_run(seed=1))
    for _, attributes in document.elements:
        assert not {"src", "srcset", "action", "ping", "style"} & attributes.keys()
        assert not [key for key in attributes if key.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    outside = re.sub(r"<script>.*?</script>", "", document.source, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\s\"'<]*", outside))
    assert {address.split("/")[2] for address in addresses} == {"www.w3.org", "vega.github.io"}
    schema = curves_figure.panel(shared=curves_figure.axes((), targets=())).to_dict()["$schema"]
    assert {address for address in addresses if "w3.org" not in address} == {schema}


def test_the_library_is_embedded_once() -> None:
    runs = [make_run(f"batch_size={size}") for size in (16, 32, 64)]

    assert page.render(runs).count("window.vegaEmbed=") == 1


# --- form ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("of_few_runs")
def test_the_same_runs_give_the_same_bytes() -> None:
    def once() -> str:
        return page.render([make_run(seed=0), make_run("batch_size=32", seed=1, drop_after=4)])

    assert once() == once()


def test_tables_are_marked_up_for_those_who_cannot_see_them() -> None:
    document = read(make_run(test=True), make_run(seed=1, epochs=0, state="crashed"), targets=(0.9, 0.97))
    for rows in document.tables.values():
        assert {cell.scope for cell in rows[0]} == {"col"}
        assert {row[0].scope for row in rows[1:]} == {"row"}
    pictures = [attributes for _, attributes in document.elements if "data-numbers" in attributes]
    assert [picture["role"] for picture in pictures] == ["img"]
    assert "digits-step reaches 0.97 after 15 epochs (1 of 2 runs)" in (pictures[0]["aria-label"] or "")
    names = [attributes["id"] for _, attributes in document.elements if attributes.get("id")]
    assert len(names) == len(set(names))


def test_rows_have_as_many_cells_as_their_heads() -> None:
    source = page.render([make_run(test=True), make_run(seed=1, epochs=0, state="crashed")], targets=(0.97,))
    for table in re.findall(r"<table.*?</table>", source, flags=re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        spans = [[int(n or 1) for n in re.findall(r'<t[dh]\b(?:[^>]*colspan="(\d+)")?', row)] for row in rows]
        assert len({sum(span) for span in spans}) == 1


@pytest.mark.usefixtures("of_few_runs")
def test_the_still_picture_stands_in_the_page_for_readers_without_scripts() -> None:
    text = page.render([make_run(), make_run(seed=1)])
    picture = text.split('data-numbers="numbers-1">')[1].split("</div>")[0]

    assert picture.startswith("<svg")
    assert picture.count('stroke="var(--validation)"') >= 2
    assert "white" not in picture


@pytest.mark.usefixtures("of_few_runs")
def test_ten_runs_of_two_hundred_epochs_make_a_page_of_bearable_size() -> None:
    runs = [make_run("budget.epochs=200", f"batch_size={seed + 1}", seed=seed, epochs=200) for seed in range(10)]
    text = page.render(runs, targets=(0.91, 0.92, 0.93))

    assert len(text.encode()) < 3_000_000


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    results.report([make_run()], to=path, targets=(0.97,), title="One")

    assert path.read_text(encoding="utf-8") == page.render([make_run()], targets=(0.97,), title="One")
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match=r"file"):
        results.report([make_run()], to=tmp_path / "file" / "report.html")


def test_a_page_of_many_runs_draws_some_and_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MANY", 3)
    monkeypatch.setattr(page, "MOST_DRAWN", 2)
    runs = [make_run(seed=seed) for seed in range(5)]
    text = page.render(runs)
    assert "2 of 5 runs" in text
    assert "And 2 runs more" in text
    assert text.count('<table class="dense">') == 3
    few = page.render(runs[:3])
    assert "runs more" not in few
    assert few.count('<table class="dense">') == 3


@pytest.mark.usefixtures("of_few_runs")
def test_a_page_of_many_runs_has_numbers_for_its_script_instead_of_still_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(f"batch_size={size}", seed=seed) for size in (32, 64) for seed in range(2)]
    few = page.render(runs, targets=(0.9,))
    monkeypatch.setattr(page, "MANY", 3)
    many = page.render(runs, targets=(0.9,))

    assert few.count('class="picture"') == many.count('class="picture"') == 5
    assert few.count('class="picture"') == len(re.findall(r'class="picture"[^>]*><svg', few))
    assert re.findall(r'class="picture"[^>]*><svg', many) == []
    assert many.count("which has not run") == 5
    for name in ("spec-survival", "spec-cost", "spec-noise", "numbers-1", "numbers-2"):
        block = many.split(f'<script type="application/json" id="{name}">')[1].split("</script>")[0]
        assert json.loads(block)
