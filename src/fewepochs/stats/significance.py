"""Could a difference between two arms be chance? Log-rank by chi-square and by rearrangement; Holm's correction; looks.

Each run has a log-rank score, from both arms' runs taken together:

    s_i = r_i - sum over t_j <= t_i of d_j / n_j           r_i = 1 if run i reached the target, else 0

and U, the sum of one arm's scores, is its number of arrivals minus the number expected of it (Mantel 1966; Peto and
Peto 1972). If the arms do not differ, the labels could be exchanged: the p value is the share of rearrangements with
|U| at least as large. Over all runs this is the permutation form of the log-rank test; within pairs of runs that
share their seeds it is a sign change of the pair's difference of scores (O'Brien and Fleming 1987 for the paired
form). All rearrangements are tried where they are few, else `DRAWS` of them with named draws, the observed one
counted in (Phipson and Smyth 2010), so that no p is 0.

The chi-square p beside it is the textbook's. For few runs it is too small: three against three, wholly apart, have
0.025 by chi-square, but two of the twenty rearrangements are as extreme, which is 0.1.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy  # which loads `special` when it is first used: who reads a run may not need it

from fewepochs import seeds
from fewepochs.records import Count, Finite, Fraction, Record
from fewepochs.stats import survival

DRAWS = 9_999
MOST_REARRANGEMENTS = 20_000
"""Up to so many rearrangements are tried, all of them; 7 against 7 have 3,432, 14 pairs 16,384."""

SAME = 1e-9
"""Sums of the same scores in another order differ by roundings, which are far less."""

NOBODY = "no run reached the target"


class Test(Record):
    """A test's answer: `p`, two-sided, from so many `rearrangements`; None with a `reason` where there is none.

    `smallest_p` is the smallest that these runs could have given in another order, ties included, and of rearrangements
    that were drawn the smallest that so many can give. `n` counts runs, `pairs` pairs where the test goes by pairs.
    `excess` is U of the first arm: so many more of its runs arrived than were expected of it, above 0 where it is the
    sooner one. `chi2` (one degree of freedom) and `chi2_p` are the log-rank test's by its variance.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    n: Count
    pairs: Count | None = None
    p: Fraction | None = None
    method: Literal["exact", "monte-carlo"] | None = None
    rearrangements: Count | None = None
    smallest_p: Fraction | None = None
    excess: Finite | None = None
    chi2: Finite | None = None
    chi2_p: Fraction | None = None
    reason: str | None = None


def scores(sample: survival.Sample) -> survival.Floats:
    """Return each run's log-rank score [n], in the order of the sample; they sum to 0.

    >>> scores(survival.Sample((1.0, 2.0), (True, True))).tolist()
    [0.5, -0.5]
    """
    hazard: dict[float, float] = {}
    total = 0.0
    for step in survival.curve(sample):
        total += step.reached / step.at_risk
        hazard[step.time] = total
    return np.array([r - hazard[t] for t, r in zip(sample.times, sample.reached, strict=True)])


def logrank(first: survival.Sample, second: survival.Sample) -> Test:
    """Return the log-rank test of two arms; it sees the order of the times, not their sizes."""
    n = first.n + second.n
    if not first.n or not second.n:
        return Test(n=n, reason="an arm has no run")
    both = survival.Sample((*first.times, *second.times), (*first.reached, *second.reached))
    if not any(both.reached):
        return Test(n=n, reason=NOBODY)
    found = scores(both)
    excess = float(found[: first.n].sum())
    members = memberships(first.n, second.n)
    chi2 = _chi_square(both, first=first, observed=excess)
    return Test(
        n=n,
        excess=excess,
        chi2=chi2,
        chi2_p=None if chi2 is None else float(scipy.special.chdtrc(1, chi2)),
        **_shares(np.abs(members @ found), abs(excess), exact=len(members) == math.comb(n, first.n)),
    )


def paired(first: survival.Sample, second: survival.Sample) -> Test:
    """Return the log-rank test within pairs: run i of `first` belongs to run i of `second`.

    With n pairs no p is below 2^(1-n): six pairs are the fewest that can reach 0.05.
    """
    pairs = first.n
    if pairs != second.n:
        raise ValueError(f"{pairs} runs cannot be paired with {second.n}")
    if not pairs:
        return Test(n=0, pairs=0, reason="no seeds are shared")
    both = survival.Sample((*first.times, *second.times), (*first.reached, *second.reached))
    if not any(both.reached):
        return Test(n=2 * pairs, pairs=pairs, reason=NOBODY)
    found = scores(both)
    differences = found[:pairs] - found[pairs:]
    signs = signs_of(pairs)
    shares = _shares(np.abs(signs @ differences), abs(float(differences.sum())), exact=len(signs) == 2**pairs)
    return Test(n=2 * pairs, pairs=pairs, excess=float(found[:pairs].sum()), **shares)


def holm(ps: Sequence[float | None], *, looks: int = 1) -> tuple[float | None, ...]:
    """Return `ps` corrected for how many tests were made and how often one looks; None stays None.

    First each p is multiplied by `looks`, the number of times that the growing data are looked at in all (Bonferroni:
    right whenever the looks come). Then Holm 1979: the k-th smallest of m is multiplied by m - k + 1, and none
    may fall below one before it.

    >>> holm([0.01, None, 0.04])
    (0.02, None, 0.04)
    """
    corrected: list[float | None] = [None] * len(ps)
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    worst = 0.0
    for rank, (p, i) in enumerate(known):
        worst = max(worst, min(1.0, p * looks * (len(known) - rank)))
        corrected[i] = worst
    return tuple(corrected)


def _shares(sums: survival.Floats, observed: float, *, exact: bool) -> dict[str, Any]:
    """Return what a test says of its rearrangements, given |U| of each: `sums` [P]."""
    extreme, most = (int((sums >= bound - SAME).sum()) for bound in (observed, max(observed, float(sums.max()))))
    if not exact:  # the observed labels are a rearrangement, too
        return {
            "p": (1 + extreme) / (1 + len(sums)),
            "method": "monte-carlo",
            "rearrangements": len(sums),
            "smallest_p": 1 / (1 + len(sums)),
        }
    return {
        "p": extreme / len(sums),
        "method": "exact",
        "rearrangements": len(sums),
        "smallest_p": most / len(sums),
    }


def _chi_square(both: survival.Sample, *, first: survival.Sample, observed: float) -> float | None:
    """Return U^2 over its hypergeometric variance, or None where every arrival is a tie of all who are left."""
    variance = 0.0
    for step in survival.curve(both):
        if step.at_risk > 1:
            share = sum(time >= step.time for time in first.times) / step.at_risk
            left = (step.at_risk - step.reached) / (step.at_risk - 1)
            variance += step.reached * share * (1 - share) * left
    return observed**2 / variance if variance > SAME else None


# --- rearrangements -----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def memberships(first: int, second: int) -> npt.NDArray[np.bool_]:
    """Return who could have been in the first arm [P, first + second]: all ways, or `DRAWS` of them by named draws."""
    n = first + second
    if math.comb(n, first) <= MOST_REARRANGEMENTS:
        chosen = np.array(list(itertools.combinations(range(n), first)))
        members = np.zeros((len(chosen), n), dtype=np.bool_)
        np.put_along_axis(members, chosen, values=True, axis=1)
        return members
    rows = max(1, (1 << 20) // n)
    parts = []
    for block, start in enumerate(range(0, DRAWS, rows)):
        size = min(rows, DRAWS - start)
        words = seeds.words(seeds.derive(0, "permutation", first, second, block), size * n).reshape(size, n)
        parts.append(np.argsort(np.argsort(words, axis=1), axis=1) < first)
    return np.concatenate(parts)


@functools.lru_cache(maxsize=32)
def signs_of(pairs: int) -> npt.NDArray[np.int8]:
    """Return the signs [P, pairs] that exchanges within pairs give: all 2^pairs, or `DRAWS` of them by named draws."""
    if 2**pairs <= MOST_REARRANGEMENTS:
        return np.array(list(itertools.product((1, -1), repeat=pairs)), dtype=np.int8)
    words = seeds.words(seeds.derive(0, "exchange", pairs), DRAWS * pairs).reshape(DRAWS, pairs)
    return np.where(words >> np.uint64(63), 1, -1).astype(np.int8)
