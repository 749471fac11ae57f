"""A search for the smallest budget: its question, its growing study, its answer in words, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import command_line
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.errors import RecipeError
from fewepochs.report import smallest_budget, table_text
from fewepochs.study import budgets
from study import study_files
from study.test_local import until

LINEAR = "schedule={kind='polynomial'}"
CURVES: Mapping[int, Sequence[Sequence[float]]] = {
    20: [(0.5,) * 15 + (0.8,)] * 3 + [(0.5,) * 17 + (0.8,)] * 2,
    4: [(0.5,) * 4] * 5,
    12: [(0.5,) * 9 + (0.8,)] * 4 + [(0.5,) * 12],
    8: [(0.5,) * 7 + (0.8,)] * 2 + [(0.5,) * 8] * 3,
    10: [(0.5,) * 9 + (0.8,)] * 5,
    9: [(0.5,) * 8 + (0.8,)] * 3 + [(0.5,) * 9] * 2,
}
"""Budgets in the order in which a search tries them: 10 is the smallest that is enough for four of five."""


@pytest.fixture
def question(tmp_path: Path) -> budgets.Question:
    (tmp_path / "tiny.toml").write_text(study_files.TINY)
    recipe = recipes.load(str(tmp_path / "tiny.toml"), overrides=(LINEAR,))
    return budgets.Question(recipe, target=0.8, share=0.8, lowest=4, highest=20, seeds=(0, 1, 2, 3, 4))


def told(question: budgets.Question, out: Path, curves: Mapping[int, Sequence[Sequence[float]]]) -> budgets.Search:
    """Return a search in which these budgets were tried, their runs written as curves."""
    search = budgets.Search(question, out)
    for budget, runs in curves.items():
        cells = [cell for cell in search.study([budget]).cells if cell.recipe.budget.epochs == budget]
        for cell, curve in zip(cells, runs, strict=True):
            stopped = "target" if curve[-1] >= question.target and len(curve) < budget else None
            study_files.write_cell(out / question.name, cell, curve, stopped=stopped)
        search = search.then(budget)
    return search


# --- the question -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": 0.0}, "--target"),
        ({"target": 1.5}, "--target"),
        ({"share": 0.0}, "--share"),
        ({"share": float("nan")}, "--share"),
        ({"lowest": 9, "highest": 8}, "--from, --to"),
    ],
)
def test_a_question_without_an_answer_is_refused(
    question: budgets.Question, changes: dict[str, float], field: str
) -> None:
    with pytest.raises(RecipeError, match=field):
        budgets.check(replace(question, **changes))  # type: ignore[arg-type]


def test_a_schedule_that_no_budget_stretches_is_refused(question: budgets.Question) -> None:
    for override in (
        "schedule={kind='piecewise-constant', unit='epochs', boundaries=[2.0], factors=[1.0, 0.1]}",
        "schedule={kind='warm-up', length=0.1, then={kind='cosine', unit='epochs', until=3.0}}",
    ):
        table = recipes.load("digits-linear", overrides=(override,))
        with pytest.raises(RecipeError, match="pinned to epochs"):
            budgets.check(replace(question, recipe=table))


def test_each_budget_is_the_recipe_with_its_schedule_stretched(question: budgets.Question) -> None:
    for budget in (4, 20):
        recipe = budgets.at(question, budget)
        assert recipe.budget.epochs == budget
        assert recipe.schedule == question.recipe.schedule
        assert recipe.optimizer == question.recipe.optimizer


def test_all_budgets_share_their_seeds(question: budgets.Question, tmp_path: Path) -> None:
    study = budgets.Search(question, tmp_path).study([4, 20])
    assert [(cell.recipe.budget.epochs, cell.seed) for cell in study.cells] == [
        (budget, seed) for budget in (4, 20) for seed in question.seeds
    ]


def test_what_was_trained_is_shared_by_all_ranges_and_shares_but_not_by_targets(question: budgets.Question) -> None:
    same = [replace(question, lowest=1), replace(question, highest=99), replace(question, share=0.5)]
    other = [replace(question, target=0.9), replace(question, rule="held")]
    assert {one.name for one in same} == {question.name}
    assert len({one.name for one in [question, *other]}) == 3
    renamed = question.recipe.model_copy(update={"seed": 3})
    assert replace(question, recipe=renamed).name == question.name


def test_a_run_stops_at_the_target_only_where_that_decides(question: budgets.Question, tmp_path: Path) -> None:
    assert budgets.Search(question, tmp_path).study().rules.stop.target == 0.8
    assert budgets.Search(replace(question, rule="held"), tmp_path).study().rules.stop.target is None


# --- the answer -------------------------------------------------------------------------------------------------------


def test_budgets_are_tried_as_the_answers_ask(question: budgets.Question, tmp_path: Path) -> None:
    search, order = budgets.Search(question, tmp_path), []
    told(question, tmp_path, CURVES)
    while (budget := search.following()) is not None:
        order.append(budget)
        search = search.then(budget)
    assert order == list(CURVES)
    assert (search.answer().smallest, search.answer().not_enough) == (10, 9)


def test_the_answer_stands_beside_what_a_long_run_would_have_said(question: budgets.Question, tmp_path: Path) -> None:
    page = smallest_budget.build(told(question, tmp_path, CURVES))
    text = "\n".join(page.notes)
    assert page.notes[0] == "10 epochs: with 10, 5 of 5 runs reach 0.8; with 9, 3 of 5 runs reach 0.8."
    assert "Read off the runs with 20 epochs, the answer would have been 18 epochs, when 4 of 5 were there" in text
    assert "That is another question" in text
    assert "even 5 of 5 bear out 48% at 95%. It takes 17 runs" in text
    assert "By its interval, 4 epochs are not enough" in text
    assert "30 runs, " in text
    verdicts = {row["budget"]: row["enough"] for row in page.tables[0].data}
    assert verdicts == {4: False, 8: False, 9: False, 10: True, 12: True, 20: True}
    assert all(row["n"] == 5 for row in page.tables[0].data)


def test_a_target_out_of_reach_has_a_bound_and_no_number(question: budgets.Question, tmp_path: Path) -> None:
    page = smallest_budget.build(told(question, tmp_path, {20: [(0.5,) * 20] * 5}))
    assert page.notes[0] == "More than 20 epochs: with 20, 0 of 5 runs reach 0.8."
    assert "the answer would have been that 80% of them do not arrive" in "\n".join(page.notes)
    assert page.tables[0].data[0]["median_crossing"] is None


def test_a_target_within_the_smallest_budget_has_a_bound(question: budgets.Question, tmp_path: Path) -> None:
    page = smallest_budget.build(told(question, tmp_path, {20: [(0.8,)] * 5, 4: [(0.8,)] * 5}))
    assert page.notes[0] == "At most 4 epochs: with these, 5 of 5 runs reach 0.8."


def test_a_search_that_is_not_over_says_what_is_open(question: budgets.Question, tmp_path: Path) -> None:
    some = {budget: CURVES[budget] for budget in (20, 4, 12)}
    assert smallest_budget.build(told(question, tmp_path, some)).notes[0].startswith("5 to 12 epochs, so far: ")
    assert smallest_budget.build(budgets.Search(question, tmp_path)).notes[0] == "No budget has been tried yet."


def test_the_answer_has_every_form(question: budgets.Question, tmp_path: Path) -> None:
    search = told(question, tmp_path, CURVES)
    page = smallest_budget.build(search)
    assert page.as_dict()["answer"]["smallest"] == 10
    assert json.dumps(page.as_dict())
    assert table_text.lines(page, form="csv")[0].startswith("budget,n,reached,share,")
    assert max(map(len, table_text.lines(page, form="text"))) <= table_text.WIDTH
    for name in ("b.svg", "b.html"):
        smallest_budget.write(tmp_path / name, search)
    assert "budget in epochs" in (tmp_path / "b.svg").read_text()


# --- the command ------------------------------------------------------------------------------------------------------

ASK = ("budget", "tiny.toml", "--set", LINEAR, "--target", "0.15", "--share", "0.5", "--from", "2", "--to", "7",
       "--seeds", "0,1", "--out", "runs", "--jobs", "2", *command_line.TRAINING)  # fmt: skip


def test_the_command_refuses_what_cannot_be_asked(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(study_files.TINY)
    ended = command_line.run("budget", "tiny.toml", "--target", "9", "--from", "5", "--to", "2", folder=tmp_path)
    assert ended.returncode == 2
    assert all(field in ended.stderr for field in ("--target", "--from, --to"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_search_killed_at_any_budget_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        (folder / "tiny.toml").write_text(study_files.TINY)
    first = command_line.run(*ASK, "--json", folder=whole)
    assert first.returncode == 0, first.stderr
    running = subprocess.Popen(
        [*command_line.COMMAND, *ASK],
        cwd=killed,
        env=command_line.environment(killed),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(list(killed.glob(f"runs/*/*/{store.EPOCHS}"))) >= 2)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    again = command_line.run(*ASK, "--json", folder=killed)
    assert again.returncode == 0, again.stderr
    answers = [json.loads(ended.stdout)["answer"] for ended in (first, again)]
    assert answers[0] == answers[1]
    logs = [
        {file.parent.name: file.read_bytes() for file in f.glob(f"runs/*/*/{store.EPOCHS}")} for f in (whole, killed)
    ]
    assert logs[0] == logs[1]
    before = {file: file.stat().st_mtime_ns for file in whole.glob("runs/*/*/*") if file.is_file()}
    asked = command_line.run(*ASK, "--json", folder=whole)
    assert asked.stdout == first.stdout
    assert "began" not in asked.stderr
    assert {file: file.stat().st_mtime_ns for file in before} == before
