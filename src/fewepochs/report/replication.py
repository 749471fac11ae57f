"""A judged claim as data and in words: what was claimed, which runs were used, what they say, and by which rule.

The rules are in `claims.rules` and in docs/claims.md; here they are only told. Every verdict has its n, its interval,
the probability with which the interval holds, and its reason.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.claims import catalogue, judge, matching, rules
from fewepochs.report import labels, summary

SEEDS = 5
"""So many seeds are proposed: the fewest that a verdict takes."""

QUANTITIES: Mapping[catalogue.Quantity, str] = {
    "epochs": "epochs to",
    "best-val-acc": "best val_acc",
    "best-epoch": "epoch of the best val_acc",
    "train-acc": "training accuracy at",
    "seconds-per-epoch": "seconds an epoch",
    "watts": "watts",
    "load": "load of the GPU",
}
RELATIONS: Mapping[catalogue.Relation, str] = {
    "equals": "",
    "at-most": "at most ",
    "more-than": "more than ",
    "at-least": "at least ",
}


def listing() -> list[dict[str, Any]]:
    """Return every claim with what it would take to test it, as JSON-able data."""
    return [_head(claim) for claim in catalogue.claims()]


def build(claim: catalogue.Claim, runs: Sequence[store.StoredRun]) -> dict[str, Any]:
    """Return what `runs` say about `claim` as JSON-able data."""
    judged = judge.judge(claim, runs)
    names = {id(run.stored): run.label for run in labels.label(runs)}
    return {
        **_head(claim),
        "experiments": [_experiment(one, found, names) for one, found in judged.matched.items()],
        "items": [_item(claim, one, names) for one in judged.items],
        "caveats": list(_caveats(judged)),
    }


def _head(claim: catalogue.Claim) -> dict[str, Any]:
    experiments = catalogue.experiments(claim)
    return {
        "claim": claim.id,
        "source": claim.source,
        "text": claim.text,
        "mark": claim.mark,
        "known": catalogue.MARKS[claim.mark],
        "reading": claim.reading,
        "hardware": claim.hardware,
        "recipes": list(dict.fromkeys(one.recipe for one in experiments)),
        "runs_needed": SEEDS * len(experiments),
        "petaflop_needed": sum(map(_petaflop, experiments)) if experiments else None,
        "untestable": None if experiments else _untestable(claim),
    }


def _untestable(claim: catalogue.Claim) -> str:
    return "; ".join(dict.fromkeys(item.reason for item in claim.items if isinstance(item, catalogue.Untestable)))


def _petaflop(one: catalogue.Experiment) -> float:
    """Return the training FLOPs of the seeds that a verdict takes, in 10^15."""
    return SEEDS * one.load().budget.epochs * one.teraflop_per_epoch / 1000


# --- experiments ----------------------------------------------------------------------------------------------------


def command(one: catalogue.Experiment, *, seeds: str = f"0..{SEEDS - 1}") -> str:
    """Return the command line that makes the runs of an experiment."""
    words = ["fewepochs", "train", one.recipe, *(word for text in one.overrides for word in ("--set", text))]
    return shlex.join([*words, "--seeds", seeds])


def _experiment(one: catalogue.Experiment, found: matching.Matched, names: Mapping[int, str]) -> dict[str, Any]:
    recipe = one.load()
    return {
        "recipe": one.recipe,
        "overrides": list(one.overrides),
        "digest": recipes.digest(labels.unseeded(recipe)),
        "budget": recipe.budget.epochs,
        "used": [{"run": names[id(run)], "seed": run.recipe.seed, "standing": _standing(run)} for run in found.runs],
        "copies": [names[id(run)] for run in found.copies],
        "near": [{"run": names[id(near.run)], "differs": list(near.differences)} for near in found.near],
        "others": found.others,
        "foreign": found.foreign,
        "runs_wanted": SEEDS,
        "command": command(one),
        "petaflop": _petaflop(one),
    }


def _standing(run: store.StoredRun) -> str:
    done, budget = len(run.epochs), run.recipe.budget.epochs
    return run.state if done >= budget else f"{run.state} after {done} of {budget} epochs"


# --- items ----------------------------------------------------------------------------------------------------------


def _item(claim: catalogue.Claim, one: judge.Judged, names: Mapping[int, str]) -> dict[str, Any]:
    found = one.finding
    return {
        "item": title(one.item),
        "claimed": claimed(one.item),
        "verdict": found.verdict,
        "reason": reason(claim, one),
        "rule": found.why,
        "n": found.n,
        **found.model_dump(
            mode="json", include={"value", "low", "high", "coverage", "claimed_low", "claimed_high", "p"}
        ),
        "pinned": one.pinned,
        "ours": _ours(one),
        "runs": [names[id(run)] for run in one.used],
    }


def title(item: catalogue.Item) -> str:
    """Return what an item is about."""
    match item:
        case catalogue.Typical():
            told = QUANTITIES[item.quantity] + (f" {item.target:g}" if item.target is not None else "")
        case catalogue.Share():
            told = f"runs that reach {item.target:g} within {item.within} epochs"
        case catalogue.Spread():
            told = f"range of the epochs to {item.target:g}"
        case catalogue.Trend():
            told = "settled noise of val_loss"
        case catalogue.Untestable():
            told = item.says
        case unknown:
            assert_never(unknown)
    return f"{item.label}: {told}" if item.label is not None else told


def claimed(item: catalogue.Item) -> str:
    """Return the published number of an item, as text."""
    match item:
        case catalogue.Typical():
            return RELATIONS[item.relation] + number(item.value, item.quantity)
        case catalogue.Share():
            counted = f"{item.reached} of {item.runs}"
            return counted if item.share is None else f"{item.share:.0%}"
        case catalogue.Spread():
            return f"{item.low:g} to {item.high:g}"
        case catalogue.Trend():
            return "grows with the batch size"
        case catalogue.Untestable():
            return "-"


def number(value: float, quantity: catalogue.Quantity) -> str:
    """Return a value as its quantity is written: 84, 0.9298, 27.0, 71%.

    >>> number(84.0, "epochs"), number(82.5, "epochs"), number(0.925, "best-val-acc"), number(0.71, "load")
    ('84', '82.5', '0.9250', '71%')
    """
    match quantity:
        case "best-val-acc" | "train-acc":
            return f"{value:.4f}"
        case "epochs" | "best-epoch":
            return f"{value:g}"
        case "seconds-per-epoch" | "watts":
            return f"{value:.1f}"
        case "load":
            return f"{value:.0%}"


def _shown(value: float, item: catalogue.Item) -> str:
    match item:
        case catalogue.Typical(quantity=quantity):
            return number(value, quantity)
        case catalogue.Share():
            return f"{value:.0%}"
        case _:
            return f"{value:.3g}"


def _ours(one: judge.Judged) -> str:
    """Return our number with its interval, as text; "-" where there is none."""
    found, item = one.finding, one.item
    if found.p is not None:
        return f"p = {found.p:.2g}"
    if found.low is None:
        return "-" if found.value is None else _shown(found.value, item)
    value = "?" if found.value is None else _shown(found.value, item)
    if found.high is None:
        return f"{value} ({_shown(found.low, item)} or more)"
    return f"{value} ({_shown(found.low, item)} to {_shown(found.high, item)})"


def reason(claim: catalogue.Claim, one: judge.Judged) -> str:
    """Return why the verdict is what it is, a sentence without its full stop."""
    found = one.finding
    match found.why:
        case "untestable" | "not-measured":
            return found.reason or "not known"
        case "no-runs":
            return found.reason or "no run of this recipe"
        case "few-runs":
            return f"{_runs(found.n)}, {rules.FEWEST} are the fewest for a verdict"
        case "other-machine":
            return f"it speaks of {claim.hardware}; measured on {found.reason}"
        case "growing" | "falling" | "no-trend":
            return _trend_reason(found)
        case "beyond":
            chance = f"one further run in {(found.n + 1) / 2:.3g} would fall outside, too"
            return f"outside the range of {_runs(found.n)}, but {chance}; {rules.MANY} runs would tell"
        case "inside" | "outside":
            return _region_reason(one)
        case "overlap":
            short = f"; {_runs(one.short)} short of the budget, taken at the worst" if one.short else ""
            return _region_reason(one) + short
        case unknown:
            assert_never(unknown)


def _trend_reason(found: rules.Finding) -> str:
    told = {"growing": "it grows", "falling": "it falls", "no-trend": "neither growth nor fall stands out"}
    return f"{told[found.why]}: Jonckheere-Terpstra over {_runs(found.n)}, p = {found.p:.2g}"


def _region_reason(one: judge.Judged) -> str:
    found, item = one.finding, one.item
    if found.reason is not None:
        return found.reason
    holds = "" if found.coverage is None else f" ({found.coverage:.0%})"
    relation = {"inside": "lies within", "outside": "lies outside", "overlap": "overlaps"}[found.why]
    match item:
        case catalogue.Typical(variation=None):
            within = {"inside": "within", "outside": "not within", "overlap": "not surely within"}[found.why]
            return f"{claimed(item)} is {within} the range of {_runs(found.n)}, which holds one further run{holds}"
        case catalogue.Typical():
            return f"the interval of the median{holds} of {_runs(found.n)} {relation} {_region(one)}"
        case catalogue.Share(share=float(share)):
            lies = {"inside": "lies above", "outside": "does not reach", "overlap": "leaves open"}[found.why]
            what = {"inside": f"one half and reaches {share:.0%}, the claim", "outside": f"{share:.0%}, the claim"}
            told = what.get(found.why, f"whether most runs arrive, or fewer than {share:.0%}, the claim")
            return f"the interval of the share{holds} of {_runs(found.n)} {lies} {told}"
        case catalogue.Share():
            return f"the interval of the share{holds} of {_runs(found.n)} {relation} {_region(one)}"
        case _:
            return f"the mean range over five of {_runs(found.n)} {relation} {_region(one)}"


def _region(one: judge.Judged) -> str:
    """Return the numbers that the claim leaves possible, as text."""
    found, item = one.finding, one.item
    match found.claimed_low, found.claimed_high:
        case None, float(high):
            told = f"what is claimed: at most {_shown(high, item)}"
        case float(low), None:
            told = f"what is claimed, a run's variation allowed for: {RELATIONS[_relation(item)]}{_shown(low, item)}"
        case float(low), float(high):
            told = f"{_shown(low, item)} to {_shown(high, item)}"
            told += (
                ", the claim give or take a run's variation" if isinstance(item, catalogue.Typical) else ", the claim"
            )
        case _:
            told = "the claim"
    return told


def _relation(item: catalogue.Item) -> catalogue.Relation:
    return item.relation if isinstance(item, catalogue.Typical) else "equals"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


# --- caveats --------------------------------------------------------------------------------------------------------


def _caveats(judged: judge.Judgement) -> Iterable[str]:
    claim = judged.claim
    if claim.reading is not None:
        yield f"The recipe is our reading of the source: {claim.reading}. A miss may be the reading's."
    pinned = dict.fromkeys(
        f"{one.pinned} of {one.finding.n} to {one.item.target:g}"
        for one in judged.items
        if one.pinned and isinstance(one.item, catalogue.Typical | catalogue.Spread) and one.item.target is not None
    )
    if pinned:
        yield (
            f"Pinned crossings ({'; '.join(pinned)}): within two epochs after a drop of the learning rate. They bear "
            "out where the schedule drops it, and little else."
        )
    recipe = next((one.load() for one in judged.matched), None)
    if recipe is not None:
        yield f"Runs of the claim are {summary.validation(recipe.data)}."
