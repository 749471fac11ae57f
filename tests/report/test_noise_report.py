"""Tables and picture of noise: what stands in them, from runs whose noise is known, and what is not claimed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.api import results
from fewepochs.errors import RecipeError
from fewepochs.records import EvaluationRecord
from fewepochs.report import (
    figures,
    findings,
    noise_law_figure,
    noise_lengths,
    noise_phases,
    noise_tables,
    probed,
    table_text,
)
from fewepochs.report import gradient_noise as scales
from fewepochs.stats import noise
from report_runs import make_run

SGD = "optimizer={{kind='sgd', lr={lr}, momentum=0.9}}"
ADAM = "optimizer={{kind='adam', lr={lr}}}"
SWINGS = (0.0, 1.0, -0.7, 0.3, -1.2, 0.9, 0.1, -0.4, 1.3, -0.9, 0.6)


def restless(
    optimizer: str, *, lr: float, batch: int, seed: int, b: float, c: float, scatter: float = 0.0, phases: int = 2
) -> store.StoredRun:
    """Return a run of 40 epochs a phase at `lr` and a tenth of it, whose noise goes with rate^b batch^c."""
    run = make_run(optimizer.format(lr=lr), f"batch_size={batch}", "budget.epochs=80", seed=seed, epochs=40 * phases)
    epochs = []
    for record in run.own_epochs:
        rate = lr if record.epoch <= 40 else lr / 10
        size = 10 * (1 + scatter * SWINGS[(5 * seed + batch) % 11]) * rate**b * batch**c
        wave = size * SWINGS[(record.epoch * (3 + seed)) % 11]
        told = {"val_loss": 50 + wave, "val_acc": 0.5 + wave / 1e4, "loss": 1.0 + wave / 10}
        epochs.append(record.model_copy(update={**told, "lr_first": rate, "lr_last": rate, "lr_logged": rate}))
    return replace(run, epochs=tuple(epochs))


def study(optimizer: str, *, b: float, c: float, scatter: float = 0.05, lrs: Sequence[float] = (0.1, 0.02)) -> Any:
    return [
        restless(optimizer, lr=lr, batch=batch, seed=seed, b=b, c=c, scatter=scatter)
        for lr in lrs
        for batch in (32, 64, 128)
        for seed in (0, 1)
    ]


def laws(page: table_text.Page) -> dict[tuple[str, str], Any]:
    return {(row["optimizer"], row["noise_of"]): row for row in page.tables[1].data}


def test_noise_that_follows_g_is_said_to() -> None:
    page = noise_tables.build(noise_phases.find(study(SGD, b=1.0, c=-1.0)))
    row = laws(page)["sgd", "val_loss"]

    assert (row["rate_value"], row["batch_value"]) == (pytest.approx(1.0, abs=0.1), pytest.approx(-1.0, abs=0.15))
    assert (row["with_rate"], row["with_batch"], row["as_g_says"]) == ("grows", "falls", "yes")
    assert (row["runs"], row["phases"]) == (12, 24)
    assert page.notes[0] == (
        "sgd, noise of val_loss: grows with the learning rate; falls with the batch size. "
        "So it does as g says, b = 1 and c = -1, as far as the intervals tell."
    )


def test_noise_that_grows_with_the_batch_contradicts_g_where_it_is_sgds_and_nothing_where_it_is_adams() -> None:
    page = noise_tables.build(noise_phases.find([*study(SGD, b=1.0, c=0.5), *study(ADAM, b=1.0, c=0.5)]))
    found = laws(page)

    assert (found["sgd", "val_loss"]["with_batch"], found["sgd", "val_loss"]["as_g_says"]) == ("grows", "no")
    assert (found["adam", "val_loss"]["with_batch"], found["adam", "val_loss"]["as_g_says"]) == ("grows", "not defined")
    assert any("part1-noise" in note for note in page.notes)


def test_noise_that_goes_with_nothing_is_not_told() -> None:
    row = laws(noise_tables.build(noise_phases.find(study(SGD, b=0.0, c=0.0, scatter=0.3))))["sgd", "val_loss"]
    assert (row["with_rate"], row["with_batch"], row["as_g_says"]) == ("cannot tell", "cannot tell", "no")
    assert row["batch_low"] < 0 < row["batch_high"]


def test_a_phase_has_its_rate_batch_momentum_and_g() -> None:
    run = restless(SGD, lr=0.1, batch=64, seed=0, b=1.0, c=-1.0)
    first, second = noise_tables.build(noise_phases.find([run])).tables[0].data

    assert (first["rate"], first["batch"], first["momentum"], first["images"]) == (0.1, 64, pytest.approx(0.9), 1437)
    assert first["g"] == pytest.approx(0.1 * 1437 / (64 * 0.1))
    assert second["g"] == pytest.approx(first["g"] / 10)
    assert first["val_loss_noise"] == noise.settled(run.own_epochs)
    assert first["val_loss_level"] == pytest.approx(50, abs=0.1)
    assert first["val_loss_noise_low"] is None, "one run has no interval"
    adam = noise_tables.build(noise_phases.find([restless(ADAM, lr=0.1, batch=64, seed=0, b=1.0, c=-1.0)]))
    assert (adam.tables[0].data[0]["g"], adam.tables[0].data[0]["lr_over_batch"]) == (None, pytest.approx(0.1 / 64))


def test_short_phases_say_so_and_make_no_law() -> None:
    page = noise_tables.build(noise_phases.find([make_run(epochs=15)]))
    assert page.tables[0].rows[0][-5:] == ("too short", "too short", "too short", "-", "-")
    assert laws(page)["adam", "val_loss"]["rate_reason"] == "no noise"
    assert "1 of 1 phases are too short: 20 epochs of one rate are the fewest." in page.notes


def test_a_rate_that_moves_is_told_and_in_no_law() -> None:
    run = restless(ADAM, lr=0.1, batch=64, seed=0, b=1.0, c=-1.0, phases=1)
    moving = replace(run, epochs=tuple(e.model_copy(update={"lr_last": e.lr_last / 2}) for e in run.own_epochs))
    page = noise_tables.build(noise_phases.find([moving]))
    assert page.tables[0].rows[0][3] == "moves"
    assert page.tables[0].data[0]["val_loss_noise"] > 0
    assert laws(page)["adam", "val_loss"]["phases"] == 0


def test_first_phases_alone_take_the_order_of_rates_out() -> None:
    found = noise_phases.find(study(SGD, b=1.0, c=-1.0), first=True)
    row = laws(noise_tables.build(found))["sgd", "val_loss"]
    assert (row["phases"], row["runs"]) == (12, 12)
    assert row["rate_value"] == pytest.approx(1.0, abs=0.2)
    one = laws(noise_tables.build(noise_phases.find(study(SGD, b=1.0, c=-1.0, lrs=(0.1,)), first=True)))
    assert one["sgd", "val_loss"]["rate_reason"] == "one rate only"


def test_evaluations_within_epochs_are_taken_where_asked_for() -> None:
    run = restless(SGD, lr=0.1, batch=64, seed=0, b=1.0, c=-1.0, phases=1)
    looks = tuple(
        EvaluationRecord(step=k, epoch=(k + 1) // 2, val_loss=5 + SWINGS[k % 11], val_acc=0.5) for k in range(1, 81)
    )
    found = noise_phases.find([replace(run, evaluations=looks), run], by="evaluations")
    assert found.phases[0].noise["val_loss"] == noise.of_values([one.val_loss for one in looks if one.epoch > 20])
    other = replace(run, recipe=store.trained(run).model_copy(update={"seed": 7}))
    found = noise_phases.find([replace(run, evaluations=looks), other], by="evaluations")
    assert "1 of 2 runs have no evaluations within their epochs" in found.caveats[0]


def test_the_picture_has_the_phases_and_a_line_for_each_batch_size() -> None:
    figure = findings.figure(findings.of(noise_tables.build(noise_phases.find(study(SGD, b=1.0, c=-1.0)))))
    assert figure is not None
    drawn = figures.specification(figure)
    rows = figures.rows(drawn)

    assert {row["over"] for row in rows} == {"g"}
    assert len(rows) == 24
    lines = drawn["datasets"][noise_law_figure.LAWS]
    assert [line["arm"] for line in lines[::2]] == ["sgd, batch 32", "sgd, batch 64", "sgd, batch 128"]
    assert lines[1]["noise"] / lines[0]["noise"] == pytest.approx(lines[1]["x"] / lines[0]["x"], rel=0.3)
    mixed = noise_phases.find([*study(SGD, b=1.0, c=-1.0), *study(ADAM, b=1.0, c=0.5)])
    both = findings.figure(findings.of(noise_tables.build(mixed)))
    assert both is not None
    assert {row["over"] for row in figures.rows(figures.specification(both))} == {"rate"}


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nothing to draw: no phase is long enough"):
        results.noise_picture(results.noise_page(results.noise([make_run(epochs=15)])), to=tmp_path / "x.svg")


def test_numbers_are_json_and_csv() -> None:
    page = noise_tables.build(noise_phases.find(study(SGD, b=1.0, c=-1.0)))
    json.dumps(page.as_dict(), allow_nan=False)
    heads, *rows = table_text.lines(page, form="csv")
    assert {"recipe", "g", "val_loss_noise_low", "batch_low", "as_g_says"} <= set(heads.split(","))
    assert len(rows) == 12 + 3


# --- against measured lengths -------------------------------------------------------------------------------------


def measured(run: store.StoredRun, *, power: float) -> scales.GradientNoise:
    """Return lengths at three epochs of `run`, such that its noise goes as length^(1 / power)."""
    assert isinstance(run.recipe, recipes.Recipe)
    size = run.recipe.batch_size**-0.5
    rates = {record.epoch: record.lr_last for record in run.own_epochs}
    rows = [
        scales.Measured(
            epoch=epoch, step=1, lr=None, layer=scales.WHOLE, signal=None, noise=None, scale=None, low=None, high=None,
            length=None if epoch == 30 else (rates[epoch] * size) ** power, batch_size=1, draws=1, batches=1, images=1,
        )
        for epoch in (10, 30, 60)
    ]  # fmt: skip
    cells = tuple(("",) for _ in rows)
    table = probed.Filled[scales.Measured](title="", heads=("",), rows=cells, data=tuple(rows))
    ran = probed.Run(name=run.name, digest=run.digest)
    return scales.GradientNoise(format=1, runs=(ran,), notes=(), probe="gradient-noise", tables=(table,))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_noise_goes_by_the_power_of_the_length_that_was_measured(power: float) -> None:
    runs = study(ADAM, b=1.0, c=-0.5, scatter=0.02)
    lengths = noise_lengths.of([measured(run, power=power) for run in runs])
    page = noise_tables.build(noise_phases.find(runs), lengths=lengths)
    row = page.tables[2].data[0]

    assert (row["optimizer"], row["noise_of"], row["runs"], row["phases"]) == ("adam", "val_loss", 12, 24)
    assert row["length_value"] == pytest.approx(1 / power, abs=0.05)
    assert row["length_low"] < row["length_value"] < row["length_high"]
    assert row["with_length"] == "grows"
    told = findings.sentences(findings.of(page))
    assert told[-1].startswith(
        f"adam: against the measured length of a step's random part it goes as length ^ {1 / power:.1f}"
    )


def test_runs_and_phases_that_were_not_measured_take_no_part() -> None:
    runs = study(ADAM, b=1.0, c=-0.5)
    short = dict(noise_lengths.of([measured(runs[0], power=1.0)])[runs[0].digest].items())
    lengths = {runs[0].digest: short, runs[1].digest: {10: 0.5}, "f" * 64: {10: 0.5}}
    row = noise_tables.build(noise_phases.find(runs), lengths=lengths).tables[2].data[0]

    assert (row["runs"], row["phases"]) == (2, 3)
    assert row["length_low"] is None
    assert row["with_length"] == "cannot tell"


def test_a_file_without_lengths_is_refused() -> None:
    one = measured(make_run(epochs=80), power=1.0)
    without = one.model_copy(update={"tables": (one.tables[0].model_copy(update={"data": one.tables[0].data[1:2]}),)})
    with pytest.raises(RecipeError, match="--gradient-noise: no length"):
        noise_lengths.of([without])
