"""The form in which `fewepochs landscape` prints what it found: curves, planes, and numbers of three kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fewepochs.probes.slices import Kind, Settings
from fewepochs.probes.valleys import Part
from fewepochs.records import Finite
from fewepochs.report import probed

PARTS: tuple[Part, Part] = ("training", "validation")

Name = Annotated[str, Field(pattern=r"^(between|gradient|random|principal [12])$")]
"""Of a line; figures filter by it."""

Epochs = Annotated[tuple[probed.Epoch, ...], Field(min_length=1, max_length=2)]
Values = Annotated[tuple[Finite, ...], Field(min_length=3, max_length=1000)]
Square = Annotated[tuple[Values, ...], Field(min_length=3, max_length=1000)]


class Curve(probed.Row):
    """Mean losses and the penalty at the places `t` of a line through the moments after `epochs`."""

    kind: Kind
    line: Name
    epochs: Epochs
    length: Finite
    t: Values
    training: Values
    validation: Values
    penalty: Values

    @model_validator(mode="after")
    def _has_a_loss_for_each_place(self) -> Self:
        if not len(self.t) == len(self.training) == len(self.validation):
            raise ValueError("not as many losses as places t")
        return self


class Grid(probed.Row):
    """Mean losses on a plane, a row for each place `down`; `path` has a row (epoch, across, down) a moment."""

    kind: Kind
    epoch: probed.Epoch
    across: Values
    down: Values
    training: Square
    validation: Square
    path: tuple[tuple[int, Finite, Finite], ...]
    explained: Finite | None

    @model_validator(mode="after")
    def _has_a_loss_for_each_place(self) -> Self:
        shapes = {(len(part), *map(len, part)) for part in (self.training, self.validation)}
        if shapes != {(len(self.down), *([len(self.across)] * len(self.down)))}:
            raise ValueError("not as many losses as places across and down")
        return self


class Moved(probed.Row):
    """How far the validation surface is shifted along a line; `value` is None beyond what was looked at."""

    number: Literal["shift"]
    line: Name
    epochs: probed.Text
    value: Finite | None
    low: Finite | None
    high: Finite | None
    offset: Finite
    likeness: Finite | None

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out 0; an end that is open does not."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)


class Other(probed.Row):
    """A number of a valley: the tables tell it, no figure draws it."""

    number: Literal["width", "wall"]


class Landscape(probed.Probed):
    """What `fewepochs landscape` found in a run; a line or a plane at least."""

    probe: Literal["landscape"]
    settings: Settings
    images: Mapping[probed.Text, int]
    lines: tuple[Curve, ...]
    planes: tuple[Grid, ...]
    tables: tuple[()] | tuple[probed.Filled[Moved], probed.Filled[Other], probed.Filled[Other]]

    @property
    def shifts(self) -> tuple[Moved, ...]:
        """The shift of each line."""
        return self.tables[0].data if self.tables else ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.lines and not self.planes:
            raise ValueError("neither lines nor planes")
        return self


def told(epochs: tuple[int, ...]) -> str:
    """Return through which moments a line goes.

    >>> told((4, 6))
    '4 to 6'
    """
    return " to ".join(map(str, epochs))
