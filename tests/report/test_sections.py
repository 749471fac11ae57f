"""How recipes differ, told field by field against the first."""

from __future__ import annotations

from fewepochs.report import labels, sections
from report_runs import make_run


def test_every_field_that_differs_stands_with_both_values() -> None:
    runs = [make_run(), make_run("batch_size=32", "regularisation={kind='none'}"), make_run("batch_size=16")]
    base, other, third = labels.group(labels.label(runs))
    found = sections.changes((base, other, third))

    assert [
        (row["recipe"], row["field"], row["value"], row["base"]) for row in found if row["recipe"] == other.label
    ] == [
        (other.label, "batch_size", "32", "64"),
        (other.label, "regularisation.kind", "none", "l2"),
        (other.label, "regularisation.on", "-", "conv-kernels"),
        (other.label, "regularisation.strength", "-", "0.0001"),
    ]
    assert [row["field"] for row in found if row["recipe"] == third.label] == ["batch_size"]


def test_seeds_and_names_are_no_difference() -> None:
    first, second = make_run(), make_run("name='other'", "summary='x'", seed=3)

    assert sections.changes((*labels.group(labels.label([first])), *labels.group(labels.label([second])))) == []
