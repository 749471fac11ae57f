"""Plan a study, carry it out, answer its question.

What only some calls need is imported inside of them, so that everything else stays fast.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewepochs import runtime as runtimes
from fewepochs.api import collector
from fewepochs.errors import StudyError
from fewepochs.optim import permission

if TYPE_CHECKING:
    from fewepochs.report import study_console, table_text
    from fewepochs.study import budgets, conduct, on_ray
    from fewepochs.study import plan as plans

Runtime = runtimes.Runtime


@collector.paused()
def plan(file: Path, *, out: Path) -> plans.Plan:
    """Return where the study in `file` stands: cells done, missing, failed, and what the rest will cost.

    Raises RecipeError for a file with other rules than the study was begun with.
    """
    from fewepochs.study import folder, grid
    from fewepochs.study import plan as plans

    planned = plans.make(grid.load(file), out=out)
    if planned.book is not None:
        folder.require_rules(planned.book, planned.study, path=planned.path)
    return planned


def run(
    file: Path,
    *,
    out: Path,
    runtime: Runtime | None = None,
    jobs: int | None = None,
    only: Sequence[int] | None = None,
    retries: int = 2,
    stall_minutes: float = 60.0,
    cluster: on_ray.Cluster | None = None,
    view: study_console.View | None = None,
) -> conduct.Conducted:
    """Train what is missing of the study in `file`, `jobs` cells at a time (None: one a core, or one a GPU).

    `only` are the numbers of some of its cells, from 0; with `cluster` they are trained on Ray. Whatever happens, the
    same call goes on with what is left.
    Raises FewEpochsError's family.
    """
    from fewepochs.report import study_console
    from fewepochs.study import conduct, grid

    runtime, study = runtime or Runtime(), grid.load(file)
    runtimes.check(runtime)
    for arm in study.arms.values():
        permission.require_allowed(arm.optimizer, allow_code=runtime.allow_code)
    how = conduct.How(runtime=runtime, jobs=jobs, retries=retries, stall_minutes=stall_minutes, cluster=cluster)
    return conduct.conduct(study, out=out, how=how, only=only, view=view or study_console.View())


@collector.paused()
def answer(planned: plans.Plan) -> dict[str, Any]:
    """Return the answer of a study by its own rules, as JSON-able data; cells that are not done are censored."""
    from fewepochs.report import study_answer

    return study_answer.build(planned)


def smallest_budget(
    question: budgets.Question,
    *,
    out: Path,
    how: conduct.How,
    view: study_console.View | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[budgets.Search, signal.Signals | None]:
    """Search the smallest budget that answers `question`, training what is not trained yet; `say` hears what is next.

    Returns what was found, and the signal that stopped the search, if one did: the same call then goes on. Raises
    RecipeError for a question without an answer, StudyError where runs could not be trained.
    """
    from fewepochs.report import study_console
    from fewepochs.study import budgets, conduct
    from fewepochs.study import plan as plans

    budgets.check(question)
    runtimes.check(how.runtime)
    permission.require_allowed(question.recipe.optimizer, allow_code=how.runtime.allow_code)
    search, shown = budgets.Search(question, out), view or study_console.View()
    while (budget := search.following()) is not None:
        study = search.study([budget])
        if plans.make(study, out=out).count("done") < len(study.cells):
            say(f"next: a budget of {budget} epochs, {len(question.seeds)} runs")
            done = conduct.conduct(study, out=out, how=how, view=shown)
            if done.signal is not None:
                return search, done.signal
            if failed := done.plan.count("failed"):
                raise StudyError(f"{study.name}: {failed} runs with {budget} epochs failed; see {done.plan.logs}")
        search = search.then(budget)
    return search, None


def smallest_budget_page(search: budgets.Search) -> table_text.Page:
    """Return what a search for the smallest budget has found, as a table and sentences."""
    from fewepochs.report import smallest_budget as report

    return report.build(search)


def smallest_budget_picture(search: budgets.Search, *, to: Path) -> Path:
    """Draw what a search for the smallest budget has found into the file `to`; return its path."""
    from fewepochs.report import smallest_budget as report

    report.write(to, search)
    return to
