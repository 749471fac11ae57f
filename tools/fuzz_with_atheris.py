"""Fuzz what comes from outside, guided by coverage: recipes, .npz files, pickled batches, checkpoints, logs of runs.

    pip install atheris
    python tools/fuzz_with_atheris.py TARGET [-runs=1000000] [-max_total_time=600] [CORPUS]

TARGET is recipe, npz, batch, checkpoint or log. Anything but an error of the family ends the fuzzing with the input
that did it; so does more than 2 GiB of memory (libFuzzer's limit). The tests draw the same with hypothesis, without
guidance. Where atheris is not installed, this says so and ends with 0.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

try:
    import atheris
except ImportError:
    print("atheris is not installed: nothing was fuzzed")
    sys.exit(0)
import torch  # noqa: F401 - before the block below: its 30,000 functions need no guidance

with atheris.instrument_imports(include=["fewepochs"]):
    from fewepochs import errors, store
    from fewepochs import recipe as recipes
    from fewepochs.data import npz, pickles
    from fewepochs.train import checkpoint

FILE = Path(tempfile.mkdtemp(prefix="fewepochs-fuzz-")) / "step-000000001.ckpt"


def recipe(content: bytes) -> None:
    recipes.parse(content.decode(errors="replace"), source="fuzz")


def npz_file(content: bytes) -> None:
    FILE.write_bytes(content)
    npz.load(FILE)


def batch(content: bytes) -> None:
    pickles.read(content, max_steps=10_000, where="fuzz")


def checkpoint_file(content: bytes) -> None:
    FILE.write_bytes(content)
    checkpoint.load(FILE)


def log(content: bytes) -> None:
    (FILE.parent / store.EPOCHS).write_bytes(content)
    store.RunFolder(FILE.parent).keep(1)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "recipe": recipe,
    "npz": npz_file,
    "batch": batch,
    "checkpoint": checkpoint_file,
    "log": log,
}


def main() -> None:
    """Fuzz one target."""
    target = TARGETS.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if target is None:
        sys.exit(__doc__)

    def one(content: bytes) -> None:
        with contextlib.suppress(errors.FewEpochsError):
            target(content)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
