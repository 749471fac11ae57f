"""Whether code asks a device for a value: seen on the CPU, where it costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that hand a device's value to the host, or need one to know a shape."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "item")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.FORBIDDEN:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))

    @classmethod
    @contextmanager
    def forbidden(cls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
        """Count reads; those that no operation shows are errors."""
        with monkeypatch.context() as patch:
            for name in ("numpy", "tolist", "item", "cpu", "__array__"):
                patch.setattr(torch.Tensor, name, _forbidden)
            with cls() as reads:
                yield reads


def _forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("the device was read")
