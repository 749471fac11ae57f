"""What a search by halving found: a row for each trial, the best first, and what the winner's number is worth."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli_w

from fewepochs import disk, store
from fewepochs import recipe as recipes
from fewepochs.report import summary, table_text
from fewepochs.stats import arms, halving
from fewepochs.study import plan, search

KIND = "search"
FRESH_SEEDS = 5
WINNER, BASE, CONFIRM = "winner.toml", "base.toml", "confirm.toml"


def build(found: search.Search) -> table_text.Page:
    """Return how the search stands, as a table and sentences."""
    trials = found.stand()
    heads = ("trial", "values", *(f"{rung} ep" for rung in found.rungs), "outcome")
    order = sorted(trials, key=lambda trial: _rank(trial))
    title = (
        f"{found.file.name}: {len(trials)} of {found.file.trials} trials proposed ({found.file.sampler}); best val_acc "
        f"up to {', '.join(map(str, found.rungs))} epochs, 1 in {found.file.halving.reduction} goes on"
    )
    rows = tuple(_cells(found, trial) for trial in order)
    data = tuple(_data(found, trial) for trial in order)
    winner = found.winner(trials)
    asked = {"search": found.file.name, "question": found.file.question, "complete": is_complete(found, trials),
             "winner": None if winner is None else winner.number}  # fmt: skip
    commands = tuple(_commands(found)) if winner is not None and is_complete(found, trials) else ()
    table = table_text.Table(title, heads, rows, data, keys=2)
    return table_text.Page(KIND, (table,), tuple(_notes(found, trials)), commands, asked)


def is_complete(found: search.Search, trials: Sequence[search.Trial]) -> bool:
    """Return whether nothing is left to be proposed or trained."""
    return len(trials) == found.file.trials and found.following(trials) is None


def _rank(trial: search.Trial) -> tuple[int, float, int]:
    """Return what trials are sorted by: how far they came, their score there, their number."""
    furthest = max(trial.scores, default=0)
    return -furthest, -trial.scores.get(furthest, halving.WORST), trial.number


def _cells(found: search.Search, trial: search.Trial) -> tuple[str, ...]:
    values = ", ".join(f"{name}={_shown(value)}" for name, value in trial.proposed.values.items())
    scores = [trial.scores.get(rung) for rung in found.rungs]
    told = ["-" if value is None else "diverged" if value == halving.WORST else f"{value:.4f}" for value in scores]
    return (str(trial.number), values, *told, _outcome(found, trial))


def _shown(value: Any) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case Mapping():
            return str(value.get("kind", "part"))
        case _:
            return str(value)


def _outcome(found: search.Search, trial: search.Trial) -> str:
    if trial.proposed.problem is not None:
        return f"not trained: {trial.proposed.problem}"
    if not trial.scores:
        return "waits"
    if halving.WORST in trial.scores.values():
        return "diverged"
    furthest = max(trial.scores)
    return "to the end" if furthest == found.rungs[-1] else f"left after {furthest} epochs"


def _data(found: search.Search, trial: search.Trial) -> dict[str, Any]:
    scores = {f"val_acc_{rung}": trial.scores.get(rung) for rung in found.rungs}
    finite = {name: None if value == halving.WORST else value for name, value in scores.items()}
    return {"trial": trial.number, **trial.proposed.values, **finite, "outcome": _outcome(found, trial)}


# --- sentences --------------------------------------------------------------------------------------------------------


def _notes(found: search.Search, trials: Sequence[search.Trial]) -> Iterator[str]:
    winner = found.winner(trials)
    if not is_complete(found, trials):
        yield "The search is not over: `fewepochs search run FILE` goes on."
    if winner is None:
        yield "No trial has come to the end."
    else:
        yield from _about_the_winner(found, winner)
        yield (
            f"The best of {len(trials)} trials by its own score is too good by what chance gave it (the winner's "
            f"curse). {CONFIRM} is a study of it and its base with {FRESH_SEEDS} fresh seeds."
        )
    yield from _cost(found, trials)
    yield (
        "Every trial's schedule is stretched to its whole budget. Early scores favour what is quick at a high rate; a "
        "recipe that wins by annealing may have been left. A later first comparison costs more and errs less."
    )


def _about_the_winner(found: search.Search, winner: search.Trial) -> Iterator[str]:
    runs = runs_of(found, winner)
    told = ", ".join(f"{name} = {_shown(value)}" for name, value in winner.proposed.values.items())
    n = f"n = {len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    yield f"Best: trial {winner.number} ({told}), val_acc {winner.scores[found.rungs[-1]]:.4f}, {n}."
    seen = [arms.best_and_tested(run.epochs) for run in runs]
    pairs = [(best.val_acc, test) for best, test in seen if best is not None and test is not None]
    if pairs:
        gap = sum(val - test for val, test in pairs) / len(pairs)
        test = sum(test for _, test in pairs) / len(pairs)
        yield f"Its test accuracy at the epochs chosen is {test:.4f}: a selection gap of {gap:+.4f}."
    yield f"{summary.validation(found.base.data).capitalize()}."


def runs_of(found: search.Search, trial: search.Trial) -> list[store.StoredRun]:
    """Return what is stored of a trial's runs."""
    if trial.recipe is None:
        return []
    planned = plan.make(found.study(), out=found.out)
    return [one.run for one in planned.of_arm(trial.recipe.name) if one.run is not None]


def _cost(found: search.Search, trials: Sequence[search.Trial]) -> Iterator[str]:
    planned = plan.make(found.study(), out=found.out)
    spent = sum(one.epochs for one in planned.standings)
    trained = sum(trial.recipe is not None for trial in trials)
    whole = trained * len(found.file.seeds) * found.base.budget.epochs
    if whole:
        yield f"Cost: {spent} epochs of the {whole} that all {trained} trials to the end would have been."


# --- what is left behind ----------------------------------------------------------------------------------------------


def _commands(found: search.Search) -> Iterator[tuple[str, str]]:
    winner, confirm = (shlex.quote(str(found.path / name)) for name in (WINNER, CONFIRM))
    yield "the winner's recipe, with another seed", f"fewepochs train {winner} --seed {max(found.file.seeds) + 1}"
    yield "the winner and its base with fresh seeds", f"fewepochs study run {confirm}"


def leave(found: search.Search) -> None:
    """Write the winner's recipe, its base, and a study of both with fresh seeds. Raises StorageError."""
    winner = found.winner(found.stand())
    if winner is None or winner.recipe is None:
        return
    first = max(found.file.seeds) + 1
    study = {
        "name": f"{found.file.name[:60]}-confirm",
        "question": f"Is the winner of {found.file.name} better than what the search began with?",
        "base": BASE,
        "seeds": list(range(first, first + FRESH_SEEDS)),
        "arms": {"base": {}, "winner": {"recipe": WINNER}},
    }
    named = winner.recipe.model_copy(update={"name": f"{found.file.name[:60]}-winner"})
    for name, text in (
        (WINNER, recipes.to_toml(named)),
        (BASE, recipes.to_toml(found.base)),
        (CONFIRM, tomli_w.dumps(study)),
    ):
        disk.write_whole(found.path / name, text.encode())
