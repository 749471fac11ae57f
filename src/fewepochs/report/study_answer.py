"""The answer of a study, by the rules that were fixed before it began: a comparison of its cells, and its caveats."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from fewepochs.errors import StorageError
from fewepochs.report import comparison
from fewepochs.study import folder, plan


def build(planned: plan.Plan) -> dict[str, Any]:
    """Return the comparison of what is stored of the cells, with the study's question, counts and own caveats.

    Looks are those planned, or more where seeds came or went after results. Raises StorageError before a first epoch.
    """
    rules, runs = planned.study.rules, planned.runs()
    if not any(run.epochs for run in runs):
        raise StorageError(f"{planned.path}: no cell of {planned.study.name} has an epoch yet; `fewepochs study run`")
    course = planned.course()
    looks = rules.looks if course is None else course.looks()
    found = comparison.build(
        runs, targets=rules.targets or (), rule=rules.rule, by=rules.by, horizon=rules.horizon, looks=looks
    )
    told = list(_caveats(planned, course))
    found["caveats"] = [*told, *found["caveats"]]
    return {
        "study": planned.study.name,
        "question": planned.study.question,
        "rules": rules.model_dump(mode="json"),
        "cells": {state: planned.count(state) for state in plan.STATES},
        "course": told,
        **found,
    }


def _caveats(planned: plan.Plan, course: folder.Book | None) -> Iterable[str]:
    """Yield what takes from a study's answer: cells that are missing, a grid that changed after results."""
    missing = len(planned.standings) - planned.count("done")
    if missing:
        failed = planned.count("failed")
        aside = f", {failed} of them failed" if failed else ""
        yield f"{missing} of {len(planned.standings)} cells are not done{aside}: this is a look, not the answer."
    for before, after in itertools.pairwise(() if course is None else course.history):
        if not after.done:
            continue
        changes: dict[str, Sequence[object]] = {
            "seeds added": [seed for seed in after.seeds if seed not in before.seeds],
            "seeds taken out": [seed for seed in before.seeds if seed not in after.seeds],
            "arms added or changed": [arm for arm in after.arms if after.arms[arm] != before.arms.get(arm)],
            "arms taken out": [arm for arm in before.arms if arm not in after.arms],
        }
        for what, names in changes.items():
            if names:
                yield f"After {after.done} cells were done: {what}: {', '.join(map(str, names))}."
