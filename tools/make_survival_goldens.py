"""Kaplan-Meier curves, medians, restricted means and log-rank tests as lifelines computes them, for the tests.

usage: python tools/make_survival_goldens.py > tests/goldens/survival.json

lifelines 0.30 needs a pandas before 3 and so cannot be installed beside fewepochs: run this in an environment of its
own (`pip install lifelines==0.30.3`). It needs nothing of fewepochs.

Data: the remission times of Freireich et al. 1963 in weeks (6-mercaptopurine against placebo), as in Gehan 1965 and
in most textbooks; and random samples with ties and censoring, kept in the file with the answers.
"""

from __future__ import annotations

import json
import random
import sys
from importlib import metadata
from typing import Any

from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import restricted_mean_survival_time

Arm = tuple[list[float], list[bool]]

MERCAPTOPURINE = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
PLACEBO = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"
VERSIONS = ("lifelines", "numpy", "pandas", "scipy")


def main() -> None:
    """Write the goldens to stdout."""
    pairs: dict[str, tuple[Arm, Arm]] = {"freireich": (_read(MERCAPTOPURINE), _read(PLACEBO))}
    for seed in range(40):
        draw = random.Random(seed)
        pairs[f"random {seed}"] = (_random(draw), _random(draw))
    versions = {"python": sys.version.split()[0], **{name: metadata.version(name) for name in VERSIONS}}
    lines = ",\n".join(json.dumps(_pair(name, *pair)) for name, pair in pairs.items())
    print(
        f'{{"made_by": "tools/make_survival_goldens.py",\n"versions": {json.dumps(versions)},\n"pairs": [\n{lines}\n]}}'
    )


def _read(text: str) -> Arm:
    """Return times and whether each was reached; + marks the censored ones."""
    words = text.split()
    return [float(word.rstrip("+")) for word in words], [not word.endswith("+") for word in words]


def _random(draw: random.Random) -> Arm:
    n = draw.randint(2, 12)
    budget = draw.randint(8, 20)
    needed = [1 + int(draw.expovariate(1 / 8)) for _ in range(n)]
    ended = [draw.choice((budget, budget, draw.randint(1, budget))) for _ in range(n)]
    rows = list(zip(needed, ended, strict=True))
    return [float(min(need, end)) for need, end in rows], [need <= end for need, end in rows]


def _pair(name: str, first: Arm, second: Arm) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "arms": [_arm(*first), _arm(*second)], "logrank": None}
    if any((*first[1], *second[1])):
        test = logrank_test(first[0], second[0], event_observed_A=first[1], event_observed_B=second[1])
        found["logrank"] = {"chi2": float(test.test_statistic), "p": float(test.p_value)}
    return found


def _arm(times: list[float], reached: list[bool]) -> dict[str, Any]:
    fitter = KaplanMeierFitter(alpha=0.05).fit(times, reached)
    horizon = max(times) if not all(reached) else max(times) + 5
    limits = fitter.confidence_interval_survival_function_
    median = float(fitter.median_survival_time_)
    return {
        "times": times,
        "reached": reached,
        "curve": [
            [float(time), float(fitter.predict(time)), *(float(limit) for limit in limits.loc[time])]
            for time in sorted(set(times))
        ],
        "median": None if median == float("inf") else median,
        "horizon": horizon,
        "restricted_mean": float(restricted_mean_survival_time(fitter, t=horizon)),
    }


if __name__ == "__main__":
    main()
