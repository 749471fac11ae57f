"""The shipped claims: each can be read, each recipe loads, each number is where the rules expect it."""

from __future__ import annotations

import itertools
import shlex

import pytest
from pydantic import ValidationError

from fewepochs import recipe as recipes
from fewepochs.api import probing
from fewepochs.claims import catalogue
from fewepochs.errors import RecipeError
from fewepochs.report import replication

CLAIMS = catalogue.claims()
EXPERIMENTS = sorted({(one.recipe, one.overrides) for claim in CLAIMS for one in catalogue.experiments(claim)})


def test_claims_have_names_of_their_own_and_every_mark_occurs() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.mark for claim in CLAIMS} == set(catalogue.MARKS)


@pytest.mark.parametrize(("name", "overrides"), EXPERIMENTS)
def test_every_experiment_loads_and_its_command_line_says_the_same(name: str, overrides: tuple[str, ...]) -> None:
    one = catalogue.Experiment(name, overrides, 1.0)
    assert one.load().data.kind == "cifar10"
    words = shlex.split(replication.command(one))
    assert words[:3] == ["fewepochs", "train", name]
    said = [word for flag, word in itertools.pairwise(words) if flag == "--set"]
    assert recipes.load(words[2], overrides=said) == one.load()
    assert words[-2:] == ["--seeds", "0..4"]


ALL = {one for claim in CLAIMS for one in catalogue.experiments(claim)}
NETWORKS = {one.load().network.model_dump_json(): one for one in sorted(ALL, key=str)}


@pytest.mark.parametrize("one", NETWORKS.values(), ids=lambda one: f"{one.recipe}{one.overrides}")
def test_the_cost_of_an_epoch_is_that_of_the_network(one: catalogue.Experiment) -> None:
    flops = probing.dry_run(one.load())["flops_per_epoch"]
    assert one.teraflop_per_epoch == pytest.approx(flops / 1e12, abs=0.051)


def test_experiments_of_a_claim_differ() -> None:
    for claim in CLAIMS:
        digests = [recipes.digest(one.load()) for one in catalogue.experiments(claim)]
        assert len(set(digests)) == len(digests)


def test_a_published_batch_size_is_the_baseline_with_that_batch_size() -> None:
    for size in (32, 64, 128):
        (one,) = catalogue.experiments(catalogue.find(f"part1-bs{size}"))
        baseline = recipes.load("resnet56v2-adam-atienza", overrides=[f"batch_size={size}"])
        assert recipes.digest(one.load()) == recipes.digest(baseline)


def test_what_cannot_be_tested_says_why_and_needs_no_recipe() -> None:
    for claim in CLAIMS:
        for item in claim.items:
            if isinstance(item, catalogue.Untestable):
                assert item.reason
                assert catalogue.experiments_of(claim, item) == ()
    assert catalogue.experiments(catalogue.find("resnet9-24-epochs")) == ()


def test_an_unknown_claim_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'part1-bs64'"):
        catalogue.find("part1-b64")


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "epochs", "value": 84.0},
        {"quantity": "watts", "value": 84.0, "target": 0.9},
        {"quantity": "epochs", "value": 84.0, "target": 0.9, "relation": "at-most"},
    ],
)
def test_an_item_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        catalogue.Typical.model_validate(fields)


def test_a_share_is_counted_or_said() -> None:
    for fields in ({}, {"reached": 1}, {"reached": 1, "runs": 2, "share": 0.5}):
        with pytest.raises(ValidationError):
            catalogue.Share.model_validate({"target": 0.9, "within": 20, **fields})
