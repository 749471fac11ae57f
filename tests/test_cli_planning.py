"""`fewepochs schedule` and `fewepochs decay`: what a recipe will do, without torch, data or a run folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fewepochs import recipe as recipes
from fewepochs.cli import main as command

BASELINE = "resnet56v2-adam-atienza"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def fewepochs(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["fewepochs", *arguments])
    try:
        command.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_schedule_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fewepochs("schedule", BASELINE, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith(f"{BASELINE}: 200 epochs, 156,400 steps, 782 an epoch of 50,000 images\n")
    assert "\n182-200  5e-07          0.9       64\n" in printed.out


def test_overrides_count(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ("--set", "budget.epochs=3", "--set", "batch_size=500", "--set", "schedule={kind='polynomial'}")
    assert fewepochs("schedule", BASELINE, *overrides, "--json", monkeypatch=monkeypatch) == 0
    data = json.loads(capsys.readouterr().out)
    recipe = recipes.load(BASELINE, overrides=overrides[1::2])
    assert (data["recipe"], data["digest"], data["steps"]) == (BASELINE, recipes.digest(recipe), 300)
    assert [row["lr_first"] for row in data["epochs"]] == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3])
    assert data["epochs"][-1]["lr_last"] == pytest.approx(1e-3 / 300)


def test_steps_can_be_given_for_images_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("schedule", "digits-step", "--set", "data.kind=npz")
    assert fewepochs(*own, monkeypatch=monkeypatch) == 2
    assert "--steps-per-epoch: missing" in capsys.readouterr().err
    assert fewepochs(*own, "--steps-per-epoch", "25", monkeypatch=monkeypatch) == 0
    assert "digits-step: 20 epochs, 500 steps, 25 an epoch\n" in capsys.readouterr().out


def test_a_picture_is_written_and_its_name_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert fewepochs("schedule", "digits-linear", "--to", "out/rate.svg", "--json", monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.err == "picture: out/rate.svg\n"
    json.loads(printed.out)
    assert (tmp_path / "out" / "rate.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("schedule", "digits-linear", "--to", "rate.gif"), "--to: not a kind of picture (got 'rate.gif')"),
        (("schedule", "nowhere"), "recipe: neither a shipped recipe nor a file"),
        (("decay", "digits-linear", "--set", "optimizer.lr=-1"), "optimizer.lr"),
        (("decay", "digits-linear", "--set", "data.kind=npz"), "--steps-per-epoch: missing"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_else(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert fewepochs(*arguments, monkeypatch=monkeypatch) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert not list(tmp_path.glob("*.gif"))


def test_decay_translates_what_a_recipe_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("--set", "optimizer={kind='sgd', lr=0.1, momentum=0.9}")
    assert fewepochs("decay", "digits-step", *overrides, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "regularisation: l2 0.0001 on convolution kernels (sgd)" in printed
    assert "  decoupled    0.002 " in printed
    assert "in the long run, at constant rate" in printed
    assert " is left of it after 20 epochs" in printed
    assert fewepochs("decay", "digits-step", *overrides, "--json", monkeypatch=monkeypatch) == 0
    (found,) = json.loads(capsys.readouterr().out)["decays"]
    table = {one["form"]: one["strength"] for one in found["equivalents"]}
    assert table == pytest.approx({"l2": 1e-4, "coupled": 2e-4, "decoupled": 2e-3, "independent": 2e-4})


def test_decay_says_why_there_is_no_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fewepochs("decay", BASELINE, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "none: adam divides the penalty's gradient, too, by the root of the second moment" in printed
    assert "What it takes off a weight cannot be said" in printed
    assert fewepochs("decay", "digits-step", "--set", "regularisation={kind='none'}", monkeypatch=monkeypatch) == 0
    assert "No regularisation and no weight decay" in capsys.readouterr().out
