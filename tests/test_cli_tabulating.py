"""fewepochs table: what it prints in each form, what it writes, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from claim_runs import claim_run, write
from command_line import problems, run
from fewepochs.claims import catalogue


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Write three runs at each of two batch sizes, and return the folder that holds them."""
    for size, crossing in ((16, 8), (32, 12)):
        one = catalogue.Experiment("digits-step", (f"batch_size={size}",), 1.0)
        for seed in range(3):
            write(claim_run(one, {crossing + seed: 0.975}, seed=seed), tmp_path / "runs")
    return tmp_path / "runs"


def test_transitions_by_batch_size_as_text(tmp_path: Path, runs: Path) -> None:
    told = run("table", "transitions", runs, folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(
        "epochs until a target is first reached: median (lowest-highest)\n"
        "batch_size  n  0.95        0.97\n"
        "16          3  9 (8-10)    9 (8-10)\n"
        "32          3  13 (12-14)  13 (12-14)\n\nnote: "
    )


def test_the_same_numbers_as_json_csv_and_markdown(tmp_path: Path, runs: Path) -> None:
    found = json.loads(run("table", "transitions", runs, "--json", folder=tmp_path).stdout)
    as_csv = run("table", "transitions", runs, "--csv", folder=tmp_path)
    rows = list(csv.DictReader(as_csv.stdout.splitlines()))
    assert [float(row["median"]) for row in rows] == [row["median"] for row in found["tables"][0]["data"]]
    assert as_csv.stderr.startswith("note: ")
    markdown = run("table", "transitions", runs, "--markdown", folder=tmp_path).stdout
    assert "| 16 | 3 | 9 (8-10) | 9 (8-10) |\n" in markdown


@pytest.mark.parametrize("kind", ["best", "cost"])
def test_best_and_cost_have_a_row_for_each_batch_size(tmp_path: Path, runs: Path, kind: str) -> None:
    told = run("table", kind, runs, "--json", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert [row["batch_size"] for row in json.loads(told.stdout)["tables"][0]["data"]] == [16, 32]


def test_an_attribution_is_planned_written_and_computed(tmp_path: Path, runs: Path) -> None:
    pair = ("--base", "digits-step", "--full", "digits-linear")
    planned = run("table", "attribution", *pair, "--plan", "--to", "variants", folder=tmp_path)
    assert (planned.returncode, planned.stderr) == (
        0,
        "written; its cells: fewepochs study plan variants/study.toml\n",
    )
    assert "# full\nfewepochs train digits-linear --seeds 0..4\n" in planned.stdout
    assert run("study", "plan", "variants/study.toml", folder=tmp_path).returncode == 0
    computed = run("table", "attribution", *pair, runs, folder=tmp_path)
    assert computed.returncode == 0
    assert "all together" in computed.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("colours", "runs"),
            "KIND: not a known choice (got 'colours'); allowed: transitions, best, cost, attribution",
        ),
        (("best",), "RUN: missing (got 'nothing'); allowed: run folders, or folders of run folders"),
        (("best", "runs", "--by", "batchsize"), "--by: no field of these recipes (got 'batchsize')"),
        (("best", "runs", "--csv", "--json"), "--csv: cannot stand beside another form (got '--json')"),
        (("best", "runs", "--plan"), "--plan: belongs to attribution, not to best"),
        (("best", "runs", "--rule", "last"), "--rule: not a known choice (got 'last'); allowed: first, held"),
        (("attribution", "--base", "digits-step"), "attribution: takes two recipes"),
        (("attribution", "--base", "digits-step", "--full", "digits-step", "--plan"), "--full: is the same recipe"),
        (("attribution", "--base", "digits-step", "--full", "digits-linear", "--to", "x"), "--to: writes what --plan"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path: Path, runs: Path, arguments: tuple[str, ...], told: str) -> None:
    refused = run("table", *arguments, folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert problems(refused)[0].startswith(told)


def test_compare_prints_csv_and_markdown_too(tmp_path: Path, runs: Path) -> None:
    as_csv = run("compare", runs, "--csv", folder=tmp_path)
    rows = list(csv.DictReader(as_csv.stdout.splitlines()))
    assert (as_csv.returncode, len(rows)) == (0, 4)
    assert {row["median.value"] for row in rows} == {"9.0", "13.0"}
    assert "note: " in as_csv.stderr
    markdown = run("compare", runs, "--markdown", folder=tmp_path).stdout
    assert "\n| recipe | budget | n | reached | median |" in markdown
    assert run("compare", runs, "--markdown", "--json", folder=tmp_path).returncode == 2
