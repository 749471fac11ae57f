"""What one run says about one quantity: a number, bounds, or nothing and why.

A run that ended before its budget leaves open what its other epochs would have brought: its best accuracy is at least
what was seen, its crossing comes after its last epoch if at all. Nothing is assumed about where between the bounds it
lies. A run that diverged has had its best; it does not reach a target by the end of its budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.claims import catalogue
from fewepochs.stats import noise, ranges
from fewepochs.stats import target as crossing_rules

NO_EPOCH = "no epoch done"
NO_LOAD = "how busy its device was is not recorded"


def bounds(run: store.StoredRun, quantity: catalogue.Quantity, *, target: float | None = None) -> ranges.Bounds | str:
    """Return what `run` says of `quantity`, or the reason why it says nothing."""
    match quantity:
        case "epochs":
            assert target is not None, "epochs to what"
            return epochs_to(run, target)
        case "best-val-acc":
            return _best_val_acc(run)
        case "best-epoch":
            return _best_epoch(run)
        case "train-acc":
            assert target is not None, "the accuracy at what"
            return _train_acc(run, target)
        case "seconds-per-epoch":
            return _shared(run) or _seconds_per_epoch(run)
        case "watts":
            return watts(run)
        case "load":
            return _shared(run) or load(run)


def epochs_to(run: store.StoredRun, target: float) -> ranges.Bounds:
    """Return after how many epochs `run` first reached `target`, or that it takes more than it had."""
    crossing = crossing_rules.crossing(run.epochs, target)
    if crossing.epoch is not None:
        return ranges.exactly(crossing.epoch)
    done = run.recipe.budget.epochs if run.status.state == "diverged" else len(run.epochs)
    return ranges.Bounds(done + 1, None)


def is_over(run: store.StoredRun) -> bool:
    """Return whether nothing more can come of `run`: its budget is spent, or it diverged."""
    return run.status.state == "diverged" or len(run.epochs) >= run.recipe.budget.epochs


def _best_val_acc(run: store.StoredRun) -> ranges.Bounds | str:
    best = crossing_rules.best(run.epochs)
    if best is None:
        return NO_EPOCH
    return ranges.Bounds(best.val_acc, best.val_acc if is_over(run) else 1.0)


def _best_epoch(run: store.StoredRun) -> ranges.Bounds | str:
    best = crossing_rules.best(run.epochs)
    if best is None:
        return NO_EPOCH
    return ranges.Bounds(best.epoch, best.epoch if is_over(run) else run.recipe.budget.epochs)


def _train_acc(run: store.StoredRun, target: float) -> ranges.Bounds | str:
    crossing = crossing_rules.crossing(run.epochs, target)
    found = [record.acc for record in run.epochs if record.epoch == crossing.epoch]
    if not found:
        return f"{target:g} not reached"
    return "no training accuracy in the file" if found[0] is None else ranges.exactly(found[0])


def _seconds_per_epoch(run: store.StoredRun) -> ranges.Bounds | str:
    spent = [cost.train_seconds + cost.evaluation_seconds for cost in run.costs]
    return ranges.exactly(median(spent)) if spent else "no cost recorded"


def watts(run: store.StoredRun) -> ranges.Bounds | str:
    """Return joules over seconds of training, over the epochs that have both."""
    known = [(cost.joules, cost.train_seconds) for cost in run.costs if cost.joules is not None]
    joules, seconds = sum(joules for joules, _ in known), sum(seconds for _, seconds in known)
    if seconds > 0:
        return ranges.exactly(joules / seconds)
    reasons = [cost.joules_reason for cost in run.costs if cost.joules_reason is not None]
    return reasons[0] if reasons else "no joules recorded"


def load(run: store.StoredRun) -> ranges.Bounds | str:
    """Return how busy the device was during training, over the epochs in which that is known: a fraction of 1."""
    known = [(cost.load, cost.train_seconds) for cost in run.costs if cost.load is not None]
    seconds = sum(seconds for _, seconds in known)
    if seconds > 0:
        return ranges.exactly(sum(load * of for load, of in known) / seconds)
    reasons = [cost.load_reason for cost in run.costs if cost.load_reason is not None]
    return reasons[0] if reasons else NO_LOAD


def _shared(run: store.StoredRun) -> str | None:
    """Return that other runs were trained beside this one, if they were: a claim is of a run alone."""
    count = runtimes.together(run.environment)
    return f"{count} runs at a time shared the device" if count > 1 else None


def settled_noise(run: store.StoredRun) -> float | str:
    """Return the noise of val_loss over the second half of the first rate's epochs, or why it is not known.

    It dies away with the epochs: of a run that has not had all of them the second half would be an earlier one.
    """
    epochs = run.own_epochs
    if len(noise.first_phase(epochs)) == len(epochs) < run.recipe.budget.epochs:
        return "not through with the first rate"
    found = noise.settled(epochs)
    return "too few epochs at the first rate" if found is None else found


def device(run: store.StoredRun) -> str:
    """Return the name of the device that `run` was trained on, as its environment has it."""
    gpu = run.environment.get("gpu")
    if isinstance(gpu, dict):
        return str(gpu.get("name") or "a GPU without a name")
    return str(run.environment.get("cpu") or "an unknown device")


def pinned(runs: Sequence[store.StoredRun], target: float) -> int:
    """Return how many of `runs` reached `target` within two epochs after a drop of the learning rate."""
    return sum(crossing_rules.crossing(run.epochs, target).pinned is True for run in runs)
