"""Work that is recorded once and then replayed: the host says "another step", the device does all of it.

    recorder.rehearse(work)               as often as libraries need to settle; the state is put back each time
    replay = recorder.record(work)        every operation, with the tensors that it reads and writes
    replay()                              the same operations on the same tensors, whatever these hold by now

A recording knows tensors by their place in memory and numbers of the host by their value. So work that is recorded
writes into tensors that stay (never `self.x = new`), looks up what changes from step to step on the device, and asks
the device nothing. A replay has the bits of the work done one operation after the other: the same kernels on the same
values.

On CUDA a recording is a CUDA graph (Nguyen et al. 2021, pytorch.org/blog/accelerating-pytorch-with-cuda-graphs): one
launch instead of one for each of a step's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

import torch

Work = Callable[[], None]

REHEARSALS = 3
"""Times that work is done before it is recorded: cuDNN and cuBLAS set themselves up when they are first used."""


class NotRecordedError(Exception):
    """Why work cannot be recorded; it can still be done one operation after the other."""


class Recorder(Protocol):
    """What records work on a device."""

    def rehearse(self, work: Work) -> None:
        """Do `work` as it will be recorded, without recording it."""

    def record(self, work: Work) -> Work:
        """Return the replay of `work`; whether `work` is done meanwhile is the recorder's. Raises what stops it."""


class CudaRecorder:
    """Records CUDA graphs. They share one pool of memory: none of them leaves anything in it that another needs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def rehearse(self, work: Work) -> None:
        """Do `work` on a stream of its own, as a recording is made."""
        with torch.cuda.device(self._device):
            here, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                work()
            here.wait_stream(aside)

    def record(self, work: Work) -> Work:
        """Return the launch of a graph of `work`, which is not done meanwhile."""
        graph = torch.cuda.CUDAGraph()
        # "thread_local": another thread of this process may train a run of its own meanwhile.
        recording = torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local")
        with torch.cuda.device(self._device), recording:
            work()
        return graph.replay


def recorder(device: torch.device) -> Recorder | None:
    """Return what records the work of `device`; None for a CPU, where there is nothing to be had."""
    return CudaRecorder(device) if device.type == "cuda" else None


class Replays:
    """Work by key: replayed where it was recorded, done where it was not."""

    def __init__(self) -> None:
        self._recorded: dict[Hashable, Work] = {}

    def do(self, key: Hashable, work: Work) -> None:
        """Replay what was recorded under `key`; do `work` where nothing was."""
        self._recorded.get(key, work)()

    def record(self, works: Mapping[Hashable, Work], *, recorder: Recorder, restore: Work) -> None:
        """Record all of `works`, or none of them: raises NotRecordedError.

        `restore` puts back what they change; it comes after each time that one may have been done, so that each begins
        from the same state.
        """
        recorded: dict[Hashable, Work] = {}
        try:
            for key, work in works.items():
                for _ in range(REHEARSALS):
                    recorder.rehearse(work)
                    restore()
                recorded[key] = recorder.record(work)
                restore()
        except Exception as error:  # the work, a driver or a library: each has its own
            restore()
            raise NotRecordedError(_reason(error)) from error
        self._recorded = recorded


def _reason(error: BaseException) -> str:
    """Return in a line what came first: a recording that was broken off complains about that, too."""
    while error.__context__ is not None:
        error = error.__context__
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
