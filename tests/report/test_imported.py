"""Foreign runs in summaries, comparisons, tables and on the page: marked everywhere, with nothing made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from page_reader import Document

import foreign_runs
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.claims import matching
from fewepochs.errors import RecipeError
from fewepochs.report import (
    comparison,
    comparison_console,
    console,
    curves_figure,
    imported,
    labels,
    page,
    summary,
    tables,
    visible,
)
from report_runs import RECIPE, make_run

DESCRIBED = recipes.parse(RECIPE, source="test")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}",
    "\x1b[31m",
)


def groups(*runs: store.StoredRun) -> tuple[labels.Group, ...]:
    return labels.group(labels.label(runs))


# --- who they are ---------------------------------------------------------------------------------------------------


def test_foreign_runs_say_so_in_their_names() -> None:
    (group,) = groups(foreign_runs.make())
    assert group.label == "my-keras (foreign)"
    assert group.runs[0].label == f"{foreign_runs.make().name} (foreign)"


def test_foreign_runs_of_a_recipe_and_runs_trained_on_it_are_two_arms() -> None:
    ours, theirs = make_run(), foreign_runs.make(name="digits-step", described=DESCRIBED)
    assert [group.label for group in groups(ours, theirs)] == ["digits-step", "digits-step (foreign)"]


def test_seeds_of_one_name_are_one_arm_however_long_their_files_are() -> None:
    runs = [foreign_runs.make(foreign_runs.RISING[: 20 - seed], seed=seed, budget=20 - seed) for seed in range(3)]
    (group,) = groups(*runs)
    assert len(group.runs) == 3


def test_one_name_said_in_two_ways_is_two_arms_told_apart() -> None:
    found = groups(foreign_runs.make(), foreign_runs.make(validation="test"))
    assert len({group.label for group in found}) == 2
    assert all("my-keras (foreign) (" in group.label for group in found)


def test_a_seed_of_another_tool_makes_no_pair_with_the_same_seed_of_ours_nor_with_another_foreign_arm() -> None:
    ours = [make_run(seed=seed) for seed in range(3)]
    theirs = [foreign_runs.make(name=name, seed=seed) for name in ("a", "b") for seed in range(3)]
    found = comparison.build([*ours, *theirs], targets=(0.9,))
    assert [pair["paired"] for pair in found["pairs"]] == [False, False, False]
    assert all(pair["paired_test"]["p"] is None for pair in found["pairs"])


# --- what they say --------------------------------------------------------------------------------------------------


def test_the_summary_marks_a_foreign_run_and_its_source() -> None:
    found = summary.build([make_run(), foreign_runs.make(targets=(0.9,))])
    ours, theirs = found["runs"]
    assert (ours["foreign"], ours["source"]) == (False, None)
    assert theirs["foreign"] is True
    assert theirs["source"] == {"kind": "keras-csv", "file": "log.csv", "sha256": foreign_runs.SHA256}
    assert [recipe["foreign"] for recipe in found["recipes"]] == [False, True]
    assert theirs["crossings"][0]["first"]["epoch"] == 8
    json.dumps(found, allow_nan=False)


def test_what_a_foreign_run_cost_is_unknown_and_never_zero() -> None:
    found = summary.build([foreign_runs.make()], targets=(0.9,))["runs"][0]
    costs = {
        name: value for name, value in found["costs"].items() if name not in ("epochs", "joules_reason", "load_reason")
    }
    assert set(costs.values()) == {None}
    assert (found["costs"]["joules_reason"], found["costs"]["load_reason"]) == ("imported", "imported")
    first = found["crossings"][0]["first"]
    assert (first["train_seconds"], first["joules"], first["joules_reason"]) == (None, None, "imported")
    row = next(line for line in console.summary_lines(summary.build([foreign_runs.make()])) if "(foreign)  " in line)
    assert row.split()[-2:] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("validation", "told"),
    [
        (None, "not said on which images it is validated"),
        ("test", "validated on test images, as is said"),
        ("held-out", "validated on held-out images, as is said"),
    ],
)
def test_validation_images_are_what_is_said_and_nothing_is_assumed(validation: object, told: str) -> None:
    found = summary.build([foreign_runs.make(validation=validation)], targets=(0.9,))
    assert found["recipes"][0]["validation"] == told
    warned = any("test images" in caveat for caveat in found["caveats"])
    assert warned == (validation == "test")


def test_the_recipe_that_describes_a_run_says_what_it_was_validated_on() -> None:
    found = summary.build([foreign_runs.make(described=DESCRIBED)], targets=(0.9,))
    assert found["recipes"][0]["validation"] == summary.validation(DESCRIBED.data)


def test_reports_say_what_is_only_said_of_foreign_runs_and_what_is_not_known() -> None:
    runs = [make_run(), foreign_runs.make(notes=["epochs are counted from 0"])]
    told = [summary.build(runs)["caveats"], comparison.build(runs)["caveats"]]
    told.append(list(tables.build("best", runs, by="batch_size").notes))
    for caveats in told:
        text = " ".join(caveats)
        assert "my-keras (foreign) from log.csv (keras-csv)" in text
        assert "seconds, joules and memory are unknown" in text
        assert "No recipe describes my-keras (foreign)" in text
        assert "No learning rate is known of my-keras (foreign)" in text
        assert "(foreign): epochs are counted from 0." in text
    assert not list(imported.caveats(groups(make_run())))


def test_a_described_run_with_rates_leaves_less_unsaid() -> None:
    text = " ".join(imported.caveats(groups(foreign_runs.make(rates=[0.1] * 20, described=DESCRIBED))))
    assert "No recipe" not in text
    assert "No learning rate" not in text


# --- comparisons and tables -----------------------------------------------------------------------------------------


def test_epochs_are_compared_and_seconds_leave_foreign_runs_out() -> None:
    runs = [*(make_run(seed=seed) for seed in range(3)), *(foreign_runs.make(seed=seed) for seed in range(3))]
    by_epochs = comparison.build(runs, targets=(0.9,))["rows"][1]
    assert (by_epochs["arm"], by_epochs["n"], by_epochs["median"]["value"]) == ("my-keras (foreign)", 3, 8.0)
    by_seconds = comparison.build(runs, targets=(0.9,), by="seconds")
    ours, theirs = by_seconds["rows"]
    assert (ours["n"], theirs["n"], len(theirs["lost"])) == (3, 0, 3)
    assert "3 runs are left out, because their seconds are not known." in by_seconds["caveats"]
    assert not any("machines" in caveat for caveat in by_seconds["caveats"])


def test_pinned_crossings_that_nobody_can_know_are_unknown() -> None:
    found = comparison.build([make_run(), foreign_runs.make()], targets=(0.9,))
    assert [row["pinned"] for row in found["rows"]] == [0, None]
    lines = comparison_console.lines(found)
    assert [line.split()[-1] for line in lines[2:4]] == ["0", "unknown"]


def test_recipes_whose_data_nobody_knows_are_not_said_to_differ_in_them() -> None:
    assert not any("same data set" in told for told in comparison.differences(groups(make_run(), foreign_runs.make())))
    described = DESCRIBED.model_copy(update={"data": DESCRIBED.data.model_copy(update={"kind": "cifar10"})})
    found = groups(make_run(), foreign_runs.make(described=described))
    assert any("same data set" in told for told in comparison.differences(found))


def test_a_table_has_a_row_for_foreign_runs_under_the_value_of_their_description() -> None:
    runs = [make_run("batch_size=32"), foreign_runs.make(described=DESCRIBED), foreign_runs.make(name="bare")]
    table = tables.build("transitions", runs, by="batch_size", targets=(0.9,)).tables[0]
    assert table.heads[:2] == ("batch_size", "recipe")
    assert [row[:2] for row in table.rows] == [
        ("32", "digits-step"),
        ("64", "my-keras (foreign)"),
        ("-", "bare (foreign)"),
    ]


def test_one_foreign_row_alone_is_marked_too() -> None:
    table = tables.build("best", [foreign_runs.make(described=DESCRIBED)], by="batch_size").tables[0]
    assert table.rows[0][:2] == ("64", "my-keras (foreign)")


def test_a_table_by_a_field_says_when_no_recipe_describes_the_runs() -> None:
    with pytest.raises(RecipeError, match="no recipe describes these runs; import them with --recipe"):
        tables.build("best", [foreign_runs.make()], by="batch_size")


def test_the_cost_table_says_unknown_of_foreign_runs() -> None:
    made = tables.build("cost", [make_run(), foreign_runs.make(described=DESCRIBED)], by="batch_size")
    (row,) = (row for row in made.tables[0].rows if "my-keras (foreign)" in row)
    assert set(row[3:]) == {"unknown"}
    assert "0" not in row[3:]


def test_foreign_runs_are_counted_and_not_held_against_a_claim() -> None:
    found = matching.match(DESCRIBED, [make_run(), foreign_runs.make(described=DESCRIBED)])
    assert (len(found.runs), found.foreign, found.others) == (1, 1, 0)


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_marks_foreign_runs_and_shows_no_way_to_train_them_again() -> None:
    theirs = foreign_runs.make()
    document = Document(page.render([make_run(), theirs], targets=(0.9,)))
    label = f"{theirs.name} (foreign)"
    assert document.rows("table-runs")[1][0].text == label
    assert [cell.text for cell in document.rows("table-crossings")[1]][-3:] == ["unknown"] * 3
    assert document.rows("table-costs")[1][1].text == "unknown: imported"
    assert "my-keras (foreign)" in document.texts["h3"]
    assert not any(theirs.name in text and "fewepochs train" in text for text in document.texts["pre"])
    assert "whether its losses include a penalty is not known" in document.texts["figcaption"][1]


def test_a_run_that_has_nothing_but_its_validation_accuracy_is_drawn() -> None:
    bare = foreign_runs.make(full=False)
    document = Document(page.render([bare], targets=(0.9,)))
    columns = document.block("numbers-1")["runs"][0]
    assert columns["val_acc"] == list(foreign_runs.RISING)
    assert set(columns["acc"]) == set(columns["loss"]) == {None}
    assert document.block("numbers-1")["rates"] == []
    assert "NaN" not in document.source.split("</svg>")[0]


def test_rates_are_drawn_where_a_file_has_them() -> None:
    run = foreign_runs.make(rates=[0.1] * 10 + [0.01] * 10)
    shared = curves_figure.axes([run], targets=())
    (rates,) = curves_figure.datasets(labels.label([run]), targets=(), shared=shared)["rates"]
    assert rates["rate"] == [0.1] * 20 + [0.01] * 20


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_of_an_import_is_shown_as_text(text: str) -> None:
    run = foreign_runs.make(file=text.replace("/", "\u2215"), notes=[text])
    document = Document(page.render([run], targets=(0.9,)))
    plain = Document(page.render([foreign_runs.make(file="log.csv", notes=["a note"])], targets=(0.9,)))
    assert {tag for tag, _ in document.elements} == {tag for tag, _ in plain.elements}
    assert len(document.scripts) == len(plain.scripts)
    assert any(visible.shown(text) in item for item in document.texts["li"])


def test_a_store_reads_what_a_report_is_made_of(tmp_path: Path) -> None:
    run = foreign_runs.make(described=DESCRIBED, targets=(0.9,), notes=["a note"])
    stored = store.read(foreign_runs.write(run, out=tmp_path))
    assert page.render([stored]) == page.render([run])
