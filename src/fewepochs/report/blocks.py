"""A curve over epochs drawn with blocks of text, for a terminal.

0.04 │    ▃██▅▂
   0 │▂▇██████████▅▂
     └────────────────
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
_MARGIN = 11


def curve(
    done: Sequence[float],
    values: Sequence[float],
    *,
    title: str,
    epochs: int,
    width: int,
    height: int,
    log: bool = False,
    plain: bool = False,
) -> list[str]:
    """Return `values`, none negative, at the rising positions `done` of a budget of `epochs`; at most `width` columns.

    A column shows the value at its middle. `log` needs values above 0. `plain` draws with ASCII alone.
    """
    room = width - _MARGIN - 1
    low, high = min(values), max(values)
    shown = [values[max(0, bisect_right(done, (k + 0.5) * epochs / room) - 1)] for k in range(room)]
    blocks, side, corner, floor = (" #", "|", "+", "-") if plain else (BLOCKS, "│", "└", "─")
    fine = len(blocks) - 1
    parts = height * fine
    filled = [_logarithmic(v, low, high, parts=parts) if log else _linear(v, high, parts=parts) for v in shown]
    labels = {height - 1: f"{high:.4g}", 0: f"{low:.4g}" if log else "0"}
    found = [f"{title}{' (logarithmic)' if log else ''}, over epochs done"]
    for row in range(height - 1, -1, -1):
        cells = "".join(blocks[min(fine, max(0, count - row * fine))] for count in filled)
        found.append(f"{labels.get(row, ''):>{_MARGIN - 2}} {side}{cells}".rstrip())
    return [*found, f"{'':>{_MARGIN - 2}} {corner}{floor * room}", _scale(epochs, room=room)]


def _linear(value: float, high: float, *, parts: int) -> int:
    """Return how many of a column's `parts` are filled; what is not zero shows."""
    return max(1, round(value / high * parts)) if value > 0 else 0


def _logarithmic(value: float, low: float, high: float, *, parts: int) -> int:
    """Return how many of a column's `parts` are filled: one for the lowest value, all for the highest."""
    span = math.log(high) - math.log(low)
    return 1 + round((math.log(value) - math.log(low)) / span * (parts - 1)) if span > 0 else parts


def _scale(epochs: int, *, room: int) -> str:
    """Return the numbers beneath a curve: round ones, and the last."""
    last = f"{epochs:,}"
    steps = (digit * 10**power for power in range(7) for digit in (1, 2, 5))
    step = next(s for s in steps if s * room >= 8 * epochs)
    text = "0"
    for number in range(step, epochs, step):
        place = round(number * room / epochs)
        if place + len(f"{number:,}") + 2 <= room - len(last):
            text = f"{text:<{place}}{number:,}"
    return " " * _MARGIN + f"{text:<{room - len(last)}}{last}"
