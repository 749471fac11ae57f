"""The laws that hang on a GPU, each told as passed or failed.

recorded = not recorded   after 50 steps and an evaluation, bit for bit, in each precision and for each optimizer
resumed = not stopped     bit for bit, in mid-epoch, recorded
first 20 losses           within LOSS_BOUND of the CPU's, in float32
silence                   no step and no evaluation makes the host wait (torch.cuda.set_sync_debug_mode)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from benchmarks.gpu_bench import Epochs, Setting, Told
from fewepochs.nets.kernels import Kernels
from fewepochs.train import checkpoint, environment, loop

PRECISIONS = ("float32", "bfloat16")
STEPS, TINY_STEPS, LOSSES = 50, 3, 20
LOSS_BOUND = 0.02
"""Relative. Adam's first steps divide by roots of tiny squares: rounding grows from step to step."""
DECAY = "weight_decay={kind='decoupled'}"
OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "adamw": ("optimizer={kind='adamw'}", DECAY),
    "nadam": ("optimizer={kind='nadam'}",),
    "sgd": ("optimizer={kind='sgd', lr=0.1, momentum=0.9, nesterov=true}", "clip_norm=1.0"),
    "rmsprop": ("optimizer={kind='rmsprop', centered=true}", "averaging={kind='ema', decay=0.99}"),
    "lion": ("optimizer={kind='lion', lr=1e-4}", "mixing={kind='mixup', alpha=0.4}"),
    "lamb": ("optimizer={kind='lamb', lr=1e-2}", "mixing={kind='cutmix', probability=0.7}"),
    "muon": ("optimizer={kind='muon'}", "augmentation={kind='crop-flip', cutout=4, flip='alternating'}"),
    "float16": ("precision=float16",),
}


def checks(setting: Setting) -> Told:
    """Tell of each law whether it holds."""
    if setting.cuda:
        environment.make_deterministic()
    for precision in PRECISIONS:
        overrides = (f"precision={precision}",)
        yield f"recorded = not recorded, {precision}", partial(_recorded, setting, overrides)
    yield "resumed = not stopped", partial(_resumed, setting, kernels="torch")
    yield "silence, not recorded", partial(_silence, setting, graphs=False)
    yield "silence, recorded", partial(_silence, setting, graphs=True)
    yield "what cannot be recorded says why", partial(_refusal, setting)
    yield "first 20 losses are the CPU's", partial(_losses, setting, kernels="torch")
    for kind, changes in OPTIMIZERS.items():
        check = partial(_recorded, setting, changes, steps=20)
        yield f"recorded = not recorded, {kind}", check


def inductor(setting: Setting) -> Told:
    """Tell of the first three laws whether they hold on kernels that torch compiles."""
    if setting.cuda:
        environment.make_deterministic()
    for precision in PRECISIONS:
        check = partial(_recorded, setting, (f"precision={precision}",), kernels="inductor")
        yield f"recorded = not recorded, {precision}", check
    yield "resumed = not stopped", partial(_resumed, setting, kernels="inductor")
    yield "first 20 losses are the CPU's", partial(_losses, setting, kernels="inductor")


def _digest(training: loop.Training) -> str:
    return checkpoint.digest(training.snapshot().tensors)


def _walk(training: loop.Training, *, steps: int) -> None:
    epochs = Epochs(training)
    for _ in range(steps):
        epochs.ready(1)
        epochs.step()


def _recorded(
    setting: Setting, overrides: tuple[str, ...], *, steps: int = STEPS, kernels: Kernels = "torch"
) -> dict[str, Any]:
    steps = TINY_STEPS if setting.tiny else steps
    found, refused = [], None
    for graphs in (False, True):
        training = setting.training(setting.recipe(*overrides), graphs=graphs, kernels=kernels)
        refused = training.not_recorded
        _walk(training, steps=steps)
        found.append((_digest(training), training.program.evaluate(training.data.validation, done=1.0)))
    return {"passed": refused is None and found[0] == found[1], "steps": steps, "not_recorded": refused}


def _resumed(setting: Setting, *, kernels: Kernels) -> dict[str, Any]:
    """Two runs of an epoch's first steps, one of them stopped after a third and gone on with by another object."""
    recipe = setting.recipe(*(() if setting.tiny else ("precision=bfloat16", "batch_size=512")))
    steps = 2 if setting.tiny else 20
    whole, first, second = (setting.training(recipe, graphs=True, kernels=kernels) for _ in range(3))
    _first_steps(whole, upto=3 * steps)
    _first_steps(first, upto=steps)
    second.restore(first.snapshot())
    _first_steps(second, upto=3 * steps)
    return {"passed": _digest(whole) == _digest(second), "steps": 3 * steps, "stopped_after": steps}


def _first_steps(training: loop.Training, *, upto: int) -> None:
    """Train to the step `upto` of the first epoch, from where `training` stands in it."""
    program, moved = training.program, loop._controls(training, epoch=1)
    program.begin_epoch(loop.plan(training, epoch=1), controls=moved, done=training.epoch_steps)
    while training.epoch_steps < upto:
        program.step(training.recipe.batch_size)
        training.epoch_steps += 1


def _silence(setting: Setting, *, graphs: bool) -> dict[str, Any]:
    training = setting.training(setting.recipe(), graphs=graphs)
    epochs = Epochs(training)
    epochs.ready(6)
    epochs.step()  # libraries may wait when they are first used
    batches = list(training.program._evaluation(training.data.validation))
    batches[0][1]()
    training.program._evaluated.clear()
    with _waiting_is_an_error(setting):
        for _ in range(5):
            epochs.step()
        for key, work in batches:
            training.program._replays.do(key, work)
    return {"passed": True, "checked": setting.cuda, "not_recorded": training.not_recorded}


@contextmanager
def _waiting_is_an_error(setting: Setting) -> Iterator[None]:
    if not setting.cuda:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _refusal(setting: Setting) -> dict[str, Any]:
    overrides = ("optimizer={kind='python', target='torch.optim.NAdam', lr=1e-3}",)
    training = setting.training(setting.recipe(*overrides), graphs=True, allow=("torch.optim",))
    _walk(training, steps=2)
    return {"passed": training.not_recorded is not None, "said": training.not_recorded}


def _losses(setting: Setting, *, kernels: Kernels) -> dict[str, Any]:
    steps = TINY_STEPS if setting.tiny else LOSSES
    cpu = _means(setting.training(setting.recipe(), graphs=False, device=torch.device("cpu")), steps=steps)
    ours = _means(setting.training(setting.recipe(), graphs=True, kernels=kernels), steps=steps)
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, cpu, strict=True))
    first = abs(ours[0] - cpu[0]) / abs(cpu[0])
    return {"passed": worst <= LOSS_BOUND, "worst_relative": worst, "first_relative": first, "bound": LOSS_BOUND}


def _means(training: loop.Training, *, steps: int) -> list[float]:
    epochs, found, before = Epochs(training), [], 0.0
    epochs.ready(steps)
    for _ in range(steps):
        epochs.step()
        total = training.program.totals().loss
        found.append((total - before) / epochs.batch)
        before = total
    return found
