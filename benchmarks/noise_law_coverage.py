"""How often the law of the noise tells an exponent where there is none: 5 percent is what its intervals ask for.

usage: python benchmarks/noise_law_coverage.py [--experiments 400] [--to results/noise-law-coverage.json]

Runs of one learning rate and several batch sizes, one phase each, whose noise is log-normal and the same at every batch
size. "told" is the share of experiments whose interval of the batch's exponent lies on one side of 0. "without the
rule" has intervals also where one or two runs alone have another batch size than the rest: `noise_law` makes none.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from fewepochs.stats import noise_law

DESIGNS = (
    (32, 32, 128, 128),
    (32, 128, 128, 128, 128),
    (32, 64, 128, 128),
    (32, 32, 128, 128, 128),
    (32, 64, 64, 128, 128),
    (32, 32, 32, 128, 128, 128),
    (32, 32, 64, 64, 128, 128),
)
SPREAD = 0.25
RULES = {"told": noise_law.LEAST_OTHERS, "without the rule": 0}


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=400)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    result = {
        "what": "share of experiments in which an exponent is told where there is none, 95% intervals",
        "command": f"python benchmarks/noise_law_coverage.py --experiments {arguments.experiments}",
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "experiments": arguments.experiments,
        "rows": [_row(design, experiments=arguments.experiments) for design in DESIGNS],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")


def _row(batches: Sequence[int], *, experiments: int) -> dict[str, object]:
    told = {name: _told(batches, experiments=experiments, others=n) for name, n in RULES.items()}
    return {"batch_sizes": list(batches), **told}


def _told(batches: Sequence[int], *, experiments: int, others: int) -> float:
    draw, count = np.random.default_rng(tuple(batches)), 0
    with mock.patch.object(noise_law, "LEAST_OTHERS", others):
        for number in range(experiments):
            noises = np.exp(SPREAD * draw.standard_normal(len(batches)))
            runs = [f"{number}-{k}" for k in range(len(batches))]
            found = noise_law.fit(
                [
                    noise_law.Point(run, 1e-3, float(batch), float(noise))
                    for run, batch, noise in zip(runs, batches, noises, strict=True)
                ]
            )
            low, high = found.batch.low, found.batch.high
            if low is not None or high is not None:
                count += not (-math.inf if low is None else low) <= 0 <= (math.inf if high is None else high)
    return round(count / experiments, 3)


if __name__ == "__main__":
    main()
