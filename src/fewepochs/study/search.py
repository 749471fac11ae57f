"""A search by successive halving: which trials there are, how they stand, which are trained next and how far.

    runs/<search>/
      search.json                              the file, fixed when the search begins, and what was proposed
      study.json, <trial>-s<seed>-<digest8>/   a study whose arms are the trials (see `folder`)
      winner.toml, base.toml, confirm.toml     when it is over: the best recipe, what it started from, and a study of
                                               the two with fresh seeds

A trial is a recipe with its whole budget. It is paused after the epochs of a rung, and if it is promoted goes on from
its checkpoint: one that comes to the end is the run that `train` would have made of its recipe, bit for bit. Everything
is told from the folder, in the order of the trials: a killed search goes on and ends the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Strict, ValidationError

from fewepochs import disk, problems, store
from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError, StorageError
from fewepochs.records import Count, Record
from fewepochs.specs import inputs
from fewepochs.stats import halving
from fewepochs.study import files, folder, grid, plan, search_files

FILE = "search.json"
ELSEWHERE = ("budget", "seed", "seeds", "name", "data.validation")
"""Fields that no space may vary: trials share them, or nothing could be compared."""


class Proposed(Record):
    """A trial: its values by dotted field, and why it cannot be trained, if so."""

    number: Count
    values: Mapping[str, Any]
    problem: str | None = None


class Book(Record):
    """What `search.json` says."""

    format: Annotated[int, Field(ge=1, le=1)] = 1
    file: Mapping[str, Any]
    trials: Annotated[tuple[Proposed, ...], Strict(False)] = ()


@dataclass(frozen=True)
class Trial:
    """A trial and its recipe, None where its values make none; its scores by epochs done, as far as it was trained.

    Of a recipe that only training has shown to be none, `proposed` says why, as of any other.
    """

    proposed: Proposed
    recipe: recipes.Recipe | None
    scores: Mapping[int, float]

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self.proposed.number


@dataclass(frozen=True)
class Next:
    """What is trained next: these trials, to so many epochs."""

    numbers: tuple[int, ...]
    epochs: int


@dataclass(frozen=True)
class Search:
    """A search file, its base recipe with what `[set]` changes, and what was proposed so far."""

    file: search_files.SearchFile
    base: recipes.Recipe
    space: Mapping[str, search_files.Dimension]
    out: Path
    trials: tuple[Proposed, ...] = field(default=())

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.out / self.file.name

    @property
    def rungs(self) -> tuple[int, ...]:
        """After how many epochs trials are compared."""
        rule = self.file.halving
        return halving.rungs(first=rule.first, reduction=rule.reduction, budget=self.base.budget.epochs)

    def proposing(self, values: Sequence[Mapping[str, Any]]) -> Search:
        """Return the search with more trials; those that make no recipe, or one met before, are marked."""
        search = self
        for value in values:
            search = replace(search, trials=(*search.trials, search._examined(value)))
        return search

    def _examined(self, values: Mapping[str, Any]) -> Proposed:
        number = len(self.trials)
        try:
            digest = recipes.digest(self.recipe(number, values))
        except RecipeError as error:
            return Proposed(number=number, values=values, problem=str(error.problems[0]))
        for other in self.trials:
            if other.problem is None and recipes.digest(self.recipe(other.number, other.values)) == digest:
                return Proposed(number=number, values=values, problem=f"the same recipe as trial {other.number}")
        return Proposed(number=number, values=values)

    def recipe(self, number: int, values: Mapping[str, Any]) -> recipes.Recipe:
        """Return the recipe of a trial. Raises RecipeError."""
        table = self.base.model_dump(mode="json", exclude_none=True)
        for name, value in values.items():
            table = files.lay_over(table, grid.nested(name.split("."), value))
        table["name"] = f"{self.file.name[:60]}-t{number:03d}"
        return recipes.from_json(table, source=f"trial {number}")

    def study(self) -> grid.Study:
        """Return the study whose arms are the trials that can be trained."""
        arms = {}
        for one in self.trials:
            if one.problem is None:
                recipe = self.recipe(one.number, one.values)
                arms[recipe.name] = recipe
        cells = [
            grid.Cell(arm, seed, recipe.model_copy(update={"seed": seed}))
            for arm, recipe in arms.items()
            for seed in self.file.seeds
        ]
        return grid.Study(self.file.name, self.file.question, files.Rules(), arms, self.file.seeds, tuple(cells))

    def stand(self) -> tuple[Trial, ...]:
        """Return the trials with the scores that their runs have."""
        planned = plan.make(self.study(), out=self.out)
        found = []
        for one in self.trials:
            recipe = None if one.problem is not None else self.recipe(one.number, one.values)
            standings = () if recipe is None else planned.of_arm(recipe.name)
            if problem := next(filter(None, map(_problem, standings)), None):
                found.append(Trial(one.model_copy(update={"problem": problem}), None, {}))
                continue
            runs = [standing.run for standing in standings]
            scores = {rung: value for rung in self.rungs if (value := score(runs, rung)) is not None}
            found.append(Trial(one, recipe, scores))
        return tuple(found)

    def try_again(self) -> None:
        """Let trials be begun that could not be before: what they lacked, such as a package, may be here by now."""
        planned = plan.make(self.study(), out=self.out)
        for standing in planned.standings:
            if _problem(standing) is not None:
                folder.note_failure(self.path, standing.cell.run_name, None)

    def following(self, trials: Sequence[Trial]) -> Next | None:
        """Return what is trained next of the trials proposed so far, None where nothing is left."""
        for batch in self.file.batches():
            alive = [trials[k].number for k in batch if k < len(trials) and trials[k].recipe is not None]
            for rung in self.rungs:
                waiting = tuple(number for number in alive if rung not in trials[number].scores)
                if waiting:
                    return Next(waiting, rung)
                alive = self.promoted(trials, alive, rung)
        return None

    def promoted(self, trials: Sequence[Trial], alive: Sequence[int], rung: int) -> list[int]:
        """Return which of the trials `alive` at a rung go on to the next."""
        scores = {number: trials[number].scores[rung] for number in alive}
        return list(halving.promoted(scores, reduction=self.file.halving.reduction))

    def winner(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the best trial that came to the end, None where none did."""
        last = self.rungs[-1]
        done = {
            trial.number: trial.scores[last]
            for trial in trials
            if trial.scores.get(last, halving.WORST) > halving.WORST
        }
        return trials[min(done, key=lambda number: (-done[number], number))] if done else None


def unexplained(planned: plan.Plan) -> int:
    """Return how many cells could not be trained, and not for the recipe's sake: their trials cannot be passed over."""
    return sum(one.state == "failed" and _problem(one) is None for one in planned.standings)


def _problem(standing: plan.Standing) -> str | None:
    return None if standing.why is None else standing.why.problem


def score(runs: Sequence[store.StoredRun | None], rung: int) -> float | None:
    """Return the mean over `runs` of the best val_acc up to `rung` epochs; None where one is not through with it.

    A run that diverged before is worth less than any other.
    """
    found = []
    for run in runs:
        if run is None:
            return None
        if len(run.epochs) < rung and run.status.state == "diverged":
            return halving.WORST
        if not _is_through(run, rung):
            return None
        found.append(max(record.val_acc for record in run.epochs[:rung]))
    return sum(found) / len(found) if found else None


def _is_through(run: store.StoredRun, rung: int) -> bool:
    """Return whether `run` was left at `rung` or went beyond it.

    One that was killed between the rung's last line in the log and its end lacks its last checkpoint: it is trained to
    the rung once more, and finds nothing to do but to end.
    """
    if len(run.epochs) != rung:
        return len(run.epochs) > rung
    return run.status.state in ("finished", "diverged") or run.status.stopped == "paused"


# --- the file and the book --------------------------------------------------------------------------------------------


def load(path: Path, *, out: Path) -> Search:
    """Return the search in the file `path` with what its folder under `out` knows. Raises RecipeError, StorageError."""
    file, source = search_files.load(path), str(path)
    table = files.lay_over(grid.Bases(path.parent).table(file.base), file.set)
    table["name"], table["seed"] = f"{file.name[:60]}-base", 0
    base = recipes.from_json(table, source=source)
    space = search_files.space(file, source=source)
    if found := list(_problems(file, base, space)):
        raise RecipeError(source, tuple(found))
    search = Search(file, base, space, out)
    book = _read(search.path)
    if book is None:
        return search
    before, now = dict(book.file), _content(search)
    changed = tuple(
        Problem(name, f"was {json.dumps(before.get(name))} when the search began", json.dumps(now.get(name)))
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )
    if changed:
        rest = Problem("(file)", f"a search is fixed when it begins: put it back, or rename it ({search.path})")
        raise RecipeError(source, (*changed, rest))
    return replace(search, trials=book.trials)


def write(search: Search) -> None:
    """Write down the search and what was proposed. Raises StorageError."""
    disk.make_folder(search.path)
    book = Book(file=_content(search), trials=search.trials)
    disk.write_whole(search.path / FILE, (book.model_dump_json(indent=2) + "\n").encode())


def _read(path: Path) -> Book | None:
    try:
        return Book.model_validate_json((path / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StorageError(f"{path / FILE}: damaged or not readable: {error}") from None


def _content(search: Search) -> dict[str, Any]:
    """Return what decides a search: its file, words aside, and the base recipe as it is resolved."""
    content = search.file.model_dump(mode="json", exclude={"question", "base", "set"})
    return {**content, "base": recipes.digest(search.base)}


def _problems(
    file: search_files.SearchFile, base: recipes.Recipe, space: Mapping[str, search_files.Dimension]
) -> Iterator[Problem]:
    if isinstance(base.data.validation, inputs.TestImages):
        allowed = 'under [set]: data.validation = { kind = "held-out" }'
        yield Problem("data.validation", "is the test images, which choose no recipe", 'kind = "test"', allowed)
    if file.halving.first > base.budget.epochs:
        value = problems.shown(file.halving.first)
        yield Problem("halving.first", "more than the budget", value, f"1 to {base.budget.epochs}")
    for name in space:
        if any(name == fixed or name.startswith(f"{fixed}.") for fixed in ELSEWHERE):
            yield Problem(f"space.{name}", "is the same for all trials", None, "any other field of a recipe")
