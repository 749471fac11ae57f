"""What all parts of a recipe share: a frozen, strict model, and the kinds of numbers that they are made of.

Each part is a model that knows its own ranges; a choice between parts is a union told apart by `kind`. Nothing
here computes anything: builders (nets, optim, data, schedules) dispatch on these types with `match`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Unit = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# Whole numbers are those of TOML: 64 bits.
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
PositiveInt = Annotated[int, Field(ge=1, le=2**63 - 1)]
NonNegativeInt = Annotated[int, Field(ge=0, le=2**63 - 1)]
# TOML has arrays, not tuples: the container may be a list, its items stay strict.
Ints = Annotated[tuple[PositiveInt, ...], Strict(False), Field(min_length=1, max_length=64)]

Precision = Literal["float32", "bfloat16", "float16", "float64"]


class Spec(BaseModel):
    """A part of a recipe: frozen; unknown keys, other types, NaN and infinities are errors."""

    # Validators are built at first use: `fewepochs --help` needs none of them.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class StreamSeeds(Spec):
    """Seeds of single streams; a stream without one takes the recipe's seed.

    Two recipes with the same seed of a stream share its draws: initial weights, the order of every
    epoch, augmentation (mixing included), dropout masks.
    """

    init: Seed | None = None
    order: Seed | None = None
    augmentation: Seed | None = None
    dropout: Seed | None = None
