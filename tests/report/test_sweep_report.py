"""What a range test says: numbers, lines and picture, from curves made up for it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewepochs import errors
from fewepochs import recipe as recipes
from fewepochs.probes.sweeps import Curve, Measurement, Stop, Sweep
from fewepochs.report import figures, picture, sweep_console, sweep_figure, sweeps

SWEEP = Sweep(steps=120)
X = np.log10(SWEEP.rates())


def curve(seed: int, *, kind: Any = "loss", steps: int = 118, rises: bool = True) -> Curve:
    """Return a curve that falls from 3 at 1e-6 to 1 at 1e-2, with a little noise of the seed's own, and rises again."""
    rng = np.random.default_rng(seed)
    phase = np.pi * (X + 6) / 4
    losses = 2 + np.cos(phase if rises else np.minimum(phase, np.pi)) + rng.normal(scale=0.01, size=len(X))
    lr = SWEEP.rates()[min(steps, len(X) - 1)]
    return Curve(seed, SWEEP.rates()[:steps], losses[:steps], Stop(kind, steps, float(lr)))


def measured(*curves: Curve, seeds: tuple[int, ...] | None = None, recipe: str = "digits-step") -> Measurement:
    asked = tuple(curve.seed for curve in curves) if seeds is None else seeds
    return Measurement(recipes.load(recipe), SWEEP, asked, curves, {"device": "cpu"}, 1.5)


WHOLE = sweeps.build(measured(curve(0), curve(1), curve(2, steps=110)))


def test_numbers_hold_every_loss_and_are_plain_json() -> None:
    again = json.loads(json.dumps(WHOLE, allow_nan=False))
    assert again == WHOLE
    assert [len(seed["loss"]) for seed in again["seeds"]] == [118, 118, 110]
    assert again["seeds"][1]["loss"] == curve(1).losses.tolist()
    assert again["seeds"][1]["lr"] == SWEEP.rates()[:118].tolist()
    assert again["seeds"][0]["digest"] == recipes.digest(recipes.load("digits-step"))
    assert again["seeds"][1]["digest"] == recipes.digest(recipes.load("digits-step", seed=1))
    assert (again["complete"], again["sweep"]["steps"], again["environment"]) == (True, 120, {"device": "cpu"})


def test_numbers_hold_the_band_as_far_as_it_goes() -> None:
    band = WHOLE["band"]
    assert (band["n"], band["of"], len(band["lr"])) == (3, "range over seeds", 118)
    assert band["highest"][109] is not None
    assert band["highest"][110:] == [None] * 8
    assert all(low <= middle for low, middle in zip(band["lowest"], band["median"], strict=True))


def test_suggestions_have_median_spread_and_each_seeds_answer() -> None:
    steepest = WHOLE["suggestions"][0]
    assert (steepest["rule"], steepest["n"], steepest["of"]) == ("steepest", 3, 3)
    assert steepest["lr"] == pytest.approx(1e-4, rel=0.5)
    assert steepest["spread"] == steepest["highest"] / steepest["lowest"]
    assert [answer["seed"] for answer in steepest["answers"]] == [0, 1, 2]
    alone = sweeps.build(measured(curve(0)))["suggestions"][0]
    assert (alone["lowest"], alone["highest"], alone["spread"]) == (alone["lr"], alone["lr"], None)


def test_what_is_absent_is_none_with_a_reason() -> None:
    found = sweeps.build(measured(*(curve(seed, kind="end", rises=False, steps=80) for seed in (0, 1))))
    by_rule = {one["rule"]: one for one in found["suggestions"]}
    absent = by_rule["smith-max"]
    assert (absent["lr"], absent["lowest"], absent["spread"], absent["setting"]) == (None, None, None, None)
    assert absent["reason"] == "the loss has not risen again where the sweep ends"
    assert "smith-max: the loss has not risen again where the sweep ends" in sweeps.lines(found)


def test_the_lines_fit_a_terminal_and_end_in_a_hint() -> None:
    lines = sweeps.lines(WHOLE)
    assert max(map(len, lines)) <= 100
    assert lines[0] == "digits-step: loss against learning rate"
    assert lines[2] == "  exponential sweep from 1e-06 to 1 in 120 steps"
    assert any(line.startswith("2     110") and "loss above 4 times its lowest at lr 0.352" in line for line in lines)
    assert [line.split()[0] for line in lines if "3/3" in line] == ["steepest", "valley", "minimum/10", "smith-max"]
    assert any(line.startswith("A hint, not a result") for line in lines)
    assert lines[-1] == f"  --set optimizer.lr={WHOLE['suggestions'][0]['lr']:.2g}  (steepest)"


def test_an_interruption_is_said_and_names_what_was_not_begun() -> None:
    cut = curve(1, kind="interrupted", steps=15)
    found = sweeps.build(measured(curve(0), cut, seeds=(0, 1, 2)))
    assert (found["complete"], found["not_begun"], found["band"]["n"]) == (False, [2], 1)
    lines = sweeps.lines(found)
    assert "not begun: seed 2" in lines
    assert lines[-1].startswith("incomplete")


@pytest.mark.parametrize(
    "curves", [(), (curve(0, kind="interrupted", steps=0),), (curve(0, kind="not finite", steps=0),)]
)
def test_a_measurement_without_losses_can_be_told_and_drawn(curves: tuple[Curve, ...], tmp_path: Path) -> None:
    found = sweeps.build(measured(*curves, seeds=(0,)))
    json.dumps(found, allow_nan=False)
    assert all(one["lr"] is None and one["reason"] for one in found["suggestions"])
    sweeps.lines(found)
    sweep_figure.write(tmp_path / "empty.svg", found)


def test_muon_is_told_both_of_its_rates() -> None:
    recipe = recipes.load(
        "digits-step", overrides=("optimizer={kind='muon', lr=0.02, auxiliary={kind='adamw', lr=0.001}}",)
    )
    if recipe.weight_decay.kind == "none":
        assert sweeps._setting(recipe, 0.1) == "--set optimizer.lr=0.1 --set optimizer.auxiliary.lr=0.005"


# --- picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "begin"), [(".svg", b"<svg"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_picture_comes_in_the_format_of_its_name(suffix: str, begin: bytes, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"sweep{suffix}"
    sweep_figure.write(path, WHOLE)
    assert path.read_bytes().startswith(begin)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_picture_says_what_it_shows(tmp_path: Path) -> None:
    sweep_figure.write(tmp_path / "sweep.svg", WHOLE)
    words = [
        "".join(text.itertext()) for text in ET.parse(tmp_path / "sweep.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert "digits-step: loss against learning rate" in words
    assert "learning rate" in words
    assert {"1e-6", "0.001", "1"} <= set(words)
    for one in WHOLE["suggestions"]:
        assert f"{one['rule']} {one['lr']:.2g}" in words


def test_names_are_drawn_from_the_largest_rate_down_so_that_no_line_crosses_them() -> None:
    specification = sweep_figure.chart(WHOLE).to_dict()
    rows = specification["datasets"][specification["vconcat"][0]["data"]["name"]]
    assert [row["lr"] for row in rows] == sorted((one["lr"] for one in WHOLE["suggestions"]), reverse=True)


def test_the_axis_of_a_linear_sweep_is_linear() -> None:
    linear = {**WHOLE, "sweep": {**WHOLE["sweep"], "kind": "linear"}}
    scales = [
        sweep_figure.chart(found).to_dict()["vconcat"][1]["layer"][0]["encoding"]["x"]["scale"]["type"]
        for found in (WHOLE, linear)
    ]
    assert scales == ["log", "linear"]


def test_the_page_follows_light_and_dark_and_runs_nothing(tmp_path: Path) -> None:
    sweep_figure.write(tmp_path / "sweep.html", WHOLE)
    page = (tmp_path / "sweep.html").read_text()
    assert "prefers-color-scheme: dark" in page
    assert "var(--validation)" in page
    assert figures.PAPER.validation not in page.partition("<body>")[2]
    assert "<script" not in page
    assert "http://www.w3.org/2000/svg" in page
    assert "steepest" in page.partition("<pre>")[2]


def test_another_kind_of_picture_is_refused() -> None:
    with pytest.raises(errors.RecipeError, match=r"--to: not a kind of picture \(got 'x.gif'\)"):
        picture.check(Path("x.gif"))


# --- while it measures --------------------------------------------------------------------------------------------


def test_a_plain_view_says_what_begins_and_how_each_seed_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with sweep_console.view("plain") as view:
        view.start(recipes.load("digits-step"), sweep=SWEEP, seeds=(0, 2), progress=_Still())
        view.swept(curve(2, steps=110))
        view.swept(curve(0, kind="not finite", steps=0))
    out, err = capsys.readouterr()
    assert out == ""
    begun, ended, exploded = err.splitlines()
    assert begun == "digits-step: exponential sweep from 1e-06 to 1 in 120 steps, batch 32, float32; seeds: 0, 2"
    assert ended.startswith("seed 2: loss above 4 times its lowest at lr 0.352 (110 steps, lowest loss 1.0")
    assert exploded == "seed 0: loss or gradient not finite at lr 1e-06 (no step has a loss)"


def test_the_json_view_prints_events(capsys: pytest.CaptureFixture[str]) -> None:
    with sweep_console.view("json") as view:
        view.start(recipes.load("digits-step"), sweep=SWEEP, seeds=(0, 2), progress=_Still())
        view.swept(curve(2, kind="end", steps=120))
        view.note("a word")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", "swept", "note"]
    assert events[1] == {"event": "swept", "seed": 2, "ended": "end", "steps": 120, "lr": 1.0}


class _Still:
    seed, step, lr, loss = 0, 3, 1e-5, 2.0
