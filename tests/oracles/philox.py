"""Philox4x64-10 in plain integers, after Salmon et al. 2011, section 4.3 and table 2; numpy's counter begins at 1."""

from __future__ import annotations

WORD = 1 << 64
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


def block(counter: int, key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the four words of the block `counter`."""
    a, b, c, d = (counter >> (64 * k) & (WORD - 1) for k in range(4))
    k0, k1 = key
    for _ in range(10):
        high_0, low_0 = divmod(MULTIPLIERS[0] * a, WORD)
        high_1, low_1 = divmod(MULTIPLIERS[1] * c, WORD)
        a, b, c, d = high_1 ^ b ^ k0, low_1, high_0 ^ d ^ k1, low_0
        k0, k1 = (k0 + WEYL[0]) % WORD, (k1 + WEYL[1]) % WORD
    return a, b, c, d


def words(key: int, n: int) -> list[int]:
    """Return the first `n` words under the 128-bit `key`."""
    halves = key % WORD, key >> 64
    return [word for k in range((n + 3) // 4) for word in block(k + 1, halves)][:n]
