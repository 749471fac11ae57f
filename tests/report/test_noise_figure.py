"""Settled noise is told for each phase of constant rate that is long enough, and for no other."""

from __future__ import annotations

from fewepochs.report import figures, labels, noise_figure
from fewepochs.stats import noise
from report_runs import make_run


def test_each_phase_that_is_long_enough_has_a_row() -> None:
    runs = [make_run("budget.epochs=90", seed=seed, epochs=90, drop_after=50) for seed in (0, 1)]
    rows = noise_figure.build(labels.group(labels.label(runs)))

    assert [(row["run"], row["first"], row["last"], row["rate"]) for row in rows] == [
        (run.name, *span) for run in runs for span in ((1, 50, 1e-3), (51, 90, 1e-4))
    ]
    assert rows[0]["noise"] == noise.settled(runs[0].own_epochs)
    assert rows[1]["noise"] == noise.of_phase(runs[0].own_epochs[50:])


def test_short_phases_have_no_row_and_no_figure() -> None:
    rows = noise_figure.build(labels.group(labels.label([make_run(epochs=15)])))

    assert rows == []
    assert noise_figure.figure(rows) is None


def test_the_figure_has_the_rows_as_its_numbers() -> None:
    rows = noise_figure.build(labels.group(labels.label([make_run("budget.epochs=90", epochs=90, drop_after=50)])))
    figure = noise_figure.figure(rows)
    assert figure is not None

    assert figures.rows(figures.specification(figure)) == rows
