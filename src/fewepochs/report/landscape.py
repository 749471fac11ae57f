"""Slices of the loss surfaces as tables: the shift between the two, the widths of their valleys, their walls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fewepochs import recipe as recipes
from fewepochs.probes import slices, valleys
from fewepochs.probes.slices import Line, Measurement, Plane
from fewepochs.probes.valleys import Estimate, Shift, Valley
from fewepochs.report import probed, table_text, visible
from fewepochs.report.landscape_form import PARTS, Curve, Grid, Landscape, Moved, told


def page(found: Measurement) -> table_text.Page:
    """Return shifts, widths and walls of each line as tables; the curves and planes stand in the JSON."""
    shifts = [valleys.shift(line.places, line.training, line.validation) for line in found.lines]
    both = [
        (line, valleys.valley(part, line.places, losses))
        for line in found.lines
        for part, losses in zip(PARTS, (line.training, line.validation), strict=True)
    ]
    asked = {
        **probed.header("landscape", probed.Run(name=found.run, digest=recipes.digest(found.recipe))),
        "recipe": found.recipe.name,
        "settings": asdict(found.settings),
        "compared": list(found.compared),
        "kept": {str(epoch): lr for epoch, lr in found.kept.items()},
        "images": dict(found.images),
        "seconds": found.seconds,
        "lines": [_curve(line).model_dump() for line in found.lines],
        "planes": [_grid(plane).model_dump() for plane in found.planes],
    }
    tables = (_shifts(found, shifts), _widths(both), _walls(both)) if found.lines else ()
    return table_text.Page("landscape", tables, notes=tuple(_notes(found)), asked=asked)


def sentences(found: Landscape) -> Iterator[str]:
    """Yield on which lines one surface is shifted against the other, and how much alike they are then."""
    moved = found.shifts
    if not moved:
        return
    apart = [one for one in moved if one.is_told]
    where = "; ".join(f"{one.line}, epoch {one.epochs}: {_interval(one)}" for one in apart)
    if apart:
        yield f"Validation is shifted against training on {len(apart)} of {len(moved)} lines ({where})."
    else:
        yield f"A shift of validation against training is told from 0 on none of {len(moved)} lines."
    likeness = [one.likeness for one in moved if one.likeness is not None]
    if likeness:
        offsets = [one.offset for one in moved]
        yield (
            f"Shifted, and raised by {min(offsets):.3g} to {max(offsets):.3g}, the training curves are the validation "
            f"curves to a likeness of {min(likeness):.3f} to {max(likeness):.3f} (1: alike)."
        )


def _interval(one: Moved) -> str:
    low, high = ("open" if end is None else f"{end:.3g}" for end in (one.low, one.high))
    return f"{one.value:.3g}, {low} to {high}"


def _curve(line: Line) -> Curve:
    return Curve(
        kind=line.kind,
        line=line.name,
        epochs=line.epochs,
        length=line.length,
        t=tuple(line.places.tolist()),
        training=tuple(line.training.mean(1).tolist()),
        validation=tuple(line.validation.mean(1).tolist()),
        penalty=tuple(line.penalty.tolist()),
    )


def _grid(plane: Plane) -> Grid:
    training, validation = (tuple(map(tuple, part.tolist())) for part in (plane.training, plane.validation))
    return Grid(
        kind=plane.kind,
        epoch=plane.epoch,
        across=tuple(plane.across.tolist()),
        down=tuple(plane.down.tolist()),
        training=training,
        validation=validation,
        path=plane.path,
        explained=plane.explained,
    )


def _about(line: Line) -> dict[str, Any]:
    return {"line": line.name, "epochs": told(line.epochs), "length": line.length}


def _shifts(found: Measurement, shifts: list[Shift]) -> table_text.Table:
    rows, data = [], []
    for line, shift in zip(found.lines, shifts, strict=True):
        likeness = [_share(shift.likeness), _share(shift.likeness_unshifted)]
        rows.append((line.name, told(line.epochs), *_estimate(shift.by), f"{shift.offset:.4f}", *likeness))
        data.append(
            {"number": "shift", **_about(line), **asdict(shift.by), "offset": shift.offset}
            | {"likeness": shift.likeness, "likeness_unshifted": shift.likeness_unshifted}
        )
    images = " and ".join(f"{count:,} {name}" for name, count in found.images.items())
    title = (
        f"{visible.shown(found.run)}: validation surface against training surface, {images} images, "
        f"BN statistics {found.settings.statistics}: L_val(t + shift) = L_train(t) + offset"
    )
    heads = ("line", "epochs", "shift", "95% interval", "offset", "likeness", "unshifted")
    return table_text.Table(title, heads, tuple(rows), tuple(data), keys=2)


def _widths(both: list[tuple[Line, Valley]]) -> table_text.Table:
    rows, data = [], []
    for line, valley in both:
        cells = []
        for width in valley.widths:
            value, interval = _estimate(width.by)
            cells += [f"> {width.at_least:.3g}", "-"] if width.by.value is None else [value, interval]
            about = {"number": "width", **_about(line), "part": valley.part, "level": width.level}
            data.append(about | {**asdict(width.by), "at_least": width.at_least})
        rows.append((line.name, told(line.epochs), valley.part, f"{valley.lowest:.4f}", f"{valley.at:.3g}", *cells))
    levels = [head for level in valleys.LEVELS for head in (level.name, "95% interval")]
    heads = ("line", "epochs", "part", "minimum", "at t", *levels)
    return table_text.Table("Width of the valley up to a level", heads, tuple(rows), tuple(data), keys=3)


def _walls(both: list[tuple[Line, Valley]]) -> table_text.Table:
    rows, data = [], []
    for line, valley in both:
        cells = []
        for wall in valley.walls:
            cells += ["-", "-"] if wall.slope is None else [f"{wall.slope:.3g}", f"{wall.at:.3g}"]
            about = {"number": "wall", **_about(line), "part": valley.part, "side": wall.side}
            data.append(about | {"value": wall.slope, "at": wall.at})
        rows.append((line.name, told(line.epochs), valley.part, *cells))
    heads = ("line", "epochs", "part", "left wall", "at t", "right wall", "at t")
    title = "Walls: steepest rise on either side of the minimum, loss by unit of t"
    return table_text.Table(title, heads, tuple(rows), tuple(data), keys=3)


def _estimate(found: Estimate) -> tuple[str, str]:
    """Return a number and its interval as cells; an open end is a dash."""
    if found.value is None:
        return "-", "-"
    low, high = ("-" if end is None else f"{end:.3g}" for end in (found.low, found.high))
    return f"{found.value:.3g}", f"{low} to {high}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _notes(found: Measurement) -> list[str]:
    notes = [f"{kind}: {slices.MEANINGS[kind]}." for kind in dict.fromkeys(line.kind for line in found.lines)]
    if len(found.compared) > 1:
        before, after = found.compared
        high, low = (found.kept.get(epoch) for epoch in found.compared)
        rates = "" if high is None or low is None else f", rates {high:.3g} and {low:.3g}"
        notes.append(f"Compared: the states after epochs {before} and {after}{rates}.")
    notes.append("Losses are cross-entropies of images without augmentation; the L2 penalty is in the JSON by itself.")
    notes.append(
        "Intervals are for other images at the same weights (bootstrap over images), not for another training run. "
        "A dash in an interval: open there."
    )
    notes.append("Likeness: 1 where a shift and an offset make one curve the other, over the middle half of the line.")
    for plane in found.planes:
        if plane.explained is not None:
            notes.append(f"The plane holds {plane.explained:.1%} of the path's squared distances from its end.")
    return notes
