"""Search among recipes by successive halving.

What only some calls need is imported inside of them, so that everything else stays fast.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fewepochs import runtime as runtimes
from fewepochs.errors import Problem, RecipeError, StudyError
from fewepochs.optim import permission

if TYPE_CHECKING:
    from fewepochs.report import study_console, table_text
    from fewepochs.study import conduct, search


def run(
    file: Path,
    *,
    out: Path,
    how: conduct.How,
    view: study_console.View | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[search.Search, signal.Signals | None]:
    """Carry out the search in `file` from where it stands; `say` hears what is next.

    Returns the search, and the signal that stopped it, if one did: the same call then goes on. Raises RecipeError for a
    file that cannot be used, StudyError where trials could not be trained; those whose recipe was at fault are passed
    over.
    """
    from fewepochs.report import search_report, study_console
    from fewepochs.study import conduct, search

    found, shown = search.load(file, out=out), view or study_console.View()
    runtimes.check(how.runtime)
    permission.require_allowed(found.base.optimizer, allow_code=how.runtime.allow_code)
    found.try_again()
    for number, batch in enumerate(found.file.batches()):
        if len(found.trials) <= batch[0]:
            found = _proposed(found, batch=number, count=len(batch))
        while (following := found.following(found.stand())) is not None:
            say(f"next: {len(following.numbers)} trials to {following.epochs} epochs")
            study = found.study()
            names = {found.recipe(k, found.trials[k].values).name for k in following.numbers}
            only = [k for k, cell in enumerate(study.cells) if cell.arm in names]
            until = following.epochs if following.epochs < found.rungs[-1] else None
            done = conduct.conduct(study, out=out, how=how, view=shown, only=only, until=until)
            if done.signal is not None:
                return found, done.signal
            if failed := search.unexplained(done.plan):
                raise StudyError(f"{study.name}: {failed} runs failed; see {done.plan.logs}")
    search_report.leave(found)
    return found, None


def _proposed(found: search.Search, *, batch: int, count: int) -> search.Search:
    """Return the search with one batch more, written down."""
    from fewepochs.stats import halving
    from fewepochs.study import proposals, search

    before = [
        proposals.Scored(
            trial.proposed.values,
            {rung: value for rung, value in trial.scores.items() if value > halving.WORST},
            finished=trial.scores.get(found.rungs[-1], halving.WORST) > halving.WORST,
        )
        for trial in found.stand()
    ]
    values = proposals.propose(
        found.space, count=count, batch=batch, seed=found.file.seed, sampler=found.file.sampler, before=before
    )
    more = found.proposing(values)
    if all(trial.problem is not None for trial in more.trials):  # a search is fixed once it is written down
        first = more.trials[0]
        problem = Problem("space", f"none of {count} trials makes a recipe; the first: {first.problem}")
        raise RecipeError(found.file.name, (problem,))
    search.write(more)
    return more


def page(found: search.Search) -> table_text.Page:
    """Return how a search stands, as a table and sentences."""
    from fewepochs.report import search_report

    return search_report.build(found)


def load(file: Path, *, out: Path) -> search.Search:
    """Return the search in `file` as its folder under `out` knows it. Raises RecipeError, StorageError."""
    from fewepochs.study import search

    return search.load(file, out=out)
