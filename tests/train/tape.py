"""A recorder for the CPU that is as strict as a CUDA graph: a replay knows tensors and numbers, and no Python."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from device_reads import Reads
from fewepochs.train import replay


class TapeRecorder:
    """Records every operation with the very tensors that it read and wrote; counts what it was asked for."""

    def __init__(self) -> None:
        self.rehearsed, self.replayed = 0, 0

    def rehearse(self, work: replay.Work) -> None:
        self.rehearsed += 1
        work()

    def record(self, work: replay.Work) -> replay.Work:
        """Return a replay of `work`, which is done meanwhile: its operations need tensors to write to."""
        with _Tape() as tape:
            work()

        def again() -> None:
            self.replayed += 1
            tape.play()

        return again


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = Reads.name(func, args, kwargs or {})
        if name in Reads.FORBIDDEN:
            raise RuntimeError(f"{name} while recording")
        out = func(*args, **(kwargs or {}))
        # A view lies where what it looks at lies: nothing is left to be done.
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns):
            self._operations.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, out in self._operations:
            for kept, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(kept, torch.Tensor) and kept is not new:
                    kept.copy_(new)
