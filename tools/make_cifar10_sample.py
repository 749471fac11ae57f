"""Make tests/data/cifar10_sample.npz: 48 real CIFAR-10 images, the first of each class in turn, for quick tests.

    python tools/make_cifar10_sample.py FOLDER      where CIFAR-10 lies (as --data takes it)

CIFAR-10: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fewepochs.data import sources

TRAIN, TEST = 32, 16
DESTINATION = Path(__file__).parent.parent / "tests" / "data" / "cifar10_sample.npz"


def first_of_each_class(labels: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the indices of `count` images, classes 0, 1, ..., 9, 0, 1, ... in turn."""
    by_class = [np.flatnonzero(labels == c) for c in range(10)]
    return np.array([by_class[n % 10][n // 10] for n in range(count)])


def main() -> None:
    """Write the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    dataset = sources.load("cifar10", where=parser.parse_args().folder)
    train = first_of_each_class(dataset.train.labels, TRAIN)
    test = first_of_each_class(dataset.test.labels, TEST)
    np.savez_compressed(
        DESTINATION,
        x_train=dataset.train.pixels[train],
        y_train=dataset.train.labels[train],
        x_test=dataset.test.pixels[test],
        y_test=dataset.test.labels[test],
    )
    print(f"{DESTINATION}: {DESTINATION.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
