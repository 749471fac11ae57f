"""What epochs cost by batch size and precision, as a table: a row for each cell that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from fewepochs.probes.windows import Measured
from fewepochs.report.table_text import Page, Table
from fewepochs.specs import updates

NONE = "-"
FORMATS = {"load": ".0%", "watts": ".1f", "images_per_second": ",.0f"}
HEADS = ("batch size", "precision", "s/epoch", "training", "evaluation", "images/s", "load", "watts", "peak memory",
         "steps")  # fmt: skip


def page(found: Sequence[Measured], *, environment: Mapping[str, Any], rounds: int) -> Page:
    """Return what was measured, in `environment`, as a table of medians over rounds, the spread behind them."""
    name = found[0].cell.recipe.name
    turns = "1 round" if rounds == 1 else f"{rounds} rounds (lowest-highest)"
    title = f"{name}: an epoch, scaled from the steps that were measured; median of {turns}"
    rows = [_numbers(one) for one in found]
    table = Table(title, HEADS, tuple(_row(one) for one in rows), tuple(map(_flat, rows)), keys=2)
    notes = (*_scaled(found), *_absent(found), *_where(environment))
    return Page("epoch-cost", (table,), notes, asked={"recipe": name, "environment": dict(environment)})


def _numbers(one: Measured) -> dict[str, Any]:
    training, evaluation = one.train_seconds(), one.evaluation_seconds()
    windows = one.windows
    peaks = [window.peak_memory_bytes for window in windows if window.peak_memory_bytes is not None]
    return {
        "batch_size": one.cell.batch_size,
        "precision": one.cell.precision,
        "seconds_per_epoch": _spread([a + b for a, b in zip(training, evaluation, strict=True)]),
        "train_seconds": _spread(training),
        "evaluation_seconds": _spread(evaluation),
        "images_per_second": _spread(one.images_per_second()),
        "load": _spread([window.load for window in windows if window.load is not None]),
        "watts": _spread(one.watts()),
        "peak_memory_bytes": min(peaks, default=None),
        "steps_measured": sum(window.steps for window in windows),
        "steps_per_epoch": one.steps_per_epoch,
        "rounds": len(windows),
        "load_reason": _reason(one, "load"),
        "watts_reason": _reason(one, "joules"),
        "memory_reason": _reason(one, "memory"),
        "failure": one.failure,
    }


def _reason(one: Measured, name: str) -> str | None:
    return next((why for window in one.windows if (why := getattr(window, f"{name}_reason")) is not None), None)


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"median": None, "lowest": None, "highest": None}
    return {"median": median(values), "lowest": min(values), "highest": max(values)}


def _flat(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers without tables in tables, as CSV has them."""
    flat: dict[str, Any] = {}
    for name, value in numbers.items():
        flat |= {f"{name}_{part}": x for part, x in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _row(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = ("seconds_per_epoch", "train_seconds", "evaluation_seconds")
    peak = numbers["peak_memory_bytes"]
    return (
        str(numbers["batch_size"]),
        numbers["precision"],
        _range(numbers[seconds[0]], ".3g", spread=True),
        *(_range(numbers[name], ".3g") for name in seconds[1:]),
        *(_range(numbers[name], FORMATS[name]) for name in ("images_per_second", "load", "watts")),
        NONE if peak is None else f"{peak / 1e6:,.0f} MB",
        f"{numbers['steps_measured']} of {numbers['steps_per_epoch']}",
    )


def _range(found: Mapping[str, float | None], form: str, *, spread: bool = False) -> str:
    if found["median"] is None:
        return NONE
    told = format(found["median"], form)
    return f"{told} ({found['lowest']:{form}}-{found['highest']:{form}})" if spread else told


def _scaled(found: Sequence[Measured]) -> Iterator[str]:
    yield (
        "scaled: seconds of whole batches times an epoch's images, its order and draws once; evaluation from up to "
        f"500 of {found[0].evaluation_images:,} images. Set-up, first use and checkpoints are not in it."
    )
    recipe = found[0].cell.recipe
    own = isinstance(recipe.optimizer, updates.ScheduleFreeSgd | updates.ScheduleFreeAdamW)
    if own or not isinstance(recipe.averaging, updates.NoAveraging):
        yield "evaluation: statistics of the averaged weights, taken anew after each epoch, are not in it."


def _absent(found: Sequence[Measured]) -> Iterator[str]:
    names = {"load": "load", "joules": "watts", "memory": "peak memory"}
    told = {f"{names[name]}: {why}." for one in found for name in names if (why := _reason(one, name)) is not None}
    failed = [f"batch size {one.cell.batch_size}, {one.cell.precision}: {one.failure}." for one in found if one.failure]
    yield from (*sorted(told), *failed)


def _where(environment: Mapping[str, Any]) -> Iterator[str]:
    gpu = environment["gpu"]
    if isinstance(gpu, Mapping):
        yield f"measured on {gpu['name']}; load is the part of the time in which it computed, watts are the board's."
        return
    count = environment["threads"]
    threads = f"{count} {'thread' if count == 1 else 'threads'}"
    yield (
        f"measured on {environment['cpu'] or 'an unknown processor'}, {threads}, {environment['kernels']} kernels; "
        f"load is the process's time over that of {environment['cores']} cores, peak memory the process's."
    )
