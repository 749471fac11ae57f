"""Randomness has a name, not a state.

Every draw is a pure function of `derive(seed, stream, *counters)`: the initial weights of a layer, the order of
an epoch, the flips of an epoch. Nothing has to be saved to resume, and two recipes that share a stream's
seed share its draws (a paired comparison).

`derive` hashes the name with SHA-256 to a 128-bit key; the key drives Philox4x64-10 (Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3"). Only Philox's raw 64-bit words are taken from numpy, whose
stream of raw words is guaranteed not to change (NEP 19); how words become uniforms and permutations is
fixed here, so that no later numpy can change a result.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]


def derive(seed: int, stream: str, *counters: int | str) -> int:
    """Return the 128-bit key of one draw.

    `seed` may be any integer; `stream` names the use ("init", "order", "augmentation"); `counters` tell
    draws of a stream apart (a parameter's name, an epoch). Different names give different keys.

    >>> derive(0, "order", 1) == derive(0, "order", 1)
    True
    >>> derive(0, "order", 1) == derive(0, "order", 2)
    False
    """
    # repr keeps 1 and "1" apart, and its quoting keeps ("a", "b") apart from ("a, b",).
    name = repr((int(seed), stream, *counters)).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:16], "little")


def words(key: int, n: int) -> Words:
    """Return `n` raw 64-bit words of the draw `key`."""
    raw = np.random.Philox(key=np.array([key & 0xFFFFFFFFFFFFFFFF, key >> 64], dtype=np.uint64)).random_raw(n)
    return np.asarray(raw, dtype=np.uint64)


def uniform(key: int, n: int) -> npt.NDArray[np.float64]:
    """Return `n` uniforms in the open interval (0, 1): ((word >> 12) + 1/2) * 2^-52.

    The half keeps 0 and 1 out, so that an inverse distribution function may be applied to each.
    """
    return ((words(key, n) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def permutation(key: int, n: int) -> npt.NDArray[np.int64]:
    """Return a permutation of 0..n-1: the stable order of n random 64-bit words."""
    return np.argsort(words(key, n), kind="stable").astype(np.int64)
