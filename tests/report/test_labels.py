"""Names in a report: unique, telling, and without characters that nobody sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import store
from fewepochs.report import labels, visible
from report_runs import make_run


def names(*runs: store.StoredRun) -> list[str]:
    return [group.label for group in labels.group(labels.label(runs))]


def test_runs_that_differ_in_seeds_alone_are_one_group() -> None:
    runs = [make_run(seed=0), make_run(seed=1), make_run("seeds.init=3", seed=2), make_run("batch_size=32")]
    groups = labels.group(labels.label(runs))

    assert [len(group.runs) for group in groups] == [3, 1]


def test_recipes_of_one_name_are_told_apart_by_what_differs() -> None:
    runs = [make_run("batch_size=32"), make_run("batch_size=128"), make_run("name=other")]

    assert names(*runs) == ["digits-step (batch_size = 32)", "digits-step (batch_size = 128)", "other"]


def test_a_part_that_only_one_recipe_has_is_named_there() -> None:
    flipped = make_run("augmentation={kind='shift-flip'}")

    assert names(make_run(), flipped)[0] == "digits-step (augmentation.kind = none)"
    assert names(make_run(), flipped)[1] == "digits-step (augmentation.kind = shift-flip)"


def test_recipes_that_differ_in_many_fields_are_told_apart_by_digest() -> None:
    other = make_run("batch_size=32", "optimizer={kind='adam', lr=0.1}", "budget.epochs=30", "precision=bfloat16")
    groups = labels.group(labels.label([make_run(), other]))

    assert [group.label for group in groups] == [f"digits-step ({group.digest[:8]})" for group in groups]


def test_runs_of_one_folder_name_are_numbered() -> None:
    runs = [make_run(folder="again"), make_run(folder="again", seed=1), make_run(folder="other")]

    assert [run.label for run in labels.label(runs)] == ["again", "again (2)", "other"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain \u00e9\u4e16 =cmd()", "plain \u00e9\u4e16 =cmd()"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("half\udce9", "half\\udce9"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_what_cannot_be_seen_is_spelt_out(text: str, expected: str) -> None:
    assert visible.shown(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_shown_text_can_always_be_written_and_seen(text: str) -> None:
    shown = visible.shown(text)

    shown.encode()
    assert shown.replace("\n", "").isprintable()


def test_nested_tables_become_dotted_names() -> None:
    assert labels.flat({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": None, "g": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "f": None,
        "g": {},
    }
