"""What a report says, as plain data: runs in, one JSON-able table of answers out.

A run that did not reach a target stays in every answer as a censored observation ("not reached within 20 epochs");
a cost that was not measured is None with a reason. Epochs are counted from 1, accuracies are fractions, seconds and
joules are sums over epochs. Every number on the page is one of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any, assert_never

from fewepochs import store
from fewepochs.claims import evidence
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import CostRecord, Crossing
from fewepochs.report import imported, labels
from fewepochs.specs import inputs
from fewepochs.stats import ranges
from fewepochs.stats import target as crossing_rules

FEW_RUNS = 6
"""Below this many runs of a recipe not even lowest to highest is a 95 percent interval for the median: 1 - 2^(1-n)."""

TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000}
"""The sizes of the test sets that are the same wherever the data set is found."""


def build(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> dict[str, Any]:
    """Return answers, crossings, costs and caveats of `runs` as JSON-able data.

    Without `targets` the targets of all the runs' recipes are asked, in rising order. Two runs of one recipe and seed
    are one observation of its answers: the longer counts.
    """
    asked = resolve_targets(runs, targets=targets)
    labelled = labels.label(runs)
    groups = labels.group(labelled)
    entries = {run.label: _run(run, recipe=group.label, targets=asked) for group in groups for run in group.runs}
    in_order = [entries[run.label] for run in labelled]
    counted, copies = labels.without_copies(groups)
    return {
        "targets": list(asked),
        "recipes": [_recipe(group, [entries[run.label] for run in group.runs], targets=asked) for group in counted],
        "runs": in_order,
        "caveats": [*_caveats(counted, in_order), *copies, *endings(in_order)],
    }


def resolve_targets(runs: Sequence[store.StoredRun], *, targets: Sequence[float] = ()) -> tuple[float, ...]:
    """Return `targets`, or where there are none those of the runs' recipes; sorted, each once."""
    return tuple(sorted(set(targets) or {target for run in runs for target in run.recipe.targets}))


# --- recipes and their answers ------------------------------------------------------------------------------------


def _recipe(group: labels.Group, runs: Sequence[dict[str, Any]], *, targets: Sequence[float]) -> dict[str, Any]:
    recipe = group.runs[0].stored.recipe
    return {
        "label": group.label,
        "name": recipe.name,
        "summary": recipe.summary,
        "foreign": imported.is_foreign(group.runs[0].stored),
        "digest_without_seeds": group.digest,
        "n": len(runs),
        "runs": [run["run"] for run in runs],
        "validation": validated(recipe),
        "answers": [_answer(group.label, target, runs) for target in targets] or [_best_answer(group.label, runs)],
    }


def _answer(label: str, target: float, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    firsts = [(run, crossing["first"]) for run in runs for crossing in run["crossings"] if crossing["target"] == target]
    reached = sorted(first["epoch"] for _, first in firsts if first["reached"])
    censored = [run for run, first in firsts if not first["reached"]]
    told = [first["pinned"] for _, first in firsts if first["reached"]]
    pinned = None if told and set(told) == {None} else sum(one is True for one in told)
    clauses = _censored_clauses(censored, n=len(runs))
    if reached:
        clauses.insert(0, f"after {_count(reached, 'epoch')} ({_of(len(reached), len(runs))})")
        if pinned:
            clauses.append(f"{pinned} of these {'crossings is' if pinned == 1 else 'crossings are'} pinned")
    if reached:
        subject = f"{label} reaches {target:g}"
    else:
        subject = (
            f"{label}: {target:g}" if clauses[0].startswith("not reached") else f"{label}: {target:g} not reached:"
        )
    return {
        "target": target,
        "sentence": f"{subject} {'; '.join(clauses)}",
        "n": len(runs),
        "epochs": reached,
        "censored_at": sorted(run["epochs"] for run in censored),
        "pinned": pinned,
    }


def _best_answer(label: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = [run["best"]["val_acc"] for run in runs if run["best"] is not None]
    best = f"best validation accuracy {max(found):.4f}" if found else "no epoch done"
    return {"target": None, "sentence": f"{label}: no target was asked; {best} ({_of(len(found), len(runs))})"}


def _censored_clauses(runs: Sequence[dict[str, Any]], *, n: int) -> list[str]:
    """Return what became of the runs that have not reached a target: ended, ended at once, or still running."""
    clauses = []
    ended = [run for run in runs if run["epochs"] and run["state"] != "running"]
    if ended:
        early = Counter(run["state"] for run in ended if run["state"] != "finished")
        aside = f" ({', '.join(f'{count} {state}' for state, count in sorted(early.items()))})" if early else ""
        within = _count(sorted({run["epochs"] for run in ended}), "epoch")
        clauses.append(f"not reached in {_of(len(ended), n)} within {within}{aside}")
    running = [run for run in runs if run["state"] == "running"]
    if running:
        done = _count(sorted({run["epochs"] for run in running}), "epoch")
        clauses.append(f"not reached so far in {_of(len(running), n)}, still running after {done}")
    without = [run for run in runs if not run["epochs"] and run["state"] != "running"]
    if without:
        clauses.append(f"{_of(len(without), n)} ended before the first epoch was done")
    return clauses


def validation(data: inputs.DataSpec) -> str:
    """Return in words what images the validation accuracy was taken on."""
    match data.validation:
        case inputs.TestImages():
            images = TEST_IMAGES.get(data.kind)
            which = f"the {images:,} test images" if images else "the data set's test images"
            return f"validated on {which}, as published" if data.kind == "cifar10" else f"validated on {which}"
        case inputs.HeldOut(images=images, split_seed=seed):
            return f"validated on {images:,} held-out training images (split seed {seed})"
        case unknown:
            assert_never(unknown)


def validated(origin: foreign_runs.Origin) -> str:
    """Return in words what images a run's validation accuracy was taken on; of a foreign run, what is said."""
    recipe = foreign_runs.described(origin)
    if recipe is not None:
        return validation(recipe.data)
    said = origin.validation if isinstance(origin, foreign_runs.Foreign) else None
    return "not said on which images it is validated" if said is None else f"validated on {said} images, as is said"


def _of(some: int, n: int) -> str:
    return f"{some} of {n} {'run' if n == 1 else 'runs'}"


def _count(numbers: Sequence[int], unit: str) -> str:
    """Return "12 epochs", "12, 14 epochs", or the range where a list would be long."""
    if len(numbers) > 10:
        return f"{numbers[0]} to {numbers[-1]} {unit}s"
    return f"{', '.join(map(str, numbers))} {unit}{'' if list(numbers) == [1] else 's'}"


# --- runs ---------------------------------------------------------------------------------------------------------


def _run(run: labels.Run, *, recipe: str, targets: Sequence[float]) -> dict[str, Any]:
    stored = run.stored
    return {
        "run": run.label,
        "recipe": recipe,
        "seed": stored.recipe.seed,
        "foreign": imported.is_foreign(stored),
        "source": imported.source(stored),
        "digest": stored.digest,
        "state": stored.state,
        "reason": stored.status.reason,
        "epochs": len(stored.epochs),
        "budget": stored.recipe.budget.epochs,
        "hold": stored.recipe.hold,
        "best": _best(stored),
        "crossings": [_crossings(stored, target) for target in targets],
        "costs": _costs(stored),
    }


def _best(run: store.StoredRun) -> dict[str, Any] | None:
    """Return the best validation accuracy, and the test accuracy of the epoch that had it where one is known."""
    best = crossing_rules.best(run.epochs)
    if best is None:
        return None
    test_acc = next(record.test_acc for record in run.epochs if record.epoch == best.epoch)
    gap = None if test_acc is None else best.val_acc - test_acc
    return {"val_acc": best.val_acc, "epoch": best.epoch, "test_acc": test_acc, "selection_gap": gap}


def _crossings(run: store.StoredRun, target: float) -> dict[str, Any]:
    first, held = crossing_rules.crossings(run.epochs, (target,), hold=run.recipe.hold, costs=run.costs)
    return {"target": target, "first": _crossing(first, run), "held": _crossing(held, run)}


def _crossing(crossing: Crossing, run: store.StoredRun) -> dict[str, Any]:
    reason = None
    if crossing.epoch is not None and crossing.joules is None:
        epoch = crossing.epoch
        done = sum(record.epoch <= epoch for record in run.epochs)
        spent = [cost for cost in run.costs if cost.epoch <= epoch]
        reason = imported.COST if imported.is_foreign(run) else _why_no_joules(spent, epochs=done)
    return {**crossing.model_dump(mode="json", exclude={"target", "rule", "hold"}), "joules_reason": reason}


def _costs(run: store.StoredRun) -> dict[str, Any]:
    """Return the sums over the epochs whose cost was recorded; None, not zero, where none was."""
    costs = run.costs
    seconds = sum(cost.train_seconds for cost in costs)
    images = sum(cost.images_per_second * cost.train_seconds for cost in costs)
    peaks = [cost.peak_memory_bytes for cost in costs if cost.peak_memory_bytes is not None]
    foreign = imported.is_foreign(run)
    reason = imported.COST if foreign else _why_no_joules(costs, epochs=len(run.epochs))
    sources = sorted({cost.joules_source for cost in costs if cost.joules_source is not None})
    compiled = [cost.compile_seconds for cost in costs if cost.compile_seconds is not None]
    told = {"load": evidence.load(run), "watts": evidence.watts(run)}
    return {
        "epochs": len(costs),
        "setup_seconds": sum(cost.setup_seconds for cost in costs) if costs else None,
        "compile_seconds": sum(compiled) if compiled else None,
        "starts": _starts(run) if costs else None,
        "train_seconds": seconds if costs else None,
        "evaluation_seconds": sum(cost.evaluation_seconds for cost in costs) if costs else None,
        "median_epoch_seconds": median(cost.train_seconds for cost in costs) if costs else None,
        "images_per_second": images / seconds if seconds else None,
        "peak_memory_bytes": max(peaks, default=None),
        "joules": None if reason else sum(cost.joules or 0 for cost in costs),
        "joules_source": ", ".join(sources) or None,
        "joules_reason": reason,
        **{name: one.low if isinstance(one, ranges.Bounds) else None for name, one in told.items()},
        "load_source": ", ".join(sorted({cost.load_source for cost in costs if cost.load_source is not None})) or None,
        "load_reason": imported.COST if foreign else told["load"] if isinstance(told["load"], str) else None,
    }


def _starts(run: store.StoredRun) -> int:
    """Return how often a process began to train the run: once, and each time that it was gone on with."""
    resumed = run.environment.get("resumed")
    return 1 + (len(resumed) if isinstance(resumed, list) else 0)


def _why_no_joules(costs: Sequence[CostRecord], *, epochs: int) -> str | None:
    """Return why there is no sum of joules over `costs`, the costs of so many `epochs`; None where there is one."""
    if not epochs:
        return "no epoch done"
    if len(costs) < epochs:
        return f"the cost of {epochs - len(costs)} of {epochs} epochs was not recorded"
    unknown = [cost.joules_reason or "no reason recorded" for cost in costs if cost.joules is None]
    if not unknown:
        return None
    reasons = ", ".join(dict.fromkeys(unknown))
    return reasons if len(unknown) == epochs else f"{reasons} (in {len(unknown)} of {epochs} epochs)"


# --- caveats ------------------------------------------------------------------------------------------------------


def endings(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return what became of `runs` that have not reached a target, or are not finished."""
    told = []
    if any(not crossing["first"]["reached"] for run in runs for crossing in run["crossings"]):
        told.append(
            "A run that ended before a target is censored: it would have needed more epochs than it had. It counts "
            "in every answer, as \u201cnot reached within so many epochs\u201d."
        )
    return [*told, *(f"{run['run']} {_outcome(run)}." for run in runs if run["state"] != "finished")]


def _caveats(groups: Sequence[labels.Group], runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a careful reader would object, in plain words."""
    crossings = [crossing for run in runs for crossing in run["crossings"]]
    caveats = []
    few = [group for group in groups if len(group.runs) < FEW_RUNS]
    if few:
        proof = "a single run proves little" if all(len(g.runs) == 1 for g in few) else "so few runs prove little"
        caveats.append(f"{_sizes(few)}: {proof}; published transition epochs vary by 10 to 15 between runs.")
    if any(crossing[rule]["pinned"] for crossing in crossings for rule in ("first", "held")):
        caveats.append(
            "A crossing marked as pinned came within two epochs after a drop of the learning rate: it tells where the "
            "schedule drops the rate, not how fast the optimizer is."
        )
    if any(imported.on_test_images(group.runs[0].stored.recipe) for group in groups):
        caveats.append(
            "Where the validation images are the test images, a recipe chosen by these numbers has been chosen on the "
            "test set."
        )
    caveats.extend(imported.caveats(groups))
    return caveats


def _sizes(groups: Sequence[labels.Group]) -> str:
    sizes = {len(group.runs) for group in groups}
    if len(sizes) == 1 and len(groups) > 1:
        return f"n = {sizes.pop()} for each of {len(groups)} recipes"
    return ", ".join(f"n = {len(group.runs)} for {group.label}" for group in groups)


def _outcome(run: dict[str, Any]) -> str:
    done = f"{run['epochs']} of {run['budget']} epochs"
    reason = f" ({run['reason']})" if run["reason"] else ""
    state: str = run["state"]
    return f"is still running, {done} done{reason}" if state == "running" else f"{state} after {done}{reason}"
