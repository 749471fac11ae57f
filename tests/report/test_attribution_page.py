"""Attribution: which runs it takes, what they say, what is missing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fewepochs import ingredients, store
from fewepochs import recipe as recipes
from fewepochs.report import attribution
from fewepochs.study import grid
from report_runs import RECIPE, make_run

CHANGES = ('schedule={kind="cosine"}', "batch_size=16", "precision=bfloat16", "name=best")
PLATEAUS = {"base": 0.972, "full": 0.992, "with": 0.978, "without": 0.986}


@pytest.fixture
def asked(tmp_path: Path) -> attribution.Asked:
    (tmp_path / "base.toml").write_text(RECIPE)
    full = recipes.load(str(tmp_path / "base.toml"), overrides=CHANGES)
    (tmp_path / "full.toml").write_text(recipes.to_toml(full))
    return attribution.ask(str(tmp_path / "base.toml"), str(tmp_path / "full.toml"))


def made(asked: attribution.Asked, *, leave: str = "", n: int = 4) -> list[store.StoredRun]:
    """Return n runs of each variant but the one called `leave`."""
    found = []
    for variant in ingredients.variants(asked.base, asked.full):
        if attribution.title(variant) != leave:
            said = ingredients.overrides(asked.base, variant.recipe) or ()
            found += [make_run(*said, seed=seed, plateau=PLATEAUS[variant.role]) for seed in range(n)]
    return found


def test_the_plan_has_a_command_for_every_variant_and_counts_its_runs(asked: attribution.Asked) -> None:
    page = attribution.plan(asked, made(asked, leave="full without schedule"))
    counts = {row["variant"]: row["n"] for row in page.tables[0].data}
    assert counts.pop("full without schedule") == 0
    assert set(counts.values()) == {4}
    assert len(page.commands) == 8
    by_title = {attribution.title(v): v for v in ingredients.variants(asked.base, asked.full)}
    for makes, command in page.commands:
        words = shlex.split(command)
        said = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
        assert recipes.digest(recipes.load(words[2], overrides=said)) == recipes.digest(by_title[makes].recipe)


def test_the_study_that_is_written_has_the_variants_as_arms(asked: attribution.Asked, tmp_path: Path) -> None:
    study = grid.load(attribution.write(asked, tmp_path / "variants"))
    wanted = {recipes.digest(v.recipe) for v in ingredients.variants(asked.base, asked.full)}
    assert {recipes.digest(recipe) for recipe in study.arms.values()} == wanted
    assert set(study.arms) >= {"base", "full", "with-schedule", "without-batch-size"}
    assert study.seeds == (0, 1, 2, 3, 4)


def test_both_ways_are_told_with_pairs_and_intervals(asked: attribution.Asked) -> None:
    page = attribution.build(asked, made(asked), targets=(0.97,))
    with_, without = page.tables
    assert [row[0] for row in with_.rows] == ["schedule", "batch_size", "precision", "all together"]
    assert with_.rows[-1][1] == "4 pairs"
    assert with_.data[-1]["value"] == pytest.approx(without.data[-1]["value"])
    assert all(row["value"] > 0 for row in (*with_.data, *without.data))  # every ingredient helps in both ways
    assert with_.data[-1]["value"] > with_.data[0]["value"]
    assert page.commands == ()
    assert page.notes[0].startswith("epochs to 0.97 saved, put into the base: one by one ")


def test_missing_variants_are_named_with_their_command(asked: attribution.Asked) -> None:
    page = attribution.build(asked, made(asked, leave="full without schedule"), targets=(0.97,))
    (missing,) = page.commands
    assert missing[0] == "full without schedule"
    assert page.tables[1].rows[0][-1] == "no runs of full without schedule"
    assert page.tables[1].data[0]["reason"] == "no runs of full without schedule"


def test_without_any_run_everything_is_missing_and_nothing_is_claimed(asked: attribution.Asked) -> None:
    page = attribution.build(asked, [make_run("batch_size=999")], targets=(0.97,))
    assert len(page.commands) == 8
    assert {row[-1][:7] for table in page.tables for row in table.rows} == {"no runs"}


def test_a_single_ingredient_is_base_against_full() -> None:
    asked = attribution.ask("digits-step", "digits-linear")
    page = attribution.build(asked, [], targets=(0.97,))
    assert len(page.tables) == 1
    assert [row[0] for row in page.tables[0].rows] == ["all together"]


def test_budgets_that_differ_are_said_to_be_an_ingredient() -> None:
    asked = attribution.ask("adam-linear-50", "adamw-quarter-cosine")
    assert any("the budget is an ingredient" in note for note in attribution.build(asked, []).notes)
