"""The machine's own peak: matrix products of 2048 x 2048 by 2048 x 2048."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.speed import turns

SIDE = 2048
FLOPS = 2 * SIDE**3
TRIES = 3


class Product:
    """Products in the peer's precision; a round takes the fastest of three a step."""

    def __init__(self, peer: turns.Peer, *, side: int = SIDE) -> None:
        torch.set_num_threads(len(peer.cores))
        dtype = torch.float32 if peer.precision == "float32" else torch.bfloat16
        self._matrix = torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(dtype)

    def first_step(self) -> None:
        """Multiply once."""
        self._matrix @ self._matrix

    def facts(self) -> dict[str, Any]:
        """Return FLOPs and torch's version."""
        return {"flops": FLOPS, "versions": {"torch": torch.__version__}}

    def round(self, *, steps: int, augmented: bool) -> dict[str, float]:  # noqa: ARG002 - a matrix is not augmented
        """Return `steps` times the seconds of the fastest product."""
        return {"seconds": steps * min(self._seconds() for _ in range(steps * TRIES))}

    def _seconds(self) -> float:
        begin = time.perf_counter()
        self.first_step()
        return time.perf_counter() - begin
