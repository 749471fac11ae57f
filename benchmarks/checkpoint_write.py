"""How long a checkpoint of a recipe takes to write, from the copy of the state to the folder's fsync.

    python benchmarks/checkpoint_write.py RECIPE --to results/checkpoint-write.json

The state is the recipe's own, untrained; the training data is not needed. The share of training time follows from how
often one is written: at most once in ten minutes in mid-epoch, at most 1% of the time between epochs' ends.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from fewepochs import recipe as recipes
from fewepochs.data import loader
from fewepochs.train import checkpoint, loop, saves


def training(recipe: recipes.Recipe) -> loop.Training:
    """Return a run of `recipe` over black images of CIFAR-10's shape."""
    part = loader.Part(torch.zeros(64, 32, 32, 3, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64))
    data = loader.DeviceData(part, part, None, classes=10, white=255, mean=None, std=None, digest="0" * 64)
    return loop.Training(recipe, data=data, device=torch.device("cpu"))


def main() -> None:
    """Write checkpoints one after the other, keep what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    recipe = recipes.load(arguments.recipe)
    run = training(recipe)
    seconds = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for number in range(arguments.n):
            begin = time.perf_counter()
            snapshot = run.snapshot()
            facts = snapshot.facts.model_copy(update={"steps": number})
            path = checkpoint.save(Path(folder), checkpoint.Snapshot(snapshot.tensors, facts))
            seconds.append(time.perf_counter() - begin)
        size = path.stat().st_size
    median = statistics.median(seconds)
    kept = {
        "command": f"python benchmarks/checkpoint_write.py {arguments.recipe} --n {arguments.n} --to {arguments.to}",
        "recipe": recipe.name,
        "digest": recipes.digest(recipe),
        "bytes": size,
        "n": arguments.n,
        "median_seconds": median,
        "seconds": seconds,
        "share_of_the_default_interval": median / saves.DEFAULT_SECONDS,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }
    arguments.to.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{size / 1e6:.1f} MB in {median:.2f} s, {kept['share_of_the_default_interval']:.3%} of the interval")


if __name__ == "__main__":
    main()
