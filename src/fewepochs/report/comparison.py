"""Which recipe needs less, in words: run folders in, the statistics of `stats.compare` and sentences about them out.

Every sentence has its n, every ratio its interval and the budget it belongs to, every p the number of tests it was
corrected for. What a careful reader would object is a caveat: few runs, pinned crossings, runs that ended early,
recipes that are not validated on the same images or were not allowed the same number of epochs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fewepochs import runtime as runtimes
from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import imported, labels, summary
from fewepochs.stats import arms, compare, estimates, significance

SIGNIFICANT = 0.05
UNITS = {"epochs": "epochs", "seconds": "seconds of training", "joules": "joules"}
MACHINE = ("cpu", "gpu", "device", "threads", "kernels")
"""What in a run's environment decides its seconds and joules, beside how many were trained at a time."""


def build(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: arms.Rule = "first",
    by: arms.By = "epochs",
    horizon: float | None = None,
    looks: int = 1,
    width: float | None = None,
) -> dict[str, Any]:
    """Return what `runs` say about `targets` (the recipes' where there are none) as JSON-able data.

    Arguments as for `stats.compare.compare`. Two runs of one recipe and seed are one observation: the longer counts.
    "held" asks for as many evaluations as the most demanding of the recipes does.
    """
    asked = summary.resolve_targets(runs, targets=targets)
    groups, copies = labels.without_copies(labels.group(labels.label(runs)))
    found = compare.compare(
        [arm(group) for group in groups],
        targets=asked,
        rule=rule,
        hold=max((run.stored.recipe.hold for group in groups for run in group.runs), default=1),
        by=by,
        horizon=horizon,
        looks=looks,
        width=width,
    )
    budgets = {accuracy.arm: accuracy.budgets for accuracy in found.accuracies}
    return {
        "targets": list(asked),
        "width": width,
        **found.model_dump(mode="json"),
        "sentences": [_sentence(pair, found, budgets=budgets) for pair in found.pairs],
        "caveats": [*_caveats(groups, found), *copies],
        "absent": [*_no_joules(groups), *_shared(groups)],
    }


def arm(group: labels.Group) -> arms.Arm:
    """Return a group's runs as the statistics take them."""
    return arms.Arm(group.label, tuple(_run(run) for run in group.runs))


def _run(run: labels.Run) -> arms.Run:
    stored = run.stored
    return arms.Run(
        name=run.label,
        seeds=foreign_runs.seeds(stored.recipe),
        epochs=stored.epochs,
        costs=stored.costs,
        budget=stored.recipe.budget.epochs,
        state=stored.state,
        given_up=stored.status.stopped in ("given-up", "paused"),
    )


# --- sentences ------------------------------------------------------------------------------------------------------


def _sentence(pair: compare.Pair, found: compare.Comparison, *, budgets: dict[str, tuple[int, ...]]) -> str:
    """Return the pair's answer: ratio with interval, budgets, n, and the tests."""
    size = f"n = {pair.n[0]} and {pair.n[1]}" + (", paired" if pair.paired else "")
    allowed = sorted({*budgets[pair.first], *budgets[pair.second]})
    within = f"budget{'' if len(allowed) == 1 else 's'} {' and '.join(map(str, allowed))}"
    return f"{_ratio(pair, found)} ({size}; {within}); {_tests(pair, found)}."


def _ratio(pair: compare.Pair, found: compare.Comparison) -> str:
    unit, target = UNITS[found.by], f"{pair.target:g}" + (" held" if found.rule == "held" else "")
    median, mean = pair.median_ratio, pair.restricted_mean_ratio
    if median.value is not None:
        needed = f"{pair.first} needs {_times(median, unit)} of {pair.second} to {target}, by medians"
        return needed if mean.value is None else f"{needed}; {ratio(mean)} by means to {_number(pair.horizon)}"
    if median.below is not None:
        why = f"{pair.second} has no median"
        return f"{pair.first} needs less than {median.below:.2f} of the {unit} of {pair.second} to {target}: {why}"
    if median.above is not None:
        why = f"{pair.first} has no median"
        return f"{pair.first} needs more than {median.above:.2f} times the {unit} of {pair.second} to {target}: {why}"
    if mean.value is not None:
        times = f"{_times(mean, unit)} of {pair.second}"
        return f"{pair.first} needs {times} to {target}, by means to {_number(pair.horizon)}"
    return f"{pair.first} against {pair.second}, {target}: no ratio, {median.reason}"


def _times(estimate: estimates.Estimate, unit: str) -> str:
    assert estimate.value is not None, "asked for"
    return f"{ratio(estimate)} {'of' if estimate.value < 1 else 'times'} the {unit}"


def ratio(estimate: estimates.Estimate) -> str:
    """Return a ratio with its interval: "0.71 (0.60 to 0.83)"."""
    return with_interval(estimate, lambda value: f"{value:.2f}")


def with_interval(estimate: estimates.Estimate, number: Callable[[float], str]) -> str:
    """Return an estimate as text: "9 (8 to 11)", "9 (at least 8)", "9 (no interval)", "more than 20", "-"."""
    if estimate.value is None:
        if estimate.above is not None:
            return f"more than {number(estimate.above)}"
        return "-" if estimate.below is None else f"less than {number(estimate.below)}"
    match estimate.low, estimate.high:
        case None, None:
            aside = "no interval"
        case low, None:
            assert low is not None, "the case before"
            aside = f"at least {number(low)}"
        case None, high:
            assert high is not None, "the first case"
            aside = f"at most {number(high)}"
        case low, high:
            aside = f"{number(low)} to {number(high)}"
    return f"{number(estimate.value)} ({aside})"


def _tests(pair: compare.Pair, found: compare.Comparison) -> str:
    test = pair.logrank
    if test.p is None or pair.p_corrected is None:
        return f"no test: {test.reason}"
    parts = [f"log-rank p = {p_value(test.p)}"]
    if found.tests * found.looks > 1:
        parts.append(f"{p_value(pair.p_corrected)} after correction for {_corrected_for(found)}")
    within = pair.paired_test
    if within.p is not None:
        parts.append(f"within {within.pairs} pairs p = {p_value(within.p)}{_least(within)}")
    return ", ".join(parts) + _meaning(pair)


def _least(test: significance.Test) -> str:
    """Return that no p could have been smaller, where that says anything."""
    if test.p != test.smallest_p or test.p == 1:
        return ""
    what = "these pairs can give, ties included" if test.method == "exact" else "so many rearrangements can give"
    return f", the least that {what}"


def _meaning(pair: compare.Pair) -> str:
    """Return what to say after a p: that it is no proof, or that it speaks for the arm with the higher median."""
    if pair.p_corrected is None or pair.p_corrected >= SIGNIFICANT:
        return ": this could be chance"
    sooner, median = (pair.logrank.excess or 0) > 0, pair.median_ratio
    lower = next((end for end in (median.value, median.below) if end is not None), math.inf) < 1
    higher = next((end for end in (median.value, median.above) if end is not None), 0.0) > 1
    if (lower and not sooner) or (higher and sooner):
        return f": by all of their runs {pair.first if sooner else pair.second} needs less, whatever the medians say"
    return ""


def _corrected_for(found: compare.Comparison) -> str:
    tests = f"{found.tests} tests" if found.tests > 1 else ""
    looks = f"{found.looks} looks" if found.looks > 1 else ""
    return " and ".join(filter(None, (tests, looks)))


def p_value(p: float) -> str:
    """Return a p with two digits.

    >>> p_value(0.047619), p_value(0.00002), p_value(1.0)
    ('0.048', '0.00002', '1')
    """
    text = f"{p:.2g}"
    return f"{p:.6f}".rstrip("0") if "e" in text else text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


# --- caveats ----------------------------------------------------------------------------------------------------------


def _caveats(groups: Sequence[labels.Group], found: compare.Comparison) -> list[str]:
    """Return what a careful reader would object, the gravest first."""
    return [
        *differences(groups),
        *few(groups),
        *_followed(found),
        *_looked(found),
        *_ended(groups, found),
        *_pinned(found),
        *_placed(groups, found),
        *_test_images(groups),
        *imported.caveats(groups),
        *_baseline(found, len(groups)),
    ]


def _no_joules(groups: Sequence[labels.Group]) -> Iterable[str]:
    """Yield why joules are not known, and of how many of the runs that were trained here."""
    own = [run.stored for group in groups for run in group.runs if run.stored.costs]
    told = [next((cost.joules_reason for cost in run.costs if cost.joules is None), None) for run in own]
    for reason, n in sorted(Counter(reason for reason in told if reason is not None).items()):
        yield f"joules are not known of {n} of {len(own)} runs: {reason}."


def _shared(groups: Sequence[labels.Group]) -> Iterable[str]:
    """Yield of how many of the runs that were trained here the seconds are not those of a run alone."""
    own = [run.stored for group in groups for run in group.runs if run.stored.costs]
    shares = [most for run in own if (most := runtimes.together(run.environment)) > 1]
    if shares:
        yield (
            f"{len(shares)} of {len(own)} runs shared their device with others, up to {max(shares)} at a time: "
            f"their seconds are not those of a run alone."
        )


def differences(groups: Sequence[labels.Group]) -> Iterable[str]:
    """Yield in what recipes differ so that their epochs are hard to compare: data, validation images, budgets."""
    firsts = [(group.label, group.runs[0].stored.recipe) for group in groups]
    known = [(label, recipe) for label, origin in firsts if (recipe := foreign_runs.described(origin)) is not None]
    if len({recipe.data.kind for _, recipe in known}) > 1:
        told = "; ".join(f"{label}: {recipe.data.kind}" for label, recipe in known)
        yield f"The recipes do not train on the same data set, so their epochs cannot be compared ({told})."
    elif len({summary.validated(origin) for _, origin in firsts}) > 1:
        told = "; ".join(f"{label}: {summary.validated(origin)}" for label, origin in firsts)
        sure = "not validated" if len(known) == len(firsts) else "not known to be validated"
        yield f"The recipes are {sure} on the same images ({told})."
    if len({recipe.budget.epochs for _, recipe in firsts}) > 1:
        told = ", ".join(f"{label}: {recipe.budget.epochs}" for label, recipe in firsts)
        yield (
            f"The budgets differ ({told}). A crossing belongs to a budget: the schedule is stretched to it, and "
            "a longer run does not show what a shorter one would reach."
        )


def few(groups: Sequence[labels.Group]) -> Iterable[str]:
    """Yield which recipes have too few runs, and what so few can say."""
    sizes = Counter(len(group.runs) for group in groups if len(group.runs) < summary.FEW_RUNS)
    for n in sorted(sizes):
        named = [group.label for group in groups if len(group.runs) == n]
        who = ", ".join(named) if len(named) <= 4 else f"{len(named)} recipes"
        if n == 1:
            yield f"n = 1 for {who}: a single run proves little and has no interval."
        else:
            yield (
                f"n = {n} for {who}: too few for an interval of the median at 95%. Lowest to highest of {n} runs holds "
                f"it in {1 - 2 ** (1 - n):.0%} of cases, and no interval of a median is wider."
            )


def _followed(found: compare.Comparison) -> Iterable[str]:
    """Yield which recipes have runs enough, but few that say whether they arrive: the others ended before."""
    for arm in dict.fromkeys(row.arm for row in found.rows):
        row = max((row for row in found.rows if row.arm == arm), key=lambda row: (row.early, row.target))
        known = row.n - row.early
        if known < summary.FEW_RUNS <= row.n:
            yield (
                f"Of the {row.n} runs of {arm}, {known} reached {row.target:g} or were followed to the end of their "
                f"budget: the intervals are no better than those of {_count(known)}."
            )


def _looked(found: compare.Comparison) -> Iterable[str]:
    """Yield for which recipes the confidence that several looks ask of an interval is more than a median's can have."""
    sizes = sorted({row.n for row in found.rows if row.n >= summary.FEW_RUNS})
    short = [n for n in sizes if 1 - 2 ** (1 - n) < found.confidence]
    if short:
        yield (
            f"{found.looks} looks ask for intervals at {100 * found.confidence:.4g}%: lowest to highest of "
            f"{_count(short[-1])} holds the median in {1 - 2 ** (1 - short[-1]):.1%} of cases, and no interval of a "
            "median is wider."
        )


def _ended(groups: Sequence[labels.Group], found: compare.Comparison) -> Iterable[str]:
    highest = max((row.target for row in found.rows), default=0.0)
    runs = [run for group in groups for run in group.runs if _missed(run, highest, held=found.rule == "held")]
    short = [run for run in runs if len(run.stored.epochs) < run.stored.recipe.budget.epochs]
    diverged = sum(run.stored.status.state == "diverged" for run in runs)
    if diverged:
        yield (
            f"{_count(diverged)} diverged: counted as not there by the end of the budget, since more epochs would "
            "not have helped."
        )
    given_up, paused = (sum(run.stored.status.stopped == why for run in short) for why in ("given-up", "paused"))
    if given_up:
        yield (
            f"{_count(given_up)} given up by the stopping rule: counted as not there by the end of the budget. About "
            "a lower target than the rule was made for that is too pessimistic."
        )
    if paused:
        yield (
            f"{_count(paused)} left by a search that promoted others: counted as not there by the end of the budget, "
            "which nobody has seen. `fewepochs resume RUN` trains such a run to its end."
        )
    stopped = sum(run.stored.status.state == "finished" for run in short) - given_up
    if stopped:
        yield (
            f"{_count(stopped)} stopped on purpose before the budget's end: about a higher target, or about "
            "\u201cheld\u201d, such a run knows nothing, though it was near. Those numbers are too pessimistic."
        )
    for state, told in (("running", "still running"), ("interrupted", "interrupted"), ("crashed", "crashed")):
        count = sum(run.stored.state == state and run.stored.status.stopped is None for run in short)
        if count:
            where = "it stands" if count == 1 else "they stand"
            yield f"{_runs(count)} {told}: censored where {where}, as if the end had nothing to do with the target."


def _missed(run: labels.Run, target: float, *, held: bool) -> bool:
    """Return whether `run` may be censored at a target: what became of it matters then."""
    return held or not any(record.val_acc >= target for record in run.stored.epochs)


def _pinned(found: compare.Comparison) -> Iterable[str]:
    some = [f"{row.pinned} of {row.reached} of {row.arm} to {row.target:g}" for row in found.rows if row.pinned]
    if some:
        who = "; ".join(some[:6]) + (f"; and {len(some) - 6} more rows" if len(some) > 6 else "")
        yield (
            f"Pinned crossings ({who}) came within two epochs after a drop of the learning rate: they tell where the "
            "schedule drops it. Move the drop before you believe the ratio."
        )


def _placed(groups: Sequence[labels.Group], found: compare.Comparison) -> Iterable[str]:
    lost = sorted({name for row in found.rows for name in row.lost})
    if lost:
        yield f"{_runs(len(lost))} left out, because {'its' if len(lost) == 1 else 'their'} {found.by} are not known."
    if found.by != "epochs" and machines(groups) > 1:
        yield f"The runs are of {machines(groups)} machines or settings: {found.by} are compared across them."


def machines(groups: Sequence[labels.Group]) -> int:
    """Return on how many machines, or settings of them, the runs were trained."""
    runs = [run.stored.environment for group in groups for run in group.runs if not imported.is_foreign(run.stored)]
    return len({(runtimes.together(one), *(repr(one.get(field)) for field in MACHINE)) for one in runs})


def _test_images(groups: Sequence[labels.Group]) -> Iterable[str]:
    if any(imported.on_test_images(group.runs[0].stored.recipe) for group in groups):
        yield "The validation images are the test images: a recipe chosen by these numbers is chosen on the test set."


def _baseline(found: compare.Comparison, count: int) -> Iterable[str]:
    if found.baseline is not None:
        yield f"{count} recipes: each is compared with the first, {found.baseline}, alone."


def _runs(count: int) -> str:
    return f"{_count(count)} {'is' if count == 1 else 'are'}"


def _count(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
