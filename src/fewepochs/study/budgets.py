"""A search for the smallest budget as a study that grows: each budget tried is an arm, and all arms share their seeds.

The schedule is stretched anew to each budget. A run ends as soon as it has reached the target, where the question is
when that is first so: what it would have done later does not matter. The folder is that of a study, so that a killed
search goes on where it stopped and a finished one answers at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base, rates
from fewepochs.stats import budgets, stopping
from fewepochs.stats import target as crossing_rules
from fewepochs.study import files, grid, plan


@dataclass(frozen=True)
class Question:
    """Which budget from `lowest` to `highest` is the smallest at which `share` of the runs reach `target`?"""

    recipe: recipes.Recipe
    target: float
    share: float
    lowest: int
    highest: int
    seeds: tuple[int, ...]
    rule: Literal["first", "held"] = "first"

    @property
    def name(self) -> str:
        """The name of its folder: the same recipe, target and rule share what was trained, whatever the range."""
        unseeded = self.recipe.model_copy(update={"seed": 0, "budget": rates.Budget(epochs=1)})
        hold = self.recipe.hold if self.rule == "held" else 1
        told = f"{recipes.canonical_json(unseeded)} {self.target!r} {self.rule} {hold}"
        return f"budget-{self.recipe.name[:60]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Search:
    """A question and what is stored about it; `arms` are the budgets that were tried so far, in that order."""

    question: Question
    out: Path
    arms: tuple[int, ...] = field(default=())

    def study(self, more: Sequence[int] = ()) -> grid.Study:
        """Return the study of the budgets tried so far and of `more`."""
        asked = self.question
        found = {name(asked.recipe, budget): at(asked, budget) for budget in (*self.arms, *more)}
        cells = tuple(
            grid.Cell(arm, seed, recipe.model_copy(update={"seed": seed}))
            for arm, recipe in found.items()
            for seed in asked.seeds
        )
        stop = stopping.Stop(target=asked.target) if asked.rule == "first" else stopping.NEVER
        rules = files.Rules(targets=(asked.target,), hold=asked.recipe.hold, rule=asked.rule, stop=stop)
        told = f"What is the smallest budget at which {asked.recipe.name} reaches {asked.target:g}?"
        return grid.Study(asked.name, told, rules, found, asked.seeds, cells)

    def rows(self) -> dict[int, budgets.Tried]:
        """Return what the budgets tried say, by budget. All their cells are done."""
        planned = plan.make(self.study(), out=self.out)
        return {budget: _tried(self.question, planned.of_arm(name(self.question.recipe, budget)), budget)
                for budget in self.arms}  # fmt: skip

    def following(self) -> int | None:
        """Return the budget to try next, None where the answer is known."""
        found = {budget: row.enough for budget, row in self.rows().items()}
        return budgets.following(found, lowest=self.question.lowest, highest=self.question.highest)

    def answer(self) -> budgets.Answer:
        """Return what is known so far."""
        asked = self.question
        return budgets.answer(self.rows(), lowest=asked.lowest, highest=asked.highest, share=asked.share)

    def runs(self, budget: int) -> tuple[store.StoredRun, ...]:
        """Return the runs with that budget."""
        planned = plan.make(self.study(), out=self.out)
        return tuple(one.run for one in planned.of_arm(name(self.question.recipe, budget)) if one.run is not None)

    def then(self, budget: int) -> Search:
        """Return the search with one more budget tried."""
        return Search(self.question, self.out, (*self.arms, budget))


def check(question: Question) -> None:
    """Raise RecipeError, with all problems, for a question that cannot be answered."""
    found = list(_problems(question))
    if found:
        raise RecipeError("budget", tuple(found))
    at(question, question.lowest)


def _problems(question: Question) -> Iterator[Problem]:
    if not 0 < question.target <= 1:
        yield Problem("--target", "not an accuracy", f"{question.target:g}", "a fraction above 0, at most 1")
    if not 0 < question.share <= 1:
        yield Problem("--share", "not a share of the runs", f"{question.share:g}", "a fraction above 0, at most 1")
    if not 1 <= question.lowest <= question.highest:
        yield Problem("--from, --to", "no range of budgets", f"{question.lowest}..{question.highest}", "from 1, rising")
    for place, unit in _units(question.recipe):
        if unit == "epochs":
            allowed = 'unit = "budget", or lr-range and compare for a pinned one'
            yield Problem(place, "is pinned to epochs: no budget stretches it", "unit = 'epochs'", allowed)


def _units(recipe: recipes.Recipe) -> Iterator[tuple[str, str]]:
    """Yield each schedule of the recipe that has a unit, and the unit."""

    def within(here: str, part: base.Spec) -> Iterator[tuple[str, str]]:
        for name_ in type(part).model_fields:
            value, place = getattr(part, name_), f"{here}.{name_}" if here else name_
            if isinstance(value, base.Spec):
                if "unit" in type(value).model_fields:
                    yield f"{place}.unit", value.model_dump()["unit"]
                yield from within(place, value)

    yield from within("", recipe)


def name(recipe: recipes.Recipe, budget: int) -> str:
    """Return what the arm of a budget is called."""
    return f"{recipe.name[:60]}-{budget}ep"


def at(question: Question, budget: int) -> recipes.Recipe:
    """Return the recipe with that budget, its schedule stretched to it. Raises RecipeError."""
    table = question.recipe.model_dump(mode="json", exclude_none=True)
    changed: Mapping[str, object] = {
        "name": name(question.recipe, budget),
        "targets": [question.target],
        "budget": {"epochs": budget},
        "seed": 0,
    }
    return recipes.from_json({**table, **changed}, source=f"{question.recipe.name} with a budget of {budget} epochs")


def _tried(question: Question, standings: Sequence[plan.Standing], budget: int) -> budgets.Tried:
    curves = [one.run.epochs for one in standings if one.run is not None]
    hold = question.recipe.hold
    found = [crossing_rules.crossing(curve, question.target, rule=question.rule, hold=hold) for curve in curves]
    reached = sum(crossing.reached for crossing in found)
    return budgets.tried(budget, reached=reached, n=len(curves), share=question.share)
