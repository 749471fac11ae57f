"""What a recipe will do: every epoch's numbers, lines that fit a terminal, and a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fewepochs import controls
from fewepochs import recipe as recipes
from fewepochs.errors import RecipeError
from fewepochs.report import blocks, decay_console, figures, outlook, outlook_console, outlook_figure
from recipe_samples import FULL, RECIPES, parse

HALF = "{kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 0.5]}"
MOVING = (
    "optimizer={kind='adamw', lr=0.5}",
    "weight_decay={kind='decoupled', strength=0.25, schedule=" + HALF + "}",
    "schedule={kind='1cycle', rise=0.5, start=0.0, end=0.0, momentum=[0.5, 0.75]}",
    "batch_schedule={kind='piecewise-constant', boundaries=[0.5], factors=[1.0, 2.0]}",
    "budget.epochs=4",
    "plateau.reading=effective",
)


def lines(recipe: recipes.Recipe, *, steps: int | None = None, **options: Any) -> list[str]:
    horizon = outlook.horizon(recipe, steps_per_epoch=steps)
    return outlook_console.lines(recipe, data=outlook.build(recipe, steps_per_epoch=steps), horizon=horizon, **options)


# --- data ---------------------------------------------------------------------------------------------------------


def test_every_epoch_is_there_from_its_first_step_to_its_last() -> None:
    data = outlook.build(parse(FULL, *MOVING), steps_per_epoch=2)
    assert (data["steps"], data["training_images"], data["peak"]) == (6, None, {"lr": 0.5, "step": 3, "epoch": 2})
    assert [(row["epoch"], row["steps"], row["batch_size"]) for row in data["epochs"]] == [
        (1, 2, 32),
        (2, 2, 32),
        (3, 1, 64),
        (4, 1, 64),
    ]
    # Six steps, the peak in the third; in cosines.
    assert [row["lr_first"] for row in data["epochs"]] == pytest.approx([0.0, 0.5, 0.125, 0.0])
    assert [row["lr_last"] for row in data["epochs"]] == pytest.approx([0.25, 0.375, 0.125, 0.0])
    assert [row["weight_decay_last"] for row in data["epochs"]] == [0.25, 0.25, 0.125, 0.125]
    assert data["epochs"][0]["momentum_first"] == data["epochs"][-1]["momentum_last"] == 0.75


def test_steps_of_a_known_data_set_come_from_the_recipe() -> None:
    data = outlook.build(parse(FULL, "batch_size=100", "budget.epochs=3"))
    assert (data["training_images"], data["steps"]) == (1137, 36)


def test_what_cannot_be_known_or_done_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"--steps-per-epoch: missing; how many images 'npz' has"):
        outlook.build(parse(FULL, "data.kind=npz"))
    assert outlook.build(parse(FULL, "data.kind=npz"), steps_per_epoch=7)["steps"] == 70
    with pytest.raises(RecipeError, match=r"data\.validation\.images: leaves nothing to train on"):
        outlook.build(parse(FULL, "data.validation.images=1437"))


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
    max_examples=40,
    phases=(Phase.generate,),
)
@given(RECIPES)
def test_any_recipe_can_be_told_and_is_json(recipe: recipes.Recipe) -> None:
    recipe = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"epochs": 30})})
    json.dumps(outlook.build(recipe, steps_per_epoch=2), allow_nan=False)
    lines(recipe, steps=2, width=60)
    found = decay_console.build(recipe, steps_per_epoch=2)
    json.dumps(found, allow_nan=False)
    decay_console.lines(found)


@pytest.mark.parametrize("name", recipes.shipped_names())
def test_what_is_told_of_a_shipped_recipe_fits_into_100_columns(name: str) -> None:
    recipe = recipes.load(name)
    told = [*lines(recipe), *decay_console.lines(decay_console.build(recipe))]
    assert [line for line in told if len(line) > 100] == []


# --- lines --------------------------------------------------------------------------------------------------------


def test_what_stands_still_is_one_row() -> None:
    told = lines(recipes.load("resnet56v2-adam-atienza"))
    table = told[next(k for k, line in enumerate(told) if line.lstrip().startswith("epoch")) :]
    assert [line.split()[:2] for line in table[1:]] == [
        ["1-81", "0.001"],
        ["82-121", "0.0001"],
        ["122-161", "1e-05"],
        ["162-181", "1e-06"],
        ["182-200", "5e-07"],
    ]
    assert "learning rate (logarithmic), over epochs done" in told
    assert all(len(line) <= 80 for line in told[6:])


def test_a_long_table_is_thinned_around_its_turns_and_says_so() -> None:
    told = lines(parse(FULL, "budget.epochs=100", "schedule={kind='trapezoid', rise=0.13, fall=0.71}"))
    shown = [
        line.split()[0] for line in told[told.index("epoch  learning rate           momentum  batch size") + 1 : -1]
    ]
    assert len(shown) <= outlook_console.ROWS
    assert {"1", "14-71", "100"} <= set(shown)
    assert told[-1].endswith("--json has every epoch")


@pytest.mark.parametrize("peak", [32, 41, 43, 58])
def test_an_epoch_with_a_peak_is_never_left_out(peak: int) -> None:
    spec = f"{{kind='piecewise-linear', unit='epochs', points=[[0.0, 0.0], [{peak - 0.5}, 1.0], [100.0, 0.0]]}}"
    told = lines(parse(FULL, "budget.epochs=100", f"schedule={spec}"))
    assert str(peak) in [line.split()[0] for line in told if line]


def test_only_what_moves_has_a_curve() -> None:
    titles = {line.removesuffix(", over epochs done") for line in lines(parse(FULL, *MOVING)) if "over epochs" in line}
    assert titles == {"learning rate", "momentum", "weight decay", "batch size"}
    still = [line for line in lines(parse(FULL, "schedule={kind='constant'}")) if "over epochs" in line]
    assert still == ["learning rate, over epochs done"]


def test_the_facts_name_what_a_table_cannot() -> None:
    muon = "optimizer={kind='muon', lr=0.04, auxiliary={kind='sgd', lr=0.02}}"
    told = "\n".join(lines(parse(FULL, muon)))
    assert "sgd with lr 0.02, on the same schedule" in told
    assert "0.0001 (on conv-kernels)" in told
    assert "as val_loss asks, not shown here" in told
    assert "none that a schedule could move (lion)" in "\n".join(lines(parse(FULL, "optimizer={kind='lion'}")))


@pytest.mark.parametrize("steps", [1, 7, 10_000_000_000])
def test_the_peak_is_found_in_however_many_steps(steps: int) -> None:
    """A warm-up over half of the budget ends in a plateau: the first of its steps is the peak."""
    rising = "{kind='piecewise-linear', points=[[0.0, 0.0], [0.5, 1.0], [0.75, 1.0], [1.0, 0.0]]}"
    recipe = parse(FULL, "schedule=" + rising, "budget.epochs=4")
    horizon = outlook.horizon(recipe, steps_per_epoch=steps)
    found = outlook.peak(recipe, horizon=horizon)

    rate = controls.curves(recipe, horizon=horizon).lr
    assert found == {"lr": recipe.optimizer.lr, "step": 2 * steps + 1, "epoch": 3}
    assert rate(2 * steps - 1) < rate(2 * steps) == rate(3 * steps)


# --- curves -------------------------------------------------------------------------------------------------------


def test_a_curve_is_as_high_as_its_values() -> None:
    drawn = blocks.curve([0, 1, 2, 3], [1, 0.5, 0.25, 0], title="rate", epochs=4, width=20, height=2)
    assert drawn == [
        "rate, over epochs done",
        "        1 │██",
        "        0 │████▄▄",
        "          └────────",
        "           0      4",
    ]
    plain = blocks.curve([0, 1, 2, 3], [1, 0.5, 0.25, 0], title="rate", epochs=4, width=20, height=2, plain=True)
    assert plain[1:3] == ["        1 |##", "        0 |######"]
    assert all(line.isascii() for line in plain)


def test_a_column_shows_the_value_at_its_middle() -> None:
    drawn = blocks.curve([0.0, 0.4], [0.0, 1.0], title="rate", epochs=1, width=13, height=1)
    assert drawn[1].endswith("│█")


def test_a_logarithmic_curve_has_equal_steps_for_equal_ratios() -> None:
    drawn = blocks.curve([0, 1, 2], [1, 0.1, 0.01], title="rate", epochs=3, width=15, height=4, log=True)
    columns = [
        sum(blocks.BLOCKS.index(line[11 + k]) for line in (f"{line:<15}" for line in drawn[1:5])) for k in range(3)
    ]
    assert columns[0] - columns[1] == pytest.approx(columns[1] - columns[2], abs=1)
    assert (columns[0], columns[2]) == (32, 1)
    assert drawn[4].startswith("     0.01 ")


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_level_curve_can_be_drawn(value: float) -> None:
    drawn = blocks.curve([0.0], [value], title="rate", epochs=1, width=40, height=3)
    assert ("█" in "".join(drawn)) == (value > 0)


@pytest.mark.parametrize("epochs", [1, 2, 7, 10, 21, 99, 100, 101, 1500, 1_000_000])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_scale_beneath_a_curve_fits(epochs: int, width: int) -> None:
    scale = blocks.curve([0.0], [1.0], title="rate", epochs=epochs, width=width, height=2)[-1]
    assert len(scale) < width
    assert scale.split()[0] == "0"
    numbers = [int(number.replace(",", "")) for number in scale.split()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == epochs


# --- picture ------------------------------------------------------------------------------------------------------


def draw(path: Path, recipe: recipes.Recipe) -> None:
    outlook_figure.write(path, recipe, data=outlook.build(recipe), horizon=outlook.horizon(recipe))


@pytest.mark.parametrize(("suffix", "begin"), [(".svg", b"<svg"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_picture_comes_in_the_format_of_its_name(suffix: str, begin: bytes, tmp_path: Path) -> None:
    draw(tmp_path / "new" / f"schedule{suffix}", parse(FULL, *MOVING))
    assert (tmp_path / "new" / f"schedule{suffix}").read_bytes().startswith(begin)


def test_the_picture_has_a_panel_for_what_moves_and_for_weight_decay(tmp_path: Path) -> None:
    for overrides, titles in (
        (MOVING, {"learning rate", "momentum", "weight decay (decoupled)", "batch size"}),
        (("optimizer={kind='sgd'}", "weight_decay={kind='coupled'}"), {"learning rate", "weight decay (coupled)"}),
        ((), {"learning rate"}),
    ):
        draw(tmp_path / "schedule.svg", parse(FULL, *overrides))
        texts = ET.parse(tmp_path / "schedule.svg").iter("{http://www.w3.org/2000/svg}text")
        words = {"".join(text.itertext()) for text in texts}
        assert titles | {"epochs done", "full: schedule"} <= words
        kinds = {"learning rate", "momentum", "weight decay (decoupled)", "weight decay (coupled)", "batch size"}
        assert words & kinds == titles


def test_the_numbers_of_the_picture_are_the_samples() -> None:
    recipe = parse(FULL, *MOVING)
    horizon = outlook.horizon(recipe)
    chart = outlook_figure.chart(recipe, data=outlook.build(recipe), horizon=horizon).to_dict()
    (rows,) = [rows for rows in chart["datasets"].values() if max(row["value"] for row in rows) == pytest.approx(0.5)]
    assert rows == [{"done": s.done, "value": s.lr} for s in outlook.samples(recipe, horizon=horizon)]


def test_the_page_follows_light_and_dark_and_holds_the_table(tmp_path: Path) -> None:
    draw(tmp_path / "schedule.html", parse(FULL, *MOVING))
    page = (tmp_path / "schedule.html").read_text()
    assert "prefers-color-scheme: dark" in page
    assert figures.PAPER.validation not in page.partition("<body>")[2]
    assert "<script" not in page
    assert "epoch  learning rate" in page.partition("<pre>")[2]
