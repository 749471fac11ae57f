"""A study's plan as JSON-able data: every cell with its state, every arm with its cost."""

from __future__ import annotations

from typing import Any

from fewepochs.study import plan


def build(planned: plan.Plan) -> dict[str, Any]:
    """Return where a study stands; seconds that were not measured are None."""
    study = planned.study
    return {
        "study": study.name,
        "question": study.question,
        "path": str(planned.path),
        "rules": study.rules.model_dump(mode="json"),
        "states": {state: planned.count(state) for state in plan.STATES},
        "seconds_left": planned.seconds_left(),
        "arms": [_arm(planned, arm) for arm in study.arms],
        "cells": [_cell(number, one) for number, one in enumerate(planned.standings)],
        "strays": list(planned.strays),
        "begun_with": None if planned.book is None else planned.book.model_dump(mode="json"),
    }


def _arm(planned: plan.Plan, arm: str) -> dict[str, Any]:
    own, cost = planned.of_arm(arm), planned.cost(arm)
    return {
        "arm": arm,
        "done": sum(one.state == "done" for one in own),
        "cells": len(own),
        "epochs_left": sum(one.epochs_left for one in own),
        "seconds_per_epoch": None if cost is None else cost.seconds_per_epoch,
        "measured_on": None if cost is None else cost.of,
    }


def _cell(number: int, one: plan.Standing) -> dict[str, Any]:
    return {
        "number": number,
        "run": one.cell.run_name,
        "arm": one.cell.arm,
        "seed": one.cell.seed,
        "state": one.state,
        "epochs": one.epochs,
        "budget": one.cell.recipe.budget.epochs,
        "seconds": one.seconds,
        "failure": None if one.why is None else one.why.model_dump(mode="json"),
    }
