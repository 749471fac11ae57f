"""Whether code asks a device for a value: seen on the CPU, where it costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that hand a device's value to the host, need one to know a shape, or bring one there."""

    READS = (
        "_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "item", "index_by_mask",
        "repeat_interleave_without_output_size",
    )  # fmt: skip
    SENDS = ("lift_fresh", "_pin_memory", "_to_copy_between_devices")
    FORBIDDEN = (*READS, *SENDS)

    def __init__(self, *, sending: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counted = self.FORBIDDEN if sending else self.READS
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = self.name(func, args, kwargs or {})
        if name in self._counted:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))

    @staticmethod
    def name(func: Any, args: Any, kwargs: Any) -> str:
        """Return an operation's name, with what about its arguments makes it wait for the device."""
        name: str = func.overloadpacket.__name__
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            return "repeat_interleave_without_output_size"
        if name in ("index", "index_put", "index_put_"):
            by_mask = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
            return "index_by_mask" if by_mask else name
        if name == "_to_copy" and torch.device(kwargs.get("device") or args[0].device) != args[0].device:
            return "_to_copy_between_devices"
        return name

    @classmethod
    @contextmanager
    def forbidden(cls, monkeypatch: pytest.MonkeyPatch, *, sending: bool = False) -> Iterator[Reads]:
        """Count reads, and `sending` of what the host has; what no operation shows is an error."""
        with monkeypatch.context() as patch:
            for name in ("numpy", "tolist", "item", "cpu", "__array__"):
                patch.setattr(torch.Tensor, name, _forbidden)
            for name in ("from_numpy", "as_tensor", "frombuffer") if sending else ():
                patch.setattr(torch, name, _forbidden)
            with cls(sending=sending) as reads:
                yield reads


def _forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("the device was read")
