"""The commands that only look: help, recipes, data, what a recipe needs, and what runs have shown."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import run_folders
from command_line import EPOCHS, TRAINING, run, tiny
from fewepochs import errors, store
from fewepochs import recipe as recipes
from recipe_samples import FULL, parse


@pytest.fixture
def done(tmp_path: Path) -> str:
    """Make a finished run of numbers in the folder `runs`, and return its name."""
    (tmp_path / "full.toml").write_text(FULL)
    name = store.run_name(parse())
    folder = run_folders.make(tmp_path / "runs" / name, epochs=parse().budget.epochs)
    folder.write_status(run_folders.status("finished", epochs=parse().budget.epochs))
    return name


def _codes(kind: type[errors.FewEpochsError]) -> Iterator[int]:
    for below in kind.__subclasses__():
        yield below.exit_code
        yield from _codes(below)


def test_help_names_every_command_and_every_exit_code(tmp_path: Path) -> None:
    shown = run("--help", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    _, _, promised = shown.stdout.partition("Exit codes: ")
    codes = {0, *_codes(errors.FewEpochsError), errors.INTERRUPTED_EXIT_CODE, errors.TERMINATED_EXIT_CODE}
    assert {int(word) for word in promised.split() if word.isdecimal()} == codes
    for command in ("train", "resume", "demo", "report", "show", "compare", "recipes", "data"):
        assert f"\n  {command} " in shown.stdout


def test_the_version_is_on_stdout(tmp_path: Path) -> None:
    shown = run("--version", folder=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.startswith("fewepochs 0.")


# --- recipes and data ---------------------------------------------------------------------------------------------


def test_recipes_are_listed_with_what_they_are(tmp_path: Path) -> None:
    listed = run("recipes", folder=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(recipes.shipped_names())
    assert all(recipes.load(name).summary in listed.stdout for name in recipes.shipped_names())


def test_a_shipped_recipe_is_shown_as_it_stands(tmp_path: Path) -> None:
    shown = run("recipes", "show", "digits-step", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.rstrip() == recipes.text("digits-step").rstrip()


def test_a_recipe_file_is_shown_as_it_stands(tmp_path: Path) -> None:
    tiny(tmp_path)
    with (tmp_path / "tiny.toml").open("a") as file:
        file.write("# the last word\n")
    shown = run("recipes", "show", "tiny.toml", folder=tmp_path)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.endswith("# the last word\n")


def test_a_recipe_that_comes_through_a_pipe_is_shown_whole(tmp_path: Path) -> None:
    tiny(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["/bin/sh", "-c", "cat tiny.toml > pipe"], cwd=tmp_path) as writer:
        shown = run("recipes", "show", "pipe", folder=tmp_path)
        assert writer.wait() == 0
    assert (shown.returncode, shown.stdout) == (0, (tmp_path / "tiny.toml").read_text())


def test_the_schema_of_recipes_is_json(tmp_path: Path) -> None:
    shown = run("recipes", "schema", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == recipes.json_schema()


def test_data_at_hand_are_listed_even_where_there_is_no_cache(tmp_path: Path) -> None:
    listed = run("data", "--json", folder=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [source["kind"] for source in json.loads(listed.stdout)] == ["digits"]


# --- before a run -------------------------------------------------------------------------------------------------


def test_the_resolved_recipe_is_a_recipe_of_the_same_digest(tmp_path: Path) -> None:
    tiny(tmp_path)
    overrides = ("optimizer.lr=0.5", "schedule={kind='piecewise-linear', points=[[0, 1], [1, 0.1]]}")
    options = [word for override in overrides for word in ("--set", override)]
    printed = run("train", "tiny.toml", *options, "--seed", "7", "--print-config", folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    expected = recipes.load(str(tmp_path / "tiny.toml"), overrides=overrides, seed=7)
    assert printed.stdout.splitlines()[0] == f"# digest {recipes.digest(expected)}"
    (tmp_path / "printed.toml").write_text(printed.stdout)
    assert recipes.load(str(tmp_path / "printed.toml")) == expected
    again = run("train", "printed.toml", "--print-config", "--json", folder=tmp_path)
    facts = json.loads(again.stdout)
    assert facts.pop("digest") == recipes.digest(expected)
    assert recipes.from_json(facts, source="stdout") == expected
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_says_what_a_recipe_needs_and_leaves_nothing(tmp_path: Path) -> None:
    digest = recipes.digest(tiny(tmp_path))
    shown = run("train", "tiny.toml", *TRAINING, "--dry-run", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert (facts["recipe"], facts["digest"]) == ("tiny", digest)
    # 300 of 1437 images are not held out, in batches of 60. By hand: stem 20 and 4, the unit's convolutions 6, 38, 12
    # and 12, its normalisations 4 and 4, the last one 8, the head 50.
    assert (facts["training_images"], facts["steps_per_epoch"], facts["steps"]) == ("300", "5", str(5 * EPOCHS))
    assert facts["trainable_parameters"] == "158"
    assert int(facts["memory_bytes"].replace(",", "")) > 1797 * 8 * 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.toml"]


# --- after a run --------------------------------------------------------------------------------------------------


def test_runs_are_shown_with_answers_and_their_n(tmp_path: Path, done: str) -> None:
    shown = run("show", "runs", "--target", "0.2", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("full reaches 0.2 after 1 epoch (1 of 1 run).\n")
    assert f"\n{done}  " in shown.stdout


def test_json_is_all_that_stdout_has(tmp_path: Path, done: str) -> None:
    shown = run("show", "runs", "--json", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    summary = json.loads(shown.stdout)
    assert [(entry["run"], entry["epochs"]) for entry in summary["runs"]] == [(done, 10)]
    again = run("train", "full.toml", "--json", folder=tmp_path)
    assert (again.returncode, json.loads(again.stdout)) == (0, summary)
    assert "already done" in again.stderr
