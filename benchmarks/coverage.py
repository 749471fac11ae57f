"""How often the intervals hold the truth: 95 percent is asked, and with few runs less is got.

usage: python benchmarks/coverage.py [--experiments 2000] [--to results/interval-coverage.json]

Epochs to a target are drawn from a known distribution (a log-normal one around 50 with a spread of 12 percent,
rounded up to whole epochs), censored at 55 epochs (about one run in five) or not at all. Of each experiment of n
runs the intervals are made as `fewepochs compare` makes them; "percentile" is the plain percentile interval for
comparison. The ratio is that of two independent arms, the second 0.8 times as long; its n is that of each arm.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy

from fewepochs.stats import resampling, survival

SIZES = (3, 5, 6, 10, 20, 40)
CENTRE, SPREAD, FASTER, END = 50.0, 0.12, 0.8, 55.0
CONFIDENCE, DRAWS = 0.95, 2_000

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    rows = [_row(n, experiments=arguments.experiments, end=end) for end in (math.inf, END) for n in SIZES]
    result = {
        "what": "share of experiments whose 95% interval holds the truth",
        "command": f"python benchmarks/coverage.py --experiments {arguments.experiments}",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        "experiments": arguments.experiments,
        "standard_error_at_95_percent": round(math.sqrt(0.05 * 0.95 / arguments.experiments), 4),
        "rows": rows,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")


def _draw(draw: np.random.Generator, n: int, *, scale: float = 1.0) -> Floats:
    return np.ceil(scale * CENTRE * np.exp(SPREAD * draw.standard_normal(n)))


def _sample(times: Floats, *, end: float) -> survival.Sample:
    return survival.Sample(tuple(np.minimum(times, end).tolist()), tuple((times <= end).tolist()))


def _row(n: int, *, experiments: int, end: float) -> dict[str, float | int | None]:
    horizon = min(end, 100.0)
    many = np.random.default_rng(0)
    truth, faster = _draw(many, 1_000_000), _draw(many, 1_000_000, scale=FASTER)
    median, mean = float(np.median(truth)), float(np.minimum(truth, horizon).mean())
    ratio = float(np.minimum(faster, horizon).mean()) / mean
    held = {"median": 0, "mean": 0, "percentile_mean": 0, "ratio_of_means": 0}
    draw = np.random.default_rng((n, int(horizon)))
    for _ in range(experiments):
        sample = _sample(_draw(draw, n), end=end)
        other = _sample(_draw(draw, n, scale=FASTER), end=end)
        medians, means = resampling.survival_replicates(sample, name=(0,), horizons=[horizon], draws=DRAWS)
        _, others = resampling.survival_replicates(other, name=(1,), horizons=[horizon], draws=DRAWS)
        held["median"] += _holds(medians, survival.median(sample), median, n=n)
        value, faster_value = (survival.restricted_mean(one, horizon=horizon) for one in (sample, other))
        assert value is not None, "all are followed to the horizon"
        assert faster_value is not None, "all are followed to the horizon"
        held["mean"] += _holds(means[horizon], value, mean, n=n)
        low, high = np.quantile(means[horizon], [0.025, 0.975])
        held["percentile_mean"] += bool(low <= mean <= high)
        ends = resampling.ratio_interval(
            others[horizon], means[horizon], n=n, value=faster_value / value, confidence=CONFIDENCE
        )
        held["ratio_of_means"] += ends[0] is not None and ends[1] is not None and ends[0] <= ratio <= ends[1]
    shares = {name: round(count / experiments, 3) for name, count in held.items()}
    return {"n": n, "censored_at": None if math.isinf(end) else end, **shares}


def _holds(replicates: Floats, value: float | None, truth: float, *, n: int) -> bool:
    """Return whether the interval holds the truth; without an estimate there is only the bound, which is right here."""
    if value is None:
        return True
    low, high, reason = resampling.interval(replicates, n=n, value=value, confidence=CONFIDENCE)
    return reason is None and low is not None and low <= truth <= (math.inf if high is None else high)


if __name__ == "__main__":
    main()
