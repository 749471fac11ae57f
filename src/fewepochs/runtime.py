"""Where and how fast a recipe is trained, but not what: nothing here changes its digest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewepochs.errors import Problem, RecipeError

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What /proc/cpuinfo calls it on x86 and on ARM."""
KERNELS = ("fused", "inductor", "torch")
MOST_THREADS = 1024
"""torch begins as many as it is told to, and ends the process where the system has no room for them."""

_EPOCHS = re.compile(r"every:([1-9]\d{0,8})|([1-9]\d{0,8})(?:\.\.([1-9]\d{0,8}))?")


@dataclass(frozen=True)
class Runtime:
    """What the user says of the machine.

    `device` is "auto", "cpu", "cuda" or "cuda:1"; `threads` the number of CPU threads, None for torch's choice; `data`
    where the data set lies; `download` allows to fetch it. `kernels` "fused" are the compiled ones,
    "torch" torch's own, "inductor" those that torch compiles for batch normalisation with its activation; "auto" the
    compiled ones on a CPU where there is a compiler, else torch's own. `allow_code`: dotted names of the
    packages and modules that a recipe's optimizer may come from; given anew each time, never taken from a run's folder.

    `graphs` "on" replays the steps as CUDA graphs, with the same bits as "off"; "auto" does so on CUDA where it can be.

    `deterministic` lets CUDA repeat its bits, at a price; a CPU always does. `checkpoint_minutes` without a checkpoint
    bring one in mid-epoch. `strict` refuses to go on with a run where its bits may not repeat. `snapshots` says after
    which epochs the state is kept for good, for probes to look at: see `kept_epochs`. `evaluate_every` so many steps of
    a run there is an evaluation more, beside those after its epochs. Neither changes anything of the training.

    `together` runs are trained at a time where this one is: an energy counter counts them all, and tells of none.
    """

    device: str = "auto"
    kernels: str = "auto"
    graphs: str = "auto"
    threads: int | None = None
    data: Path | None = None
    download: bool = False
    allow_code: tuple[str, ...] = ()
    deterministic: bool = False
    checkpoint_minutes: float = 10.0
    strict: bool = False
    snapshots: str = ""
    evaluate_every: int | None = None
    together: int = 1


def check(runtime: Runtime) -> None:
    """Raise RecipeError for what no machine has."""
    base, _, index = runtime.device.partition(":")
    if base not in ("auto", "cpu", "cuda") or (index and not (base == "cuda" and index.isdecimal())):
        problem = Problem("--device", "not a device", repr(runtime.device), "auto, cpu, cuda, cuda:0, cuda:1, ...")
        raise RecipeError("command line", (problem,))
    if runtime.kernels not in ("auto", *KERNELS):
        problem = Problem("--kernels", "not a kind of kernels", repr(runtime.kernels), ", ".join(("auto", *KERNELS)))
        raise RecipeError("command line", (problem,))
    if runtime.graphs not in ("auto", "on", "off"):
        problem = Problem("--graphs", "not a known choice", repr(runtime.graphs), "auto, on, off")
        raise RecipeError("command line", (problem,))
    if runtime.evaluate_every is not None and runtime.evaluate_every < 1:
        problem = Problem("--evaluate-every", "not a number of steps", repr(runtime.evaluate_every), "1 or more steps")
        raise RecipeError("command line", (problem,))
    if not runtime.checkpoint_minutes >= 0:
        minutes = repr(runtime.checkpoint_minutes)
        problem = Problem("--checkpoint-minutes", "not a length of time", minutes, "0 or more minutes")
        raise RecipeError("command line", (problem,))

    if runtime.threads is not None and not 1 <= runtime.threads <= MOST_THREADS:
        problem = Problem("--threads", "not a number of threads", repr(runtime.threads), f"1 to {MOST_THREADS}")
        raise RecipeError("command line", (problem,))
    kept_epochs(runtime.snapshots, budget=1)


def kept_epochs(snapshots: str, *, budget: int) -> frozenset[int]:
    """Return the epochs, of those within `budget`, after which `snapshots` wants the state kept; "" wants none.

    Epochs (1-based), spans of them and "every:N", with commas between. Raises RecipeError.

    >>> sorted(kept_epochs("1,2,every:5", budget=12))
    [1, 2, 5, 10]
    >>> sorted(kept_epochs("8..99", budget=10))
    [8, 9, 10]
    """
    wanted: set[int] = set()
    for part in snapshots.split(",") if snapshots else ():
        found = _EPOCHS.fullmatch(part)
        if found is None:
            problem = Problem("--snapshots", "not a set of epochs", repr(snapshots), "every:5, or 1,5,10, or 1..9")
            raise RecipeError("command line", (problem,))
        every, first, last = (None if text is None else int(text) for text in found.groups())
        if every is not None:
            wanted.update(range(every, budget + 1, every))
        elif first is not None:
            wanted.update(range(first, min(last or first, budget) + 1))
    return frozenset(epoch for epoch in wanted if epoch <= budget)


def together(environment: Mapping[str, Any]) -> int:
    """Return how many runs were trained at a time where one was, at most, by its `environment`; 1 if that is unknown.

    >>> together({"together": 1, "resumed": [{"together": 3}, {}]})
    3
    """
    resumed = environment.get("resumed")
    starts = [environment, *(resumed if isinstance(resumed, list) else ())]
    counts = [start.get("together") for start in starts if isinstance(start, Mapping)]
    return max((count for count in counts if isinstance(count, int)), default=1)


def bfloat16_missing(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return why bfloat16 is not computed by the processor itself, or None where it has instructions for it."""
    try:
        words = set(cpuinfo.read_text().split())
    except OSError as error:
        return f"whether this processor has bfloat16 is unknown ({error})"
    if words & BFLOAT16_FLAGS:
        return None
    return "this processor has no bfloat16 instructions (none of " + ", ".join(sorted(BFLOAT16_FLAGS)) + ")"


def settled(given: Runtime, *, environment: Mapping[str, Any]) -> Runtime:
    """Return `given` with what it leaves open taken from the environment that a run began in.

    An environment comes from a file: what is not of its kind is passed over.
    """
    data, threads = environment.get("data"), environment.get("threads")
    every = environment.get("evaluate_every")
    where = data.get("where") if isinstance(data, dict) else None
    device = _choice(environment.get("device"), ("cpu", "cuda")) if given.device == "auto" else given.device
    kernels = _choice(environment.get("kernels"), KERNELS) if given.kernels == "auto" else given.kernels
    kept = environment.get("snapshots")
    return replace(
        given,
        device=device,
        kernels=kernels,
        threads=given.threads or (threads if type(threads) is int and 0 < threads <= MOST_THREADS else None),
        data=given.data or (Path(where) if isinstance(where, str) else None),
        snapshots=given.snapshots or (kept if isinstance(kept, str) and _are_epochs(kept) else ""),
        evaluate_every=given.evaluate_every or (every if type(every) is int and every > 0 else None),
        deterministic=given.deterministic or (device != "cpu" and environment.get("deterministic") is True),
    )


def _are_epochs(text: str) -> bool:
    return all(_EPOCHS.fullmatch(part) for part in text.split(","))


def _choice(value: object, choices: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in choices else "auto"
