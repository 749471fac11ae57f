"""fewepochs replicate: what it lists, what it says of runs, what it trains, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from claim_runs import claim_run, experiment, write
from command_line import EPOCHS, TINY, problems, run
from fewepochs import store
from fewepochs.api import training
from fewepochs.claims import catalogue
from fewepochs.cli import replicating
from fewepochs.report import replication


def test_without_a_claim_all_are_listed(tmp_path: Path) -> None:
    told = run("replicate", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert "part1-bs64  (primary: read in the source itself)\n" in told.stdout
    assert "not testable: ResNet-9 is not a network of fewepochs" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    listed = json.loads(run("replicate", "--json", folder=tmp_path).stdout)
    assert {claim["claim"] for claim in listed} >= {"part1-bs32", "resnet164-dawnbench"}


def test_without_runs_the_command_that_makes_them_is_printed(tmp_path: Path) -> None:
    told = run("replicate", "part1-bs64", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert "      fewepochs train resnet56v2-adam-atienza --seeds 0..4\n" in told.stdout
    assert told.stdout.endswith("10 items: 10 not testable\n")


def test_runs_are_judged_item_by_item(tmp_path: Path) -> None:
    for seed in range(5):
        write(claim_run(experiment("part5"), {20: 0.92 if seed else 0.95}, seed=seed), tmp_path / "runs")
    told = run("replicate", "part5", "runs", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert "reproduced        epochs to 0.92: at most 21; ours 20 (20 to 20); n = 5\n" in told.stdout
    assert told.stdout.endswith("1 item: 1 reproduced\n")
    found = json.loads(run("replicate", "part5", "runs", "--json", folder=tmp_path).stdout)
    assert [run["seed"] for run in found["experiments"][0]["used"]] == [0, 1, 2, 3, 4]
    assert found["items"][0]["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("part5-", "nowhere"), 2, "claim: no such claim (got 'part5-')"),
        (("part5", "--seeds", "4..0"), 2, "--seeds: not a set of whole numbers (got '4..0'); allowed: 0..9, or 0,3,5"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    refused = run("replicate", *arguments, folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert problems(refused)[0].startswith(told)


def test_folders_that_are_not_there_are_a_storage_error(tmp_path: Path) -> None:
    assert run("replicate", "part5", "nowhere", folder=tmp_path).returncode == 5


def test_what_cannot_be_trained_is_not_asked_for_data(tmp_path: Path) -> None:
    told = run("replicate", "resnet9-24-epochs", "--run", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.endswith("2 items: 2 not testable\n")


def test_training_needs_the_data(tmp_path: Path) -> None:
    refused = run("replicate", "part5", "--run", "--data", "nowhere", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (3, "")


def test_the_runs_of_a_claim_are_trained_and_judged(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace(f"epochs = {EPOCHS}", "epochs = 1"))
    item = catalogue.Typical(quantity="epochs", target=0.01, relation="at-most", value=1.0, variation=0.0)
    claim = catalogue.Claim(
        id="own", source="here", text="one epoch", mark="primary", recipe=str(tmp_path / "tiny.toml"), items=(item,)
    )

    def train(seeds: Sequence[int]) -> list[store.StoredRun]:
        runtime = training.Runtime(threads=1, kernels="torch")
        return replicating.train_all(claim, seeds, out=tmp_path / "runs", runtime=runtime, progress="off", quiet=True)

    made = train(range(5))
    assert sorted(path.name[:7] for path in (tmp_path / "runs").iterdir()) == [f"tiny-s{seed}" for seed in range(5)]
    (judged,) = replication.build(claim, made)["items"]
    assert (judged["verdict"], judged["n"], judged["value"]) == ("reproduced", 5, 1)
    assert train([4])[0].path == made[4].path
