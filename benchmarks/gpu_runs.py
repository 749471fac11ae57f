"""Several processes on one device, other people's loops, and whole runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.gpu_bench import Epochs, Setting, Told
from fewepochs.nets import resnet
from fewepochs.train import loop, meters

HERE = Path(__file__).resolve().parent
MEMBER_SECONDS, TINY_MEMBER_SECONDS = 6.0, 0.2
SHIFT = 3
SEEDS = 4

# --- several processes ----------------------------------------------------------------------------------------------


def packed(setting: Setting) -> Told:
    """Tell the images per second of 1, 2, 4 and 8 processes together, each with a run of its own, batch 64."""
    for count in (1, 2) if setting.tiny else (1, 2, 4, 8):
        yield f"{count} processes", partial(_together, setting, count)


def _together(setting: Setting, count: int) -> dict[str, Any]:
    """Let so many members get ready, begin at once, and count what they did in the same seconds."""
    with _members(setting, count) as members:
        for member in members:
            assert member.stdout is not None
            if not any(line.startswith("ready") for line in iter(member.stdout.readline, "")):
                raise RuntimeError("a process ended before it was ready")
        for member in members:
            assert member.stdin is not None
            member.stdin.write("go\n")
            member.stdin.flush()
        rates = [json.loads(_output(member).splitlines()[-1]) for member in members]
    return {"images_per_second": sum(rates), "of_each": rates}


def _output(member: subprocess.Popen[str]) -> str:
    return member.communicate()[0]


@contextmanager
def _members(setting: Setting, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.gpu", *setting.arguments, "--part", "member"]
    members = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        yield members
    finally:
        for member in members:
            member.kill()
            member.wait()


def member(setting: Setting) -> None:
    """Be one of several: get ready, wait for the word, train for some seconds, print images per second."""
    recipe = setting.recipe("batch_size=16" if setting.tiny else "batch_size=64", "precision=bfloat16")
    epochs = Epochs(setting.training(recipe, graphs=True))
    _some_steps(epochs)
    print("ready", flush=True)
    if not sys.stdin.readline():  # whoever waits is gone
        return
    print(json.dumps(_rate(setting, epochs)), flush=True)


# --- several runs in a process --------------------------------------------------------------------------------------


def streams(setting: Setting) -> Told:
    """Tell the images per second of 1, 2, 4 and 6 runs in this process, each in a thread and on a stream of its own."""
    recipe = setting.recipe("batch_size=16" if setting.tiny else "batch_size=64", "precision=bfloat16")
    runs: list[Epochs] = []
    for count in (1, 2) if setting.tiny else (1, 2, 4, 6):
        runs += [Epochs(setting.training(recipe, graphs=True)) for _ in range(count - len(runs))]
        yield f"{count} streams", partial(_side_by_side, setting, runs)


def _side_by_side(setting: Setting, runs: list[Epochs]) -> dict[str, Any]:
    streams = [torch.cuda.Stream() if setting.cuda else None for _ in runs]  # type: ignore[no-untyped-call]

    def begin(epochs: Epochs, stream: torch.cuda.Stream | None) -> None:
        with torch.cuda.stream(stream):
            _some_steps(epochs)

    def go_on(epochs: Epochs, stream: torch.cuda.Stream | None) -> float:
        with torch.cuda.stream(stream):
            return _rate(setting, epochs)

    with ThreadPoolExecutor(len(runs)) as threads:
        list(threads.map(begin, runs, streams))
        rates = list(threads.map(go_on, runs, streams))
    return {"images_per_second": sum(rates), "of_each": rates}


def _some_steps(epochs: Epochs) -> None:
    for _ in range(10):
        epochs.ready(1)
        epochs.step()
    meters.synchronise(epochs.training.device)


def _rate(setting: Setting, epochs: Epochs) -> float:
    """Train for some seconds; return the images of each."""
    begin, steps = time.perf_counter(), 0
    seconds = TINY_MEMBER_SECONDS if setting.tiny else MEMBER_SECONDS
    while time.perf_counter() - begin < seconds:
        _some_steps(epochs)
        steps += 10
    return steps * epochs.batch / (time.perf_counter() - begin)


# --- other loops ----------------------------------------------------------------------------------------------------


class _Images(Dataset[tuple[Tensor, int]]):
    """Images as tutorials have them: one at a time on the host, shifted and mirrored at random."""

    def __init__(self, setting: Setting) -> None:
        train = setting.dataset.train
        self._pixels, self._labels, self._white = train.pixels, train.labels, float(setting.dataset.white)
        self._mean = (train.pixels.mean(axis=0, dtype=np.float64) / self._white).astype(np.float32)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self._pixels[index].astype(np.float32) / self._white - self._mean
        height, width, _ = image.shape
        top, left, mirrored = (int(n) for n in torch.randint(0, 2 * SHIFT + 1, (3,)))
        image = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")[top : top + height, left:][
            :, :width
        ]
        image = image[:, ::-1] if mirrored % 2 else image
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), int(self._labels[index])


def plain(setting: Setting) -> Told:
    """Tell the cost of a step in a plain loop: DataLoader, autocast, Adam, the loss read after each step."""
    for batch in (16,) if setting.tiny else (128, 32):
        for precision in ("float32", "bfloat16"):
            yield f"batch {batch}, {precision}", partial(_plain, setting, batch, precision)


def _plain(setting: Setting, batch: int, precision: str) -> dict[str, Any]:
    images, spec = _Images(setting), setting.recipe().network
    height, width, channels = images._pixels.shape[1:]
    network = resnet.build(
        spec, image=resnet.ImageShape(height, width, channels), classes=10, init_seed=0, dropout_seed=0
    ).to(setting.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=2e-4)
    workers = 0 if setting.tiny else min(12, len(os.sched_getaffinity(0)))
    batches = DataLoader(
        images, batch_size=batch, shuffle=True, num_workers=workers, pin_memory=setting.cuda, drop_last=True
    )
    network.train()
    times, seconds, begin = [], 0.5 if setting.tiny else 6.0, time.perf_counter()
    for x, labels in batches:
        x, labels = x.to(setting.device, non_blocking=True), labels.to(setting.device, non_blocking=True)
        with torch.autocast(setting.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()
        times.append(time.perf_counter())
        if times[-1] - begin > seconds:
            break
    gaps = np.diff(times)[len(times) // 5 :]
    mean = float(gaps.mean())
    return {
        "milliseconds": 1e3 * mean,
        "steps": len(gaps),
        "workers": workers,
        "images_per_second": batch / mean,
        "seconds_per_epoch": mean * (len(images) // batch),
    }


KERAS = """
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
import keras
from oracles import keras_resnet
batch, precision, tiny = int(sys.argv[2]), sys.argv[3], sys.argv[4] == "tiny"
keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
model = keras_resnet.build_v2(11 if tiny else 56)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(1e-3))
steps = 2 if tiny else 200
x, y = np.zeros((batch * steps, 32, 32, 3), "float32"), np.eye(10, dtype="float32")[np.arange(batch * steps) % 10]
begin = time.perf_counter()
model.fit(x[:batch * 2], y[:batch * 2], batch_size=batch, verbose=0)
first = time.perf_counter() - begin
begin = time.perf_counter()
model.fit(x, y, batch_size=batch, verbose=0)
spent = (time.perf_counter() - begin) / steps
print(json.dumps({"milliseconds": 1e3 * spent, "first_call_seconds": first, "images_per_second": batch / spent,
                  "seconds_per_epoch": spent * (50000 // batch), "keras": keras.__version__}))
"""


def keras(setting: Setting) -> Told:
    """Tell the cost of a step of Keras's own fit, without augmentation, on the backends that are installed."""
    for backend in ("jax", "torch"):
        missing = [name for name in ("keras", backend) if importlib.util.find_spec(name) is None]
        if missing:
            yield backend, f"{missing[0]} is not installed"
            continue
        for precision in ("bfloat16", "float32"):
            yield f"{backend}, {precision}", partial(_keras, setting, backend, precision)


def _keras(setting: Setting, backend: str, precision: str) -> dict[str, Any]:
    batch, size = (4, "tiny") if setting.tiny else (128, "whole")
    command = [sys.executable, "-c", KERAS, str(HERE.parent / "tests"), str(batch), precision, size]
    hidden = {} if setting.cuda else {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    environment = {**os.environ, "KERAS_BACKEND": backend, **hidden}
    seconds = setting.left if setting.tiny else min(setting.left, 120.0)  # XLA compiled for longer than a minute
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    if ended.returncode != 0:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["no message"])[-1])
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return {**found, "batch": batch}


# --- whole runs -----------------------------------------------------------------------------------------------------


def fewest(setting: Setting) -> Told:
    """Tell the epochs of the recipe "fewest", trained to its end."""
    overrides = ("budget.epochs=2",) if setting.tiny else ()
    yield from _epochs(setting, setting.training(setting.recipe(*overrides, name="fewest"), graphs=True), name="epoch")


def _epochs(setting: Setting, training: loop.Training, *, name: str) -> Told:
    """Train to the end, or as far as the time goes; tell each epoch."""
    yield f"{name} 0", {"setup_seconds": training.spent.setup_seconds, "not_recorded": training.not_recorded}
    for record, cost in loop.run(training, progress=loop.Progress()):
        yield (
            f"{name} {record.epoch}",
            {
                "val_acc": record.val_acc,
                "val_loss": record.val_loss,
                "loss": record.loss,
                "train_seconds": cost.train_seconds,
                "evaluation_seconds": cost.evaluation_seconds,
                "joules": cost.joules,
            },
        )
        if setting.left < cost.train_seconds + cost.evaluation_seconds + 2.0:
            return


def baseline(setting: Setting) -> Told:
    """Tell the epochs of the published baseline, batch 64 in bfloat16, of several seeds that take turns.

    Its schedule is that of 200 epochs: within a few minutes only the part at the first rate is seen.
    """
    count = 2 if setting.tiny else SEEDS
    overrides = ("budget.epochs=2",) if setting.tiny else ("precision=bfloat16",)
    runs = [setting.training(setting.recipe(f"seed={seed}", *overrides), graphs=True) for seed in range(count)]
    told = [_epochs(setting, run, name=f"seed {seed}, epoch") for seed, run in enumerate(runs)]
    while told:
        for one in list(told):
            found = next(one, None)
            if found is None:
                told.remove(one)
            else:
                yield found
