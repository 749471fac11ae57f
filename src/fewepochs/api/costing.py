"""What an epoch of a recipe costs here, by batch size and precision: measured in a few steps, without a run.

Torch is imported inside the functions that need it, so that everything else stays fast and works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewepochs import recipe as recipes
from fewepochs import runtime as runtimes
from fewepochs.errors import Problem, RecipeError
from fewepochs.optim import permission
from fewepochs.probes import windows

if TYPE_CHECKING:
    from fewepochs.report import table_text

Runtime = runtimes.Runtime


@dataclass(frozen=True)
class Costs:
    """What was measured of each cell, in which environment, in how many `rounds`; the signal that ended it early."""

    found: tuple[windows.Measured, ...]
    environment: dict[str, Any]
    rounds: int
    signal: int | None = None


def cost(
    recipe: str,
    *,
    overrides: Sequence[str] = (),
    batch_sizes: Sequence[int] = (),
    precisions: Sequence[str] = (),
    rounds: int = 3,
    seconds: float = 5.0,
    steps: int | None = None,
    runtime: Runtime | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Costs:
    """Measure what an epoch of `recipe` costs with each of `batch_sizes` in each of `precisions`; nothing is kept.

    Each round measures `steps` steps of each, or as many as fit into `seconds`. After a signal, what was measured so
    far is returned. Raises FewEpochsError's family.
    """
    cells = windows.cells(
        recipe, overrides=tuple(overrides), batch_sizes=tuple(batch_sizes), precisions=tuple(precisions)
    )
    _check(rounds=rounds, seconds=seconds, steps=steps)
    runtime = runtime or Runtime()
    runtimes.check(runtime)
    permission.require_allowed(cells[0].recipe.optimizer, allow_code=runtime.allow_code)
    import torch

    from fewepochs.probes import epoch_cost

    threads = torch.get_num_threads()
    try:
        return _measure(cells, how=epoch_cost.How(rounds, seconds, steps), runtime=runtime, say=say)
    finally:
        torch.set_num_threads(threads)


def _check(*, rounds: int, seconds: float, steps: int | None) -> None:
    found = []
    if not 1 <= rounds <= 1000:
        found.append(Problem("--rounds", "not a number of rounds", str(rounds), "1 to 1000"))
    if not 0 < seconds <= 3600:
        found.append(Problem("--seconds", "not a length of a window", str(seconds), "above 0, up to 3600 seconds"))
    if steps is not None and not 1 <= steps <= 1_000_000:
        found.append(Problem("--steps", "not a number of steps", str(steps), "1 to 1000000"))
    if found:
        raise RecipeError("command line", tuple(found))


def _measure(cells: Sequence[windows.Cell], *, how: Any, runtime: Runtime, say: Callable[[str], None]) -> Costs:
    from fewepochs.probes import bench as benches
    from fewepochs.probes import epoch_cost
    from fewepochs.train import environment, interrupt, running

    loaded = running.load(_smallest(cells), runtime=runtime, say=say)
    bench = benches.Bench(loaded.data, loaded.device, loaded.kernels, runtime.allow_code)
    digest, origin = loaded.dataset.digest, loaded.dataset.origin
    where = environment.collect(device=loaded.device, kernels=loaded.kernels, data_digest=digest, data_origin=origin)
    seen: list[list[windows.Window]] = [[] for _ in cells]
    failures: list[str | None] = [None for _ in cells]
    progress = epoch_cost.Progress()
    with interrupt.catching(progress) as caught:
        for number, window in epoch_cost.measure(cells, how=how, bench=bench, progress=progress):
            if isinstance(window, str):
                failures[number] = window
            else:
                seen[number].append(window)
            say(_line(cells[number], window, turn=len(seen[number]), rounds=how.rounds))
    evaluated = len(bench.data.validation) + (0 if bench.data.test is None else len(bench.data.test))
    found = tuple(
        windows.Measured(cell, len(bench.data.train), evaluated, tuple(own), failure)
        for cell, own, failure in zip(cells, seen, failures, strict=True)
    )
    return Costs(found, where, how.rounds, caught.signal)


def _smallest(cells: Sequence[windows.Cell]) -> recipes.Recipe:
    """Return the recipe to load data by; whether a larger batch fits is asked of each cell."""
    return min(cells, key=lambda cell: cell.batch_size).recipe


def _line(cell: windows.Cell, window: windows.Window | str, *, turn: int, rounds: int) -> str:
    name = f"batch size {cell.batch_size}, {cell.precision}"
    if isinstance(window, str):
        return f"{name}: {window}"
    rate = window.images / window.step_seconds
    return f"{name}: round {turn} of {rounds}, {window.steps} steps, {rate:,.0f} images/s"


def cost_page(costs: Costs) -> table_text.Page:
    """Return what `cost` measured as a table."""
    from fewepochs.report import epoch_cost

    return epoch_cost.page(costs.found, environment=costs.environment, rounds=costs.rounds)
