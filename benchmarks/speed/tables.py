"""Tables of docs/speed.md, made from the kept results: Markdown between two comments, and nothing else of the page.

    <!-- speed: side by side -->
    ...
    <!-- end -->

usage: python -m benchmarks.speed.tables        (writes the page anew from results/)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed import turns

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "speed.md"
RESULTS = ROOT / "results"
UNMEASURED = "Not measured yet."
PART = re.compile(r"(?P<begin><!-- speed: (?P<name>[a-z ]+) -->\n).*?(?P<end><!-- end -->)", re.S)

Result = Mapping[str, Any]


def side_by_side(result: Result) -> str:
    """Return the comparison as Markdown."""
    head = ("", "ms a step", "x ours", "images/s", "of the peak", "peak memory", "first step after")
    rows = []
    for name, turn in result["turns"].items():
        if "milliseconds" in turn:
            process = result["processes"][turn["processes"][0]]
            rows.append(
                (
                    name,
                    _figure(turn["milliseconds"]),
                    _figure(turn["over_ours"]),
                    _figure(turn["images_per_second"]),
                    _figure(turn["share_of_peak"], percent=True),
                    _memory(process.get("peak_memory_bytes")),
                    f"{process['first_step_seconds']:.1f} s",
                )
            )
    epochs = [
        f"A whole epoch of {name}, augmentation and evaluation included: {_figure(epoch['seconds'])} s, scaled from "
        f"{epoch['scaled_from']}."
        for name, epoch in result["epoch"].items()
    ]
    return "\n\n".join([_table(head, rows), *epochs, *_work(result), *_below(result)])


def growth(result: Result) -> str:
    """Return how cost grows, as Markdown."""
    head = ("", "ms a step", "images/s, all runs", "x the first row", "of the peak", "peak memory, all runs")
    rows = []
    for name, turn in result["turns"].items():
        if "milliseconds" in turn:
            peaks = [result["processes"][process].get("peak_memory_bytes") for process in turn["processes"]]
            rows.append(
                (
                    name,
                    _figure(turn["milliseconds"]),
                    _figure(turn["images_per_second"]),
                    _figure(turn["rate_over_base"]),
                    _figure(turn["share_of_peak"], percent=True),
                    _memory(None if None in peaks else sum(peaks)),
                )
            )
    return "\n\n".join([_table(head, rows), *_below(result)])


def profile(result: Result) -> str:
    """Return where a step's time goes, as Markdown."""
    rows = [
        (kind, f"{share['median']:.1%} ({share['lowest']:.1%} to {share['highest']:.1%})")
        for kind, share in result["shares"].items()
    ]
    where = result["environment"]
    below = (
        f"Median and range of {result['steps']} steps. Threads: {where['threads']}; {where['cpu']}, "
        f"{where['cpu_capability']}. Kernels: {where['kernels']}."
    )
    return "\n\n".join([_table(("", "share of a step"), rows), below])


PARTS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "side by side": ("speed-cpu.json", side_by_side),
    "growth": ("speed-growth-cpu.json", growth),
    "profile": ("speed-profile-cpu.json", profile),
}


def fill(page: str, *, results: Path = RESULTS) -> str:
    """Return `page` with each part made anew from its file in `results`, or saying that it is not measured yet."""
    return PART.sub(lambda part: f"{part['begin']}\n{_part(part['name'], results)}\n\n{part['end']}", page)


def _part(name: str, results: Path) -> str:
    file, table = PARTS[name]
    path = results / file
    return table(json.loads(path.read_text())) if path.exists() else UNMEASURED


def _work(result: Result) -> list[str]:
    flops = result["processes"].get(turns.OURS, {}).get("flops_per_step")
    return [] if flops is None else [f"A step is {_number(flops / 1e9)} GFLOP."]


def _below(result: Result) -> list[str]:
    where, products = result["environment"] or {}, []
    for name, turn in result["turns"].items():
        if "gflops" in turn:
            products.append(f"{name}: {_figure(turn['gflops'])} GFLOP/s")
    notes = [
        f"Median and {result['interval']}. Rounds: {result['rounds']}, steps in a turn: {result['steps_per_turn']}, "
        f"threads: {where.get('threads')}; {where.get('cpu')}, {where.get('cpu_capability')}; load before: "
        f"{result['load_before']:.1f}. Peak by {'; by '.join(products) or 'nothing: no product was measured'}."
    ]
    notes += [f"Absent: {name}: {reason}." for name, reason in result["absent"].items()]
    return notes


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _figure(found: Mapping[str, float] | None, *, percent: bool = False) -> str:
    if found is None:
        return "-"
    scale = 100 if percent else 1
    sign = "%" if percent else ""
    middle, low, high = (_number(scale * found[key]) + sign for key in ("median", "p10", "p90"))
    return f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:#.3g}"


def _memory(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**20:,.0f} MiB"


def main() -> None:
    """Write the page."""
    PAGE.write_text(fill(PAGE.read_text()))


if __name__ == "__main__":
    main()
