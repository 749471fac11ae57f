"""A claim against runs: which runs belong to which experiment, what they say, and what the rules make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from fewepochs import store
from fewepochs.claims import catalogue, evidence, matching, rules
from fewepochs.stats import ranges


@dataclass(frozen=True)
class Judged:
    """An item, what the runs say of it, how many of the runs' crossings are pinned, and which runs were used.

    `short` counts runs that stand, or ended, before their budget: what they did not see is taken at its worst.
    """

    item: catalogue.Item
    finding: rules.Finding
    pinned: int
    used: tuple[store.StoredRun, ...]

    @property
    def short(self) -> int:
        """Return how many of the runs are not over."""
        return sum(not evidence.is_over(run) for run in self.used)


@dataclass(frozen=True)
class Judgement:
    """A claim with every item judged; `matched` has each experiment's runs."""

    claim: catalogue.Claim
    matched: Mapping[catalogue.Experiment, matching.Matched]
    items: tuple[Judged, ...]


def judge(claim: catalogue.Claim, runs: Sequence[store.StoredRun]) -> Judgement:
    """Return what `runs` say about `claim`; runs of other recipes say nothing, however near they are."""
    matched = {one: matching.match(one.load(), runs) for one in catalogue.experiments(claim)}
    items = tuple(
        _judged(claim, item, [matched[one].runs for one in catalogue.experiments_of(claim, item)])
        for item in claim.items
    )
    return Judgement(claim, matched, items)


def _judged(claim: catalogue.Claim, item: catalogue.Item, arms: Sequence[tuple[store.StoredRun, ...]]) -> Judged:
    used = tuple(run for arm in arms for run in arm)
    pinned = 0
    match item:
        case catalogue.Untestable():
            finding = rules.without("untestable", reason=item.reason)
        case catalogue.Typical():
            finding = _typical(claim, item, used)
            pinned = evidence.pinned(used, item.target) if item.target is not None else 0
        case catalogue.Share():
            finding = rules.share(item, [evidence.epochs_to(run, item.target) for run in used])
        case catalogue.Spread():
            finding = rules.spread(item, [evidence.epochs_to(run, item.target) for run in used])
            pinned = evidence.pinned(used, item.target)
        case catalogue.Trend():
            finding = _trend(arms)
        case unknown:
            assert_never(unknown)
    return Judged(item, finding, pinned, used)


def _typical(claim: catalogue.Claim, item: catalogue.Typical, runs: Sequence[store.StoredRun]) -> rules.Finding:
    told = [evidence.bounds(run, item.quantity, target=item.target) for run in runs]
    known = [one for one in told if isinstance(one, ranges.Bounds)]
    reasons = dict.fromkeys(one for one in told if isinstance(one, str))
    if runs and not known:
        return rules.without("not-measured", n=len(runs), reason="; ".join(reasons))
    if item.quantity not in catalogue.MACHINE_BOUND or claim.hardware is None or not runs:
        return rules.typical(item, known)
    elsewhere = dict.fromkeys(name for name in map(evidence.device, runs) if claim.hardware not in name)
    if not elsewhere:
        return rules.typical(item, known)
    changes = {"verdict": "not testable", "why": "other-machine", "reason": ", ".join(elsewhere)}
    return rules.typical(item, known).model_copy(update=changes)


def _trend(arms: Sequence[Sequence[store.StoredRun]]) -> rules.Finding:
    told = [[evidence.settled_noise(run) for run in arm] for arm in arms]
    n = sum(map(len, arms))
    absent = Counter(one for arm in told for one in arm if isinstance(one, str))
    if absent:
        reason = "; ".join(f"{count} of {n} runs: {why}" for why, count in sorted(absent.items()))
        return rules.without("not-measured", n=n, reason=reason)
    return rules.trend([[one for one in arm if not isinstance(one, str)] for arm in told])
