"""Tables: what stands in a cell, which runs make a row, and how it looks as text, Markdown, CSV."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import store
from fewepochs.errors import RecipeError
from fewepochs.report import table_text, tables
from report_runs import make_run


def runs(*overrides: str, n: int = 3, **changes: Any) -> list[store.StoredRun]:
    return [make_run(*overrides, seed=seed, **changes) for seed in range(n)]


def cells(page: table_text.Page) -> list[tuple[str, ...]]:
    return list(page.tables[0].rows)


SIZES = [*runs("batch_size=128", plateau=0.973), *runs("batch_size=32", plateau=0.985)]


# --- transitions ----------------------------------------------------------------------------------------------------


def test_rows_go_by_the_value_and_cells_have_median_and_range() -> None:
    page = tables.build("transitions", SIZES, targets=(0.9, 0.97))
    assert page.tables[0].heads == ("batch_size", "n", "0.9", "0.97")
    assert [row[:2] for row in cells(page)] == [("32", "3"), ("128", "3")]
    for row in page.tables[0].data:
        epochs = sorted(
            next(e.epoch for e in run.epochs if e.val_acc >= row["target"])
            for run in SIZES
            if store.trained(run).batch_size == row["batch_size"]
        )
        assert (row["lowest"], row["median"], row["highest"]) == tuple(epochs)
        assert (row["n"], row["reached"], row["censored"]) == (3, 3, 0)


@pytest.mark.parametrize(
    ("one", "cell"),
    [
        ({"reached": 3, "censored": 0, "median": 84.0, "lowest": 82.0, "highest": 97.0}, "84 (82-97)"),
        ({"reached": 3, "censored": 0, "median": 84.0, "lowest": 84.0, "highest": 84.0, "pinned": 3}, "84*"),
        ({"reached": 3, "censored": 2, "median": 90.0, "lowest": 82.0, "censored_at": 200.0}, "90 (82->200) 3/5"),
        ({"reached": 2, "censored": 3, "lowest": 82.0, "censored_at": 200.0, "pinned": 1}, ">200 (82->200) 2/5*"),
        ({"reached": 0, "censored": 5, "censored_at": 200.0}, ">200 0/5"),
        ({"reached": 0, "censored": 0}, "-"),
    ],
)
def test_what_stands_in_a_cell(one: dict[str, Any], cell: str) -> None:
    whole = {"median": None, "lowest": None, "highest": None, "censored_at": None, "pinned": 0, **one}
    assert tables._transition(whole) == cell


def test_runs_that_never_got_there_stay_in_the_table() -> None:
    page = tables.build("transitions", SIZES, targets=(0.98,))
    assert cells(page)[1] == ("128", "3", ">20 0/3")
    assert page.tables[0].data[1]["censored"] == 3
    assert any(note.startswith("k/n: ") for note in page.notes)


def test_the_far_end_of_a_range_is_not_known_while_a_run_is_on_its_way() -> None:
    some = [*runs("batch_size=32", plateau=0.985), make_run("batch_size=32", seed=9, epochs=8, state="interrupted")]
    (data,) = tables.build("transitions", some, targets=(0.97,)).tables[0].data
    assert (data["n"], data["reached"], data["highest"], data["censored_at"]) == (4, 3, None, 8)


def test_pinned_crossings_are_marked_and_counted() -> None:
    pinned = runs(plateau=0.98, drop_after=12)
    page = tables.build("transitions", pinned, targets=(0.97,))
    count = page.tables[0].data[0]["pinned"]
    assert count >= 1
    assert cells(page)[0][2].endswith("*")
    assert page.notes[0].startswith(f"* pinned, {count} of 3 crossings")


def test_held_targets_come_later_or_not_at_all() -> None:
    first, held = (tables.build("transitions", SIZES, targets=(0.97,), rule=rule) for rule in ("first", "held"))
    assert "held for 3 evaluations" in held.tables[0].title
    for one, other in zip(first.tables[0].data, held.tables[0].data, strict=True):
        assert other["median"] is None or other["median"] >= one["median"]


# --- rows -----------------------------------------------------------------------------------------------------------


def test_recipes_that_share_the_value_have_rows_of_their_own_and_it_is_said_why() -> None:
    mixed = [*runs("batch_size=32"), *runs("batch_size=32", "precision=bfloat16")]
    page = tables.build("best", mixed)
    assert page.tables[0].heads[:3] == ("batch_size", "recipe", "n")
    assert [row[1] for row in cells(page)] == [
        "digits-step (precision = bfloat16)",
        "digits-step (precision = float32)",
    ]
    assert "The recipes also differ in precision: what the rows show is not batch_size alone." in page.notes


def test_twins_count_once() -> None:
    again = make_run("batch_size=32", seed=0, folder="see-again")
    page = tables.build("best", [*runs("batch_size=32"), again])
    assert cells(page)[0][1] == "3"
    assert any("see-again has the recipe and seeds of" in note for note in page.notes)


@pytest.mark.parametrize(
    ("by", "overrides", "shown"),
    [
        ("precision", ("precision=bfloat16",), ["bfloat16", "float32"]),
        ("optimizer.lr", ("optimizer.kind=adam", "optimizer.lr=0.0001"), ["0.0001", "0.001"]),
        ("schedule", ('schedule={kind="cosine"}',), ["constant", "cosine"]),
        ("augmentation.shift", ('augmentation={kind="shift-flip", shift=0.07}',), ["0.07", "-"]),
        ("augmentation", ('augmentation={kind="shift-flip", shift=0.07}',), ["none", "shift-flip(shift=0.07)"]),
        ("clip_norm", ("clip_norm=1.5",), ["1.5", "-"]),
    ],
)
def test_any_field_or_part_can_be_what_rows_go_by(by: str, overrides: tuple[str, ...], shown: list[str]) -> None:
    page = tables.build("cost", [*runs(), *runs(*overrides)], by=by)
    assert [row[0] for row in cells(page)] == shown


@pytest.mark.parametrize("by", ["lr", "optimizer.lrr", "seed", "seeds.init", "batch_size.x", ""])
def test_a_field_that_no_recipe_has_is_refused_with_those_that_differ(by: str) -> None:
    with pytest.raises(RecipeError, match="the runs differ in batch_size"):
        tables.build("best", SIZES, by=by)


def test_numbers_are_sorted_as_numbers() -> None:
    sizes = [run for size in (256, 32, 128, 1000) for run in runs(f"batch_size={size}", n=1)]
    assert [row[0] for row in cells(tables.build("best", sizes))] == ["32", "128", "256", "1000"]


# --- best and cost --------------------------------------------------------------------------------------------------


def test_best_is_the_mean_over_runs_and_says_when() -> None:
    page = tables.build("best", runs(test=True))
    (data,) = page.tables[0].data
    best = [max(e.val_acc for e in run.epochs) for run in runs()]
    assert data["best_val_acc_value"] == pytest.approx(sum(best) / 3)
    assert data["test_acc_value"] == pytest.approx(sum(best) / 3 - 0.0123)
    assert page.tables[0].heads == ("batch_size", "n", "best val_acc", "at epoch", "test_acc then")
    assert data["best_epoch_lowest"] <= data["best_epoch_median"] <= data["best_epoch_highest"]


def test_runs_that_ended_early_are_said_to_have() -> None:
    page = tables.build("best", [*runs(n=2), make_run(seed=9, epochs=7, state="interrupted")])
    assert "1 of the runs ended before their budget: their best may have been to come." in page.notes


def test_cost_has_watts_seconds_images_and_memory_or_the_reason() -> None:
    (measured,) = tables.build("cost", runs(joules=250.0)).tables[0].data
    spent = sum(cost.train_seconds for cost in make_run().costs)
    assert measured["watts_median"] == pytest.approx(20 * 250.0 / spent)
    assert measured["images_per_second_median"] == pytest.approx(512)
    assert measured["peak_memory_bytes_median"] == 123_456_789
    page = tables.build("cost", runs())
    assert cells(page)[0][2:4] == ("-", "-")
    assert "watts: no energy counter on this machine." in page.notes
    some = tables.build("cost", [*runs(n=2), make_run(seed=5, joules=250.0)])
    assert "watts: no energy counter on this machine (in 2 of 3 runs)." in some.notes


def test_cost_across_machines_is_said() -> None:
    other = make_run(seed=7, environment={"threads": 8})
    assert any("2 machines or settings" in note for note in tables.build("cost", [*runs(), other]).notes)
    assert not any("machines" in note for note in tables.build("cost", runs()).notes)


# --- forms ----------------------------------------------------------------------------------------------------------


def test_a_wide_table_goes_on_below_with_its_keys_again() -> None:
    targets = [k / 100 for k in range(85, 97)]
    page = tables.build("transitions", SIZES, targets=targets)
    told = table_text.lines(page, form="text")
    assert max(map(len, told)) <= table_text.WIDTH
    heads = [line.split() for line in told if line.startswith("batch_size")]
    assert len(heads) >= 2
    assert [name for head in heads for name in head[2:]] == [f"{target:g}" for target in targets]


def test_csv_is_read_back_with_absent_numbers_empty() -> None:
    page = tables.build("transitions", SIZES, targets=(0.9, 0.98))
    rows = list(csv.DictReader(table_text.lines(page, form="csv")))
    assert len(rows) == 4
    assert (rows[3]["batch_size"], rows[3]["target"], rows[3]["median"], rows[3]["censored"]) == (
        "128",
        "0.98",
        "",
        "3",
    )
    assert json.loads(json.dumps(page.as_dict()))["tables"][0]["data"][3]["median"] is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_markdown_cells_cannot_leave_their_cell(first: str, second: str) -> None:
    table = table_text.Table("t", ("a", "b"), ((first, second),), ())
    told = table_text.lines(table_text.Page("x", (table,)), form="markdown")
    assert len(told) == 5
    row = told[-1].replace("\\\\", "").replace("\\|", "")
    assert row.count("|") == 3
    assert "<" not in row.replace("\\<", "")
    assert "\n" not in row
