"""How fast a step is, what it reads and writes, and what else might make it faster.

Seconds of an epoch are the median time of a step times the steps of an epoch; joules likewise. What a step costs beside
that - evaluation, setting up, recording - is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_bench import Epochs, Setting, Told
from fewepochs.train import environment, loop

BATCHES, PRECISIONS = (128, 64, 32, 512), ("bfloat16", "float32")
ROUNDS, ROUND_SECONDS, WARM_UP = 5, 0.6, 5
COPY_BYTES, TINY_COPY_BYTES = 1 << 30, 1 << 22


def steps(setting: Setting) -> Told:
    """Tell the cost of a step for each batch size and precision, replayed; of the first size not replayed, too."""
    for batch in (16,) if setting.tiny else BATCHES:
        for precision in PRECISIONS:
            for graphs in (True,) if batch in BATCHES[1:] else (True, False):
                recipe = setting.recipe(f"batch_size={batch}", f"precision={precision}")
                name = f"batch {batch}, {precision}, {'replayed' if graphs else 'not replayed'}"
                make = partial(setting.training, recipe, graphs=graphs)
                yield name, partial(measured, setting, make)


def measured(setting: Setting, make: Callable[[], loop.Training]) -> dict[str, Any]:
    """Return what a step of the run that `make` makes costs, and what comes with it."""
    if setting.cuda:
        torch.cuda.reset_peak_memory_stats(setting.device)
    begin = time.perf_counter()
    training = make()
    setting.synchronise()
    made = time.perf_counter() - begin
    timed = timed_steps(setting, Epochs(training))
    per_epoch = training.horizon.epoch_steps[0]
    program, part = training.program, training.data.validation
    program.evaluate(part, done=1.0)
    begin = time.perf_counter()
    program.evaluate(part, done=1.0)
    return {
        **timed,
        "seconds_per_epoch": timed["milliseconds"] * per_epoch / 1e3,
        "joules_per_epoch": None if timed["joules"] is None else timed["joules"] * per_epoch,
        "evaluation_seconds": time.perf_counter() - begin,
        "made_and_recorded_seconds": made - training.compile_seconds,
        "compile_seconds": training.compile_seconds,
        "not_recorded": training.not_recorded,
        "peak_memory_bytes": training.meter.peak_memory_bytes(),
    }


def timed_steps(setting: Setting, epochs: Epochs) -> dict[str, Any]:
    """Return milliseconds and joules of a step, from rounds of as many steps as fill the time of one."""
    batch = epochs.batch
    epochs.ready(WARM_UP)
    for _ in range(min(WARM_UP, epochs.per_epoch)):
        epochs.step()
    count = epochs.ready(WARM_UP)
    stop = epochs.training.meter.start()
    for _ in range(count):
        epochs.step()
    estimate = stop().seconds / count
    wanted = 3 if setting.tiny else max(10, int(ROUND_SECONDS / estimate))
    times, joules, reason = [], [], None
    for _ in range(2 if setting.tiny else ROUNDS):
        count = epochs.ready(wanted)
        stop = epochs.training.meter.start()
        for _ in range(count):
            epochs.step()
        reading = stop()
        times.append(1e3 * reading.seconds / count)
        joules.append(None if reading.joules is None else reading.joules / count)
        reason = reading.reason
    known = [j for j in joules if j is not None]
    return {
        "milliseconds": float(np.median(times)),
        "lowest": min(times),
        "highest": max(times),
        "rounds_of_steps": [len(times), count],
        "images_per_second": 1e3 * batch / float(np.median(times)),
        "joules": float(np.median(known)) if known else None,
        "joules_reason": reason,
    }


# --- traffic --------------------------------------------------------------------------------------------------------


def traffic(setting: Setting) -> Told:
    """Tell how close a step comes to the bandwidth of the memory, and to a device that never waits for a launch."""
    yield "copy", partial(_copy, setting)
    for precision in PRECISIONS:
        recipe = setting.recipe(*(() if setting.tiny else ("batch_size=128",)), f"precision={precision}")
        yield f"step, {precision}", partial(_traffic, setting, recipe)


def _copy(setting: Setting) -> dict[str, Any]:
    size = TINY_COPY_BYTES if setting.tiny else COPY_BYTES
    source, target = (torch.zeros(size, dtype=torch.uint8, device=setting.device) for _ in range(2))
    target.copy_(source)
    times = []
    for _ in range(10):
        setting.synchronise()
        begin = time.perf_counter()
        target.copy_(source)
        setting.synchronise()
        times.append(time.perf_counter() - begin)
    return {"bytes_per_second": 2 * size / min(times), "bytes": size}


class _Bytes(TorchDispatchMode):
    """Adds up the bytes of the tensors that operations read and write; views touch none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total, self.operations = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns):
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.total += sum(t.nbytes for t in tensors)
            self.operations += 1
        return out


def _traffic(setting: Setting, recipe: Any) -> dict[str, Any]:
    """Bytes are an upper bound: what the caches keep, memory does not see."""
    epochs = Epochs(setting.training(recipe, graphs=False))
    epochs.ready(5)
    epochs.step()
    with _Bytes() as counted:
        epochs.step()
    kernels = _kernels(setting, epochs)
    replayed = timed_steps(setting, Epochs(setting.training(recipe, graphs=True)))
    rate = counted.total / (1e-3 * replayed["milliseconds"])
    return {
        "bytes": counted.total,
        "operations": counted.operations,
        "milliseconds_replayed": replayed["milliseconds"],
        "bytes_per_second": rate,
        "share_of_copy_bandwidth": rate / _copy(setting)["bytes_per_second"],
        **kernels,
    }


def _kernels(setting: Setting, epochs: Epochs) -> dict[str, Any]:
    """Return the time of a step's kernels one after the other: no launch, no gap between them can make it less."""
    count = 3
    setting.synchronise()
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CUDA if setting.cuda else kinds.CPU], acc_events=True) as profile:
        for _ in range(count):
            epochs.step()
        setting.synchronise()
    found = profile.key_averages()
    spent = sum(event.self_device_time_total if setting.cuda else event.self_cpu_time_total for event in found)
    return {"kernel_milliseconds": spent / 1e3 / count, "kernels": sum(event.count for event in found) / count}


# --- variants -------------------------------------------------------------------------------------------------------


def variants(setting: Setting) -> Told:
    """Tell what is not used unasked: TF32, cuDNN's search for algorithms, inductor's kernels, repeated bits."""
    batch = "batch_size=16" if setting.tiny else "batch_size=128"
    for precision in PRECISIONS:
        make = partial(setting.training, setting.recipe(batch, f"precision={precision}"), graphs=True)
        yield f"as it is, {precision}", partial(measured, setting, make)
        if precision == "float32":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            yield "TF32, float32", partial(measured, setting, make)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        yield f"cuDNN's search, {precision}", partial(measured, setting, make)
        torch.backends.cudnn.benchmark = False
        compiled = partial(make, kernels="inductor")
        yield f"inductor's kernels, {precision}", partial(measured, setting, compiled)
        environment.make_deterministic()
        yield f"deterministic, {precision}", partial(measured, setting, make)
        torch.use_deterministic_algorithms(False)
