"""What the parts of gpu.py share: the setting, runs to measure on, and how a part tells what it found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewepochs import recipe as recipes
from fewepochs.data import images, loader, sources
from fewepochs.nets.kernels import Kernels
from fewepochs.train import environment, loop, replay

RECIPE, TINY_RECIPE = "resnet56v2-adam-atienza", "digits-step"
TINY = (
    "data.validation={kind='held-out', images=1300}",
    "batch_size=16",
    "network={kind='resnet-v2', units=[1, 1], filters=[8, 16], bottleneck=[4, 8], stem={filters=4}}",
)
ENVIRONMENT = {part: {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} for part in ("checks", "inductor", "variants")}
"""cuBLAS reads it when it is first used; without it sums need not repeat."""
_MARK = "told: "

Told = Iterator[tuple[str, Any]]
"""Names, each with a number or with the work that finds it."""
DEAD = 86
"""The exit code of a part whose device answers no more: what it has not told yet is begun in another process."""


class Repeating:
    """A recorder where there are no graphs: a replay is the work done again. It lets a CPU walk the same paths."""

    def rehearse(self, work: replay.Work) -> None:
        """Do the work."""
        work()

    def record(self, work: replay.Work) -> replay.Work:
        """Return the work."""
        return work


@dataclass(frozen=True)
class Setting:
    """On what a part measures, and until when."""

    device: torch.device
    tiny: bool
    data: Path | None
    end: float
    arguments: tuple[str, ...] = ()
    noise: bool = False

    @classmethod
    def of(cls, given: argparse.Namespace) -> Setting:
        """Return the setting that the command line gives; its seconds begin now."""
        arguments = ["--device", given.device, *(["--tiny"] if given.tiny else [])]
        arguments += ["--data", str(given.data)] if given.data else []
        arguments += ["--noise"] if given.noise else []
        end = time.monotonic() + (given.deadline or 1e9)
        return cls(torch.device(given.device), given.tiny, given.data, end, tuple(arguments), given.noise)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device.type == "cuda"

    @cached_property
    def dataset(self) -> sources.DataSet:
        """The images, on the host."""
        if self.noise:
            return noise()
        return sources.load("digits") if self.tiny else sources.load("cifar10", where=self.data)

    def recipe(self, *overrides: str, name: str = RECIPE) -> recipes.Recipe:
        """Return a shipped recipe, or its tiny stand-in."""
        if self.tiny:
            return recipes.load(TINY_RECIPE, overrides=(*TINY, *overrides))
        return recipes.load(name, overrides=overrides)

    def training(
        self,
        recipe: recipes.Recipe,
        *,
        graphs: bool,
        kernels: Kernels = "torch",
        device: torch.device | None = None,
        allow: tuple[str, ...] = (),
    ) -> loop.Training:
        """Return a fresh run of `recipe`, its steps recorded where `graphs` are wished for."""
        where = device or self.device
        recorder: replay.Recorder = replay.CudaRecorder(where) if where.type == "cuda" else Repeating()
        data = loader.prepare(self.dataset, spec=recipe.data, device=where)
        return loop.Training(
            recipe, data=data, device=where, kernels=kernels, allow_code=allow, recorder=recorder if graphs else None
        )

    @property
    def alive(self) -> bool:
        """Whether the device still answers."""
        try:
            self.synchronise()
        except RuntimeError:
            return False
        return True

    def synchronise(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize(self.device)


class Epochs:
    """Full batches of a run, one after the other, epoch after epoch, again and again, without evaluations between."""

    def __init__(self, training: loop.Training) -> None:
        self.training = training
        self.batch = min(training.recipe.batch_size, len(training.data.train))
        self.per_epoch = len(training.data.train) // self.batch
        self._epoch, self._done = 0, self.per_epoch

    def ready(self, steps: int) -> int:
        """Begin another epoch if this one has not so many steps left; return how many can be done without another."""
        if self.per_epoch - self._done < min(steps, self.per_epoch):
            self._epoch, self._done = self._epoch % self.training.recipe.budget.epochs + 1, 0
            moved = loop._controls(self.training, epoch=self._epoch)
            self.training.program.begin_epoch(loop.plan(self.training, epoch=self._epoch), controls=moved)
        return min(steps, self.per_epoch)

    def step(self) -> None:
        """Do the next step."""
        self.training.program.step(self.batch)
        self._done += 1


def noise() -> sources.DataSet:
    """Return images in CIFAR-10's number and shape with nothing in them: for how fast, not for how well."""
    draws = np.random.default_rng(0)
    train, test = (
        sources.Images(draws.integers(256, size=(n, 32, 32, 3), dtype=np.uint8), draws.integers(10, size=n))
        for n in (50_000, 10_000)
    )
    names = tuple(str(one) for one in range(10))
    return sources.DataSet("cifar10", train, test, names, 255, images.digest(train, test), "noise", "nothing")


def tell(name: str, value: Any) -> None:
    """Tell a number to whoever runs this part."""
    print(_MARK + json.dumps([name, value]), flush=True)


def heard(line: str) -> tuple[str, Any] | None:
    """Return what a line of a part's output tells; libraries print there, too."""
    if not line.startswith(_MARK):
        return None
    name, value = json.loads(line.removeprefix(_MARK))
    return name, value


def carry_out(part: Told, *, done: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield each name of a part with what its work found, or how it failed; the first `done` are passed over."""
    for index, (name, found) in enumerate(part):
        if index >= done:
            yield name, attempt(found) if callable(found) else found


def attempt(work: Callable[[], Any]) -> Any:
    """Return what `work` found, or how it failed: one failure does not stop the rest."""
    try:
        return work()
    except Exception as error:  # whatever breaks is a finding here
        lines = (str(error).strip() or "no message").splitlines()
        return {"failed": f"{type(error).__name__}: {lines[0][:300]}"}


def _where(setting: Setting) -> dict[str, Any]:
    data = setting.dataset
    found = environment.collect(device=setting.device, kernels="torch", data_digest=data.digest, data_origin=data.kind)
    del found["command"]  # it holds the paths of the machine that measured
    return found


def run_part(name: str, setting: Setting, *, done: int = 0) -> None:
    """Run a part in this process but for the first `done` of what it tells, telling what it finds as it finds it.

    An error of CUDA stays with its process: exits with DEAD, so that it stays with the work that made it, too.
    """
    from benchmarks import gpu_checks, gpu_runs, gpu_steps

    environment.make_exact()
    if name == "member":
        gpu_runs.member(setting)
        return
    parts: dict[str, Callable[[Setting], Told]] = {
        "checks": gpu_checks.checks,
        "inductor": gpu_checks.inductor,
        "steps": gpu_steps.steps,
        "traffic": gpu_steps.traffic,
        "variants": gpu_steps.variants,
        "plain": gpu_runs.plain,
        "packed": gpu_runs.packed,
        "streams": gpu_runs.streams,
        "fewest": gpu_runs.fewest,
        "keras": gpu_runs.keras,
        "baseline": gpu_runs.baseline,
    }
    part = parts[name](setting)
    if name == "checks":
        part = chain([("environment", partial(_where, setting))], part)
    for told in carry_out(part, done=done):
        tell(*told)
        if not setting.alive:
            sys.exit(DEAD)
