"""A judged claim in a terminal: what is claimed, the runs, a verdict with its reason for each item, the caveats."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 80
_VERDICT = 18
"""The column where an item begins."""

MOST_NEAR = 6
"""So many near runs are told in a terminal; --json has all."""


def listing(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all claims as lines: name, how it is known, what it says, which recipe tests it, what that costs."""
    told: list[str] = []
    for claim in claims:
        told.append(f"{claim['claim']}  ({claim['mark']}: {claim['known']})")
        told.extend(_wrapped(f"{claim['source']}: {claim['text']}", indent=4))
        told.extend(_wrapped(_cost(claim), indent=4))
    return [*told, "", "fewepochs replicate CLAIM [RUN...] tests one; docs/claims.md has the rules."]


def _cost(claim: Mapping[str, Any]) -> str:
    if claim["untestable"] is not None:
        return f"not testable: {claim['untestable']}"
    cost = f"{claim['runs_needed']} runs, {claim['petaflop_needed']:,.3g} PFLOP"
    return f"{', '.join(claim['recipes'])}: {cost}"


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `replication.build` found as lines."""
    told = [f"{found['claim']}  ({found['mark']}: {found['known']})"]
    told.extend(_wrapped(f"{found['source']}: {found['text']}", indent=2))
    told.append("")
    for experiment in found["experiments"]:
        told.extend(_experiment(experiment))
    for item in found["items"]:
        told.extend(_item(item))
    told.append("")
    for caveat in found["caveats"]:
        told.extend(_wrapped(f"note: {caveat}", indent=0))
    told.append(tally(found["items"]))
    return told


def tally(items: Sequence[Mapping[str, Any]]) -> str:
    """Return how many items have which verdict."""
    verdicts = [item["verdict"] for item in items]
    counts = [(verdicts.count(kind), kind) for kind in ("reproduced", "not reproduced", "not testable")]
    return f"{len(items)} item{'' if len(items) == 1 else 's'}: " + ", ".join(f"{n} {kind}" for n, kind in counts if n)


def _experiment(one: Mapping[str, Any]) -> Iterator[str]:
    name = " ".join((one["recipe"], *(f"--set {override}" for override in one["overrides"])))
    yield from _wrapped(f"{name} (budget {one['budget']})", indent=2)
    if one["used"]:
        for run in one["used"]:
            yield f"    used: {run['run']}, {run['standing']}"
    else:
        yield "    used: none"
    for copy in one["copies"]:
        yield f"    not used: {copy}, the same seed again"
    for near in one["near"][:MOST_NEAR]:
        yield from _wrapped(f"not used: {near['run']}, differs: {'; '.join(near['differs'])}", indent=4)
    left = len(one["near"]) - MOST_NEAR
    if left > 0:
        yield f"    not used: {left} more that are near; --json has them"
    if one["others"]:
        yield f"    not used: {one['others']} of other recipes"
    if one["foreign"]:
        yield f"    not used: {one['foreign']} imported; that they are of this recipe is only said"
    if len(one["used"]) < one["runs_wanted"]:
        yield f"    to make them ({one['petaflop']:,.3g} PFLOP):"
        yield f"      {one['command']}"
    yield ""


def _item(item: Mapping[str, Any]) -> Iterator[str]:
    told = item["item"] if item["claimed"] == "-" else f"{item['item']}: {item['claimed']}"
    if item["ours"] != "-":
        told += f"; ours {item['ours']}"
    told += f"; n = {item['n']}" if item["n"] else ""
    for part, label in ((told, item["verdict"]), (item["reason"], "")):
        yield from _hanging(label, part)


def _hanging(label: str, text: str) -> list[str]:
    body = textwrap.wrap(text, WIDTH - _VERDICT, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if k == 0 else '':<{_VERDICT}}{line}" for k, line in enumerate(body)]


def _wrapped(text: str, *, indent: int) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=pad,
        subsequent_indent=pad,
        break_long_words=False,
        break_on_hyphens=False,
    )
