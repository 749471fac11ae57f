"""One training step of ResNet56v2: float32 against bfloat16, kernels against each other, and augmentation's share.

"plain" is the same network and batch as a plain PyTorch loop has it: float32, NCHW, loss.backward(), torch.optim.Adam.

usage: python benchmarks/step.py --data DIR [--threads 2] [--rounds 15] [--to results/step-cpu.json]

The precisions take turns, A B A B, in one process on the same real images, so that a machine that slows down slows
both; ratios are taken pair by pair. Times are milliseconds; an interval is the 10th to the 90th percentile of the
rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewepochs import recipe as recipes
from fewepochs.data import augment, loader, sources
from fewepochs.nets import resnet
from fewepochs.nets.kernels import Kernels
from fewepochs.train import environment, loop

RECIPE, BATCH, WARM_UP = "resnet56v2-adam-atienza", 64, 3
PRECISIONS = ("float32", "bfloat16")
KERNELS: tuple[Kernels, ...] = ("fused", "inductor", "torch")


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    dataset = sources.load("cifar10", where=arguments.data)
    runs = {f"{p} {k}": _training(dataset, p, kernels=k) for p in PRECISIONS for k in KERNELS}
    steps: dict[str, Callable[[], None]] = {name: partial(run.program.step, BATCH) for name, run in runs.items()}
    steps["plain"] = _plain(runs["float32 torch"])
    times: dict[str, list[float]] = {name: [] for name in (*steps, "images", "images augmented")}
    for _ in range(WARM_UP + arguments.rounds):
        for name, step in steps.items():
            times[name].append(_milliseconds(step))
        for name, plan in (("images", False), ("images augmented", True)):
            times[name].append(_milliseconds(_images(runs["float32 fused"], augmented=plan)))
    kept = {name: np.array(values[WARM_UP:]) for name, values in times.items()}
    augmentation = kept["images augmented"] - kept["images"]
    result = {
        "what": f"{RECIPE}, batch {BATCH}, one training step",
        "command": "python benchmarks/step.py --data DIR",
        "environment": environment.collect(
            device=torch.device("cpu"),
            kernels=" and ".join(KERNELS),
            data_digest=dataset.digest,
            data_origin=dataset.kind,
        ),
        "rounds": arguments.rounds,
        "milliseconds": {name: _summary(values) for name, values in kept.items()},
        "float32_over_bfloat16": {k: _summary(kept[f"float32 {k}"] / kept[f"bfloat16 {k}"]) for k in KERNELS},
        "plain_over": {name: _summary(kept["plain"] / kept[name]) for name in runs},
        "torch_over": {
            f"{p} {k}": _summary(kept[f"{p} torch"] / kept[f"{p} {k}"]) for p in PRECISIONS for k in KERNELS
        },
        "compile_seconds": {name: round(run.compile_seconds, 1) for name, run in runs.items()},
        "augmentation_share_of_step": {name: _summary(augmentation / kept[name]) for name in runs},
    }
    del result["environment"]["command"]  # it holds the paths of the machine that measured
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--to", type=Path)
    return parser.parse_args()


def _training(dataset: sources.DataSet, precision: str, *, kernels: Kernels) -> loop.Training:
    recipe = recipes.load(RECIPE, overrides=(f"precision={precision}",))
    data = loader.prepare(dataset, spec=recipe.data)
    training = loop.Training(recipe, data=data, device=torch.device("cpu"), kernels=kernels)
    plan = loader.plan_epoch(
        training.data,
        augmentation=recipe.augmentation,
        mixing=recipe.mixing,
        steps=1,
        order_seed=0,
        augmentation_seed=0,
        epoch=1,
    )
    controls = np.repeat([[recipe.optimizer.lr], [0.9], [0.0]], training.horizon.epoch_steps[0], axis=1)
    training.program.begin_epoch(plan, controls=controls)
    return training


def _plain(training: loop.Training) -> Callable[[], None]:
    """Return a step as a plain PyTorch loop does it, on a batch that is there already."""
    recipe, data = training.recipe, training.data
    network = resnet.build(
        recipe.network, image=resnet.ImageShape(32, 32, 3), classes=data.classes, init_seed=0, dropout_seed=0
    ).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.optimizer.lr)
    x_NCHW = data.normalise(data.train.pixels[:BATCH]).permute(0, 3, 1, 2).contiguous()
    labels_N = data.train.labels[:BATCH]

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x_NCHW), labels_N).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _images(training: loop.Training, *, augmented: bool) -> Callable[[], Any]:
    """Return what brings a batch from the data set to the network's input, with or without augmentation."""
    data = training.data
    index = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:BATCH]
    draws = augment.draw(training.recipe.augmentation, seed=0, epoch=1, order=np.arange(BATCH), height=32, width=32)
    assert draws is not None, "the recipe augments"

    def bring() -> torch.Tensor:
        x = data.normalise(data.train.pixels[index])
        return augment.shift_flip(x, draws) if augmented else x

    return bring


def _milliseconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


def _summary(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    low, middle, high = np.percentile(values, (10, 50, 90))
    return {"median": round(float(middle), 4), "p10": round(float(low), 4), "p90": round(float(high), 4)}


if __name__ == "__main__":
    main()
