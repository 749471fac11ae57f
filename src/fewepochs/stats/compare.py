"""Arms against arms: how long each needs to each target, which needs less, and whether that could be chance.

A row is an arm and a target; a pair is two arms and a target. Both carry their n. A restricted mean has a horizon:
the time up to which every arm with it was followed, unless one is given; a pair's tests and its ratio of restricted
means look no further than its own horizon, so that an arm with a longer budget is not compared with what the other
was not allowed to do.

What is tested: one log-rank test a pair and target; Holm's correction counts all of them. The test within pairs of
twins stands beside it and is not counted: it is the same question asked again.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import arms, estimates, profiles, significance, survival

MOST_ARMS_FOR_ALL_PAIRS = 8
"""More arms than this are compared with the first alone: all pairs of 20 would be 190 tests."""

CONFIDENCE = 0.95


class Row(Record):
    """What one arm's runs say about one target.

    `n` runs could be placed, `lost` could not (their seconds or joules are unknown); `reached` of the n got there,
    `pinned` of these within two epochs after a drop of the rate; `early` ended before their budget. `share` is that
    of the runs that reach the target within their budget: a value where no run ended early, else an interval alone.
    `seconds` and `joules` are medians of the training up to the crossing. `seeds_needed` is None unless a width was
    asked for and a spread is known.
    """

    arm: str
    target: Fraction
    n: Count
    reached: Count
    pinned: Count | None
    early: Count
    lost: tuple[str, ...]
    share: estimates.Estimate
    median: estimates.Estimate
    restricted_mean: estimates.Estimate
    horizon: Finite | None
    seconds: estimates.Estimate
    joules: estimates.Estimate
    seeds_needed: Count | None
    curve: tuple[survival.Step, ...]


class Accuracy(Record):
    """What one arm's runs reached at best: means over its `n` runs.

    `best_val_acc` is the best of each run's curve, `test_acc` the test accuracy of the same epoch, `selection_gap`
    the first minus the second: what choosing the epoch on the validation images promised too much.
    """

    arm: str
    n: Count
    budgets: tuple[Count, ...]
    best_val_acc: estimates.Estimate
    test_acc: estimates.Estimate
    selection_gap: estimates.Estimate


class Pair(Record):
    """What two arms' runs say about one target; a ratio below 1 says that `first` needs less than `second`.

    `twins` are pairs of runs with the same seeds; `paired` says that all runs have a twin, so that the ratios'
    intervals are paired ones. `p_corrected` is the log-rank test's p after the correction for tests and looks.
    """

    first: str
    second: str
    target: Fraction
    n: tuple[Count, Count]
    twins: Count
    paired: bool
    horizon: Finite | None
    median_ratio: estimates.Estimate
    restricted_mean_ratio: estimates.Estimate
    logrank: significance.Test
    paired_test: significance.Test
    p_corrected: Fraction | None


class Comparison(Record):
    """The whole answer. `confidence` is each interval's; with several `looks` it is higher than what was asked for."""

    by: arms.By
    rule: arms.Rule
    hold: Count
    looks: Count
    confidence: Fraction
    tests: Count
    baseline: str | None
    accuracies: tuple[Accuracy, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    profile: tuple[profiles.Profile, ...]


def compare(
    groups: Sequence[arms.Arm],
    *,
    targets: Sequence[float],
    rule: arms.Rule = "first",
    hold: int = 3,
    by: arms.By = "epochs",
    horizon: float | None = None,
    confidence: float = CONFIDENCE,
    looks: int = 1,
    width: float | None = None,
) -> Comparison:
    """Return what `groups` say about `targets` (fractions), in epochs, seconds of training or joules.

    `horizon` (in those units, above 0) replaces the one found. `looks` is how often these growing data are looked at in
    all: intervals then have confidence 1 - (1 - confidence) / looks, and every p is multiplied by it. `width` asks how
    many seeds an interval of the restricted mean of that width would need. More than `MOST_ARMS_FOR_ALL_PAIRS` arms are
    compared with the first alone.
    """
    level = 1 - (1 - confidence) / looks
    question = _Question(rule=rule, hold=hold, by=by, horizon=horizon, confidence=level, width=width)
    rows: list[Row] = []
    pairs: list[Pair] = []
    for target in targets:
        more_rows, more_pairs = question.ask(groups, target)
        rows += more_rows
        pairs += more_pairs
    corrected = significance.holm([pair.logrank.p for pair in pairs], looks=looks)
    return Comparison(
        by=by,
        rule=rule,
        hold=hold,
        looks=looks,
        confidence=level,
        tests=sum(p is not None for p in corrected),
        baseline=groups[0].label if len(groups) > MOST_ARMS_FOR_ALL_PAIRS else None,
        accuracies=tuple(_accuracy(arm, confidence=level) for arm in groups),
        rows=tuple(rows),
        pairs=tuple(pair.model_copy(update={"p_corrected": p}) for pair, p in zip(pairs, corrected, strict=True)),
        profile=profiles.profiles({(row.arm, row.target): row.median.value for row in rows}),
    )


class _Question(Record):
    """What is asked of every target alike."""

    rule: arms.Rule
    hold: int
    by: arms.By
    horizon: float | None
    confidence: float
    width: float | None

    def ask(self, groups: Sequence[arms.Arm], target: float) -> tuple[list[Row], list[Pair]]:
        """Return the rows and pairs of one target."""
        all_seen = [arms.observe(arm, target, rule=self.rule, hold=self.hold) for arm in groups]
        seen = [one[self.by] for one in all_seen]
        chosen = _pairs(len(groups))
        common = self.horizon or common_horizon([one.sample for one in seen])
        own = {(i, j): self.horizon or common_horizon([seen[i].sample, seen[j].sample]) for i, j in chosen}
        found = []
        for k, one in enumerate(seen):
            wanted = [common, *(horizon for pair, horizon in own.items() if k in pair)]
            found.append(estimates.resample(one, horizons=[horizon for horizon in wanted if horizon is not None]))
        rows = [
            self._row(target, observed=one, found=resampled, horizon=common)
            for one, resampled in zip(all_seen, found, strict=True)
        ]
        pairs = [self._pair(target, (seen[i], seen[j]), (found[i], found[j]), horizon=own[i, j]) for i, j in chosen]
        return rows, pairs

    def _row(
        self,
        target: float,
        *,
        observed: Mapping[arms.By, arms.Observed],
        found: estimates.Resampled | None,
        horizon: float | None,
    ) -> Row:
        asked, sample = observed[self.by], observed[self.by].sample
        return Row(
            arm=asked.label,
            target=target,
            n=sample.n,
            reached=sum(sample.reached),
            pinned=asked.pinned,
            early=asked.early,
            lost=asked.lost,
            share=estimates.share(sum(sample.reached), sample.n, unknown=asked.early, confidence=self.confidence),
            median=estimates.median(found, confidence=self.confidence),
            restricted_mean=estimates.restricted_mean(found, horizon=horizon, confidence=self.confidence),
            horizon=horizon,
            seconds=self._cost(observed["seconds"]),
            joules=self._cost(observed["joules"]),
            seeds_needed=None
            if self.width is None or horizon is None
            else survival.seeds_needed(sample, horizon=horizon, width=self.width, confidence=self.confidence),
            curve=survival.curve(sample, confidence=self.confidence),
        )

    def _cost(self, observed: arms.Observed) -> estimates.Estimate:
        """Return the median seconds or joules to the target, without an interval; absent where a run's are unknown."""
        if not observed.lost:
            return estimates.bare_median(observed.sample, confidence=self.confidence)
        reason = f"not known in {len(observed.lost)} of {len(observed.lost) + observed.sample.n} runs"
        return estimates.Estimate(value=None, n=observed.sample.n, confidence=self.confidence, reason=reason)

    def _pair(
        self,
        target: float,
        observed: tuple[arms.Observed, arms.Observed],
        found: tuple[estimates.Resampled | None, estimates.Resampled | None],
        *,
        horizon: float | None,
    ) -> Pair:
        first, second = observed
        samples = first.sample, second.sample
        twins = arms.twins(first, second)
        arrived = any(first.sample.reached) or any(second.sample.reached)
        if horizon is not None:
            samples = samples[0].until(horizon), samples[1].until(horizon)
            twins = twins[0].until(horizon), twins[1].until(horizon)
        return Pair(
            first=first.label,
            second=second.label,
            target=target,
            n=(first.sample.n, second.sample.n),
            twins=twins[0].n,
            paired=first.seeds == second.seeds and first.sample.n > 0,
            horizon=horizon,
            median_ratio=estimates.median_ratio(*found, confidence=self.confidence),
            restricted_mean_ratio=estimates.restricted_mean_ratio(*found, horizon=horizon, confidence=self.confidence),
            logrank=self._told(significance.logrank(*samples), horizon=horizon if arrived else None),
            paired_test=self._told(significance.paired(*twins), horizon=horizon if arrived else None),
            p_corrected=None,
        )

    def _told(self, test: significance.Test, *, horizon: float | None) -> significance.Test:
        """Return `test`; where its runs arrive, but beyond the horizon, its reason says so."""
        if horizon is None or test.reason != significance.NOBODY:
            return test
        what = "that both were followed" if self.horizon is None else "that were asked"
        return test.model_copy(update={"reason": f"{test.reason} within the {horizon:g} {self.by} {what}"})


def _accuracy(arm: arms.Arm, *, confidence: float) -> Accuracy:
    in_order = sorted(arm.runs, key=lambda run: run.seeds)
    name = estimates.seed_name([run.seeds for run in in_order])
    seen = [arms.best_and_tested(run.epochs) for run in in_order]
    found = [(best, test) for best, test in seen if best is not None]
    tested = [(best.val_acc, test) for best, test in found if test is not None]

    def mean(values: Sequence[float], *, absent: str) -> estimates.Estimate:
        return estimates.mean(values, name=name, confidence=confidence, absent=absent)

    return Accuracy(
        arm=arm.label,
        n=len(arm.runs),
        budgets=tuple(sorted({run.budget for run in arm.runs})),
        best_val_acc=mean([best.val_acc for best, _ in found], absent="no epoch done"),
        test_acc=mean([test for _, test in tested], absent="no test accuracy taken"),
        selection_gap=mean([val - test for val, test in tested], absent="no test accuracy taken"),
    )


def common_horizon(samples: Sequence[survival.Sample]) -> float | None:
    """Return the time up to which all `samples` were followed; those of which nothing is known do not count.

    Where in each of them all runs reached the target, the latest time: further on nothing changes. None where
    nothing is known of any.
    """
    known = [survival.follow_up(sample) for sample in samples if survival.follow_up(sample) != 0]
    ends = [end for end in known if end is not None]
    return min(ends) if ends else survival.largest_time(samples) or None


def _pairs(count: int) -> list[tuple[int, int]]:
    if count > MOST_ARMS_FOR_ALL_PAIRS:
        return [(0, k) for k in range(1, count)]
    return list(itertools.combinations(range(count), 2))
