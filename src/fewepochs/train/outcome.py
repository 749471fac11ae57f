"""How a run ended, and whether there is nothing left to do: known from its folder alone, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.stats import stopping


@dataclass(frozen=True)
class Outcome:
    """How a run ended: as stored, whether there was nothing left to do, and the signal that stopped it, if one did.

    A run that diverged is an outcome, too: its status says so.
    """

    run: store.StoredRun
    already_done: bool = False
    signal: int | None = None


def is_done(run: store.StoredRun, *, stop: stopping.Stop) -> bool:
    """Return whether nothing is left to do; where a run did not say so itself, its log may be ahead of its state."""
    if run.status.state != "finished":
        return run.status.state == "diverged"
    return len(run.epochs) >= run.recipe.budget.epochs or stopping.verdict(stop, run.epochs) is not None


def is_as_named(run: store.StoredRun) -> bool:
    """Return whether the folder's name has the digest of its recipe: if not, someone changed one of the two."""
    return run.name.endswith(recipes.digest(store.trained(run))[:8])


def already(path: Path, *, stop: stopping.Stop) -> Outcome | None:
    """Return the outcome of the run in the folder `path` if it is plainly done, None if torch is needed to say more."""
    if not store.is_run(path):
        return None
    run = store.read(path)
    return Outcome(run, already_done=True) if is_done(run, stop=stop) and is_as_named(run) else None
