"""What the trials of a search are, proposed by Optuna and then written down.

A batch's proposals are a function of the search's seed, the batch and the scores of earlier batches, no generator is
carried along: the sampler's seed is derived from the search's, and what came before is told to it anew. `search.json`
keeps what was proposed, so that another version of Optuna changes no search that was begun.

Optuna: Akiba et al. 2019 (arXiv:1907.10902); TPE: Bergstra et al. 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from fewepochs import seeds
from fewepochs.errors import Problem, RecipeError
from fewepochs.study.search_files import Choice, Dimension, Range

INSTALL = "pip install 'fewepochs[search]'"


@dataclass(frozen=True)
class Scored:
    """A trial of an earlier batch: its values by dotted field, and its scores by epochs done; none if it was none."""

    values: Mapping[str, Any]
    scores: Mapping[int, float]
    finished: bool


def propose(
    space: Mapping[str, Dimension],
    *,
    count: int,
    batch: int,
    seed: int,
    sampler: Literal["random", "tpe"],
    before: Sequence[Scored],
) -> list[dict[str, Any]]:
    """Return `count` proposals, each a value for every field of `space`. Raises RecipeError where Optuna is missing."""
    try:
        import optuna
    except ImportError:
        raise RecipeError("search", (Problem("sampler", f"needs Optuna: {INSTALL}"),)) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = seeds.derive(seed, "search", batch) % 2**32
    chosen = optuna.samplers.TPESampler(seed=number) if sampler == "tpe" else optuna.samplers.RandomSampler(seed=number)
    study = optuna.create_study(direction="maximize", sampler=chosen)
    distributions = {name: _distribution(dimension) for name, dimension in space.items()}
    for trial in before:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: _told(space[name], value) for name, value in trial.values.items()},
                distributions=distributions,
                intermediate_values=dict(trial.scores),
                value=trial.scores[max(trial.scores)] if trial.finished else None,
                state=optuna.trial.TrialState.COMPLETE if trial.finished else optuna.trial.TrialState.PRUNED,
            )
        )
    asked = [study.ask(distributions) for _ in range(count)]
    return [{name: _meant(space[name], value) for name, value in trial.params.items()} for trial in asked]


def _distribution(dimension: Dimension) -> Any:
    from optuna import distributions

    match dimension:
        case Range(whole=True):
            return distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
        case Range():
            return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case Choice():
            return distributions.CategoricalDistribution(range(len(dimension.values)))  # values may be whole parts
        case _:
            assert_never(dimension)


def _told(dimension: Dimension, value: Any) -> Any:
    """Return a value as Optuna knows it: of a choice its place."""
    return dimension.values.index(value) if isinstance(dimension, Choice) else value


def _meant(dimension: Dimension, value: Any) -> Any:
    return dimension.values[value] if isinstance(dimension, Choice) else value
