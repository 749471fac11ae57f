"""Who is measured, and at what: processes, and the turns that they take.

A peer is a process, started once. A turn is what is measured at a time: steps of one peer, or of several at once.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from fewepochs import runtime

Kind = Literal["ours", "plain", "keras", "product"]
RECIPE = "resnet56v2-adam-atienza"
BATCH, DEPTH = 64, 56
BATCHES, DEPTHS = (32, 64, 128, 256), (20, 56, 110)
OURS, OURS_PLAIN = "fewepochs, float32", "fewepochs, float32, no augmentation"
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


@dataclass(frozen=True)
class Peer:
    """A process: what it computes, on which `cores` (a thread each). Ours is always channels-last."""

    name: str
    kind: Kind
    cores: tuple[int, ...]
    precision: Literal["float32", "bfloat16"] = "float32"
    backend: str = "torch"
    channels_last: bool = False
    batch: int = BATCH
    depth: int = DEPTH

    def to_json(self) -> str:
        """Return the peer as JSON, for the command line of its process."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Turn:
    """What is measured at a time: `peers` at once, with or without augmentation."""

    name: str
    peers: tuple[Peer, ...]
    augmented: bool = True


@dataclass(frozen=True)
class Programme:
    """Turns in their order, and who is absent, with the reason."""

    turns: tuple[Turn, ...]
    absent: dict[str, str]

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Every peer, once, in the order of its first turn."""
        return tuple({peer.name: peer for turn in self.turns for peer in turn.peers}.values())


def peer_from_json(text: str) -> Peer:
    """Return the peer that `to_json` wrote."""
    fields = json.loads(text)
    return Peer(**{**fields, "cores": tuple(fields["cores"])})


def side_by_side(cores: tuple[int, ...], *, depth: int = DEPTH) -> Programme:
    """Return the turns of the comparison: ours, the plain loop, Keras on each backend, and matrix products."""
    ours = Peer(OURS, "ours", cores, depth=depth)
    plain = [Peer("plain PyTorch", "plain", cores, depth=depth)]
    plain.append(replace(plain[0], name="plain PyTorch, channels-last", channels_last=True))
    turns = [Turn(OURS, (ours,)), Turn(OURS_PLAIN, (ours,), augmented=False)]
    products = [Peer("matrix product, float32", "product", cores)]
    absent: dict[str, str] = {}
    reason = runtime.bfloat16_missing()
    if reason is None:
        half = Peer("fewepochs, bfloat16", "ours", cores, precision="bfloat16", depth=depth)
        turns.append(Turn(half.name, (half,)))
        plain.append(replace(plain[1], name="plain PyTorch, channels-last, bfloat16", precision="bfloat16"))
        products.append(Peer("matrix product, bfloat16", "product", cores, precision="bfloat16"))
    else:
        absent |= dict.fromkeys(("fewepochs, bfloat16", "plain PyTorch, channels-last, bfloat16"), reason)
    turns += [Turn(peer.name, (peer,)) for peer in plain]
    for backend, label in BACKENDS.items():
        peer = Peer(f"Keras on {label}", "keras", cores, backend=backend, depth=depth)
        reason = missing("keras", backend)
        if reason is None:
            turns += [Turn(peer.name, (peer,)), Turn(f"{peer.name}, no augmentation", (peer,), augmented=False)]
        else:
            absent[peer.name] = reason
    return Programme((*turns, *(Turn(peer.name, (peer,)) for peer in products)), absent)


def growth(cores: tuple[int, ...], *, depth: int = DEPTH) -> Programme:
    """Return the turns that show how the cost of ours grows: with the batch, the depth, and runs at once."""
    base = Peer(f"batch {BATCH}, depth {depth}", "ours", cores, depth=depth)
    peers = [base]
    peers += [Peer(f"batch {size}", "ours", cores, batch=size, depth=depth) for size in BATCHES if size != BATCH]
    peers += [Peer(f"depth {other}", "ours", cores, depth=other) for other in DEPTHS if other != depth]
    turns, absent = [Turn(peer.name, (peer,)) for peer in peers], {}
    if len(cores) > 1:
        singles = tuple(Peer(f"one thread, core {core}", "ours", (core,), depth=depth) for core in cores)
        turns += [Turn("1 run, 1 thread", singles[:1]), Turn(f"{len(cores)} runs, 1 thread each", singles)]
    else:
        absent["runs at once"] = "this needs two threads, and --threads is 1"
    product = Peer("matrix product, float32", "product", cores)
    return Programme((*turns, Turn(product.name, (product,))), absent)


def missing(*modules: str) -> str | None:
    """Return which of `modules` is not installed and how to get it, or None."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    return f"{' and '.join(absent)}: not installed; `make bench` installs the peers" if absent else None


def within(available: Sequence[int], *, threads: int) -> tuple[int, ...]:
    """Return the first `threads` of the cores `available`; raises ValueError where there are not so many."""
    if not 1 <= threads <= len(available):
        raise ValueError(f"--threads {threads}: this process may use {len(available)} cores, so 1 to {len(available)}")
    return tuple(sorted(available)[:threads])
