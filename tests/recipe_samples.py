"""Recipes for tests: one with every field spelt out, and hypothesis strategies for anything that the specs allow."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs.errors import RecipeError
from fewepochs.specs import base, inputs, networks, rates, updates

FULL = """
name = "full"
summary = "every field spelt out"
batch_size = 32
precision = "float32"
seed = 3
targets = [0.5, 0.9]
hold = 2
[data]
kind = "digits"
normalise = "mean-image"
validation = { kind = "held-out", images = 300, split_seed = 1 }
[augmentation]
kind = "shift-flip"
shift = 0.1
flip = "random"
[network]
kind = "resnet-v2"
units = [1, 2]
filters = [8, 16]
bottleneck = [4, 8]
stem = { filters = 4, kernel = 5, stride = 2 }
shortcut_kernels = [1, 3]
activation = "relu"
conv_bias = true
dropout = 0.25
[optimizer]
kind = "adam"
lr = 1e-3
beta_1 = 0.9
beta_2 = 0.999
epsilon = 1e-7
[regularisation]
kind = "l2"
strength = 1e-4
[schedule]
kind = "piecewise-constant"
unit = "budget"
every = "epoch"
boundaries = [0.5]
factors = [1.0, 0.1]
[plateau]
reading = "effective"
factor = 0.5
patience = 5
min_delta = 1e-4
cooldown = 1
min_lr = 1e-6
[budget]
epochs = 10
[seeds]
init = 4
order = 5
augmentation = 6
dropout = 7
"""


def parse(text: str = FULL, *overrides: str, seed: int | None = None) -> recipes.Recipe:
    """Return the recipe in `text`."""
    return recipes.parse(text, source="test", overrides=overrides, seed=seed)


def problems(text: str, *overrides: str) -> tuple[str, ...]:
    """Return what is wrong with the recipe, a line each."""
    with pytest.raises(RecipeError) as caught:
        parse(text, *overrides)
    return tuple(str(problem) for problem in caught.value.problems)


SEEDS = st.integers(-(2**63), 2**63 - 1)
SIZES = st.integers(1, 512)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
NON_NEGATIVE = st.floats(min_value=0, allow_infinity=False)
UNIT = st.floats(0, 1, exclude_max=True)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,79}", fullmatch=True)
# TOML holds every character except surrogates; a control character is written as an escape.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def parts(kind: type[base.Spec], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of `kind`: each field given, or left to its default."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: kind(**given))


def _units(stages: int) -> st.SearchStrategy[Any]:
    return st.lists(st.integers(1, 9), min_size=stages, max_size=stages).map(tuple)


def _network(kind: type[networks.ResNetV1 | networks.ResNetV2], *, step: int) -> st.SearchStrategy[Any]:
    stem = parts(networks.Stem, filters=SIZES, kernel=SIZES, stride=SIZES)
    rest = {"stem": stem, "activation": st.sampled_from(["relu", "elu", "gelu", "silu"]), "dropout": UNIT}
    common = st.fixed_dictionaries({}, optional={**rest, "conv_bias": st.booleans()})

    def of_stages(stages: int) -> st.SearchStrategy[Any]:
        needed: dict[str, st.SearchStrategy[Any]] = {"units": _units(stages), "filters": _units(stages)}
        if kind is networks.ResNetV2:
            needed["bottleneck"] = _units(stages)
        return st.fixed_dictionaries(needed, optional={"shortcut_kernels": _units(stages)})

    depth = st.fixed_dictionaries({"depth": st.integers(1, 40).map(lambda n: step * n + 2)})
    shapes = depth | st.integers(1, 5).flatmap(of_stages)
    return st.tuples(shapes, common).map(lambda pair: kind(**pair[0], **pair[1]))


@st.composite
def _positions(draw: st.DrawFn, *, unit: str, least: int, zero: bool) -> tuple[float, ...]:
    top = 1.0 if unit == "budget" else 1e6
    values = st.floats(0, top, exclude_min=not zero)
    return tuple(sorted(draw(st.lists(values, min_size=least, max_size=6, unique=True))))


@st.composite
def schedules(draw: st.DrawFn) -> rates.Schedule:
    """Return any schedule, its positions rising."""
    unit: Literal["epochs", "budget"] = draw(st.sampled_from(["epochs", "budget"]))
    every: Literal["step", "epoch"] = draw(st.sampled_from(["step", "epoch"]))
    match draw(st.sampled_from(["constant", "piecewise-constant", "piecewise-linear"])):
        case "constant":
            return rates.Constant()
        case "piecewise-constant":
            boundaries = draw(_positions(unit=unit, least=0, zero=False))
            count = len(boundaries) + 1
            factors = draw(st.lists(NON_NEGATIVE, min_size=count, max_size=count).map(tuple))
            return rates.PiecewiseConstant(unit=unit, every=every, boundaries=boundaries, factors=factors)
        case _:
            positions = draw(_positions(unit=unit, least=2, zero=True))
            points = tuple((position, draw(NON_NEGATIVE)) for position in positions)
            return rates.PiecewiseLinear(unit=unit, every=every, points=points)


PLATEAUS = parts(
    rates.Plateau,
    reading=st.sampled_from(["overwritten", "effective"]),
    factor=st.floats(0, 1, exclude_min=True, exclude_max=True),
    patience=st.integers(0, 20),
    min_delta=NON_NEGATIVE,
    cooldown=st.integers(0, 20),
    min_lr=NON_NEGATIVE,
)
VALIDATIONS = parts(inputs.HeldOut, images=SIZES, split_seed=SEEDS) | st.just(inputs.TestImages())
DATA = st.builds(
    inputs.DataSpec,
    kind=st.sampled_from(["cifar10", "cifar100", "digits", "npz"]),
    validation=VALIDATIONS,
    normalise=st.sampled_from(["mean-image", "per-channel", "none"]),
)
RECIPES: st.SearchStrategy[recipes.Recipe] = st.builds(
    recipes.Recipe,
    name=NAMES,
    summary=TEXT,
    data=DATA,
    augmentation=st.just(inputs.NoAugmentation())
    | parts(inputs.ShiftFlip, shift=UNIT, flip=st.sampled_from(["random", "alternating", "none"])),
    network=_network(networks.ResNetV1, step=6) | _network(networks.ResNetV2, step=9),
    optimizer=parts(updates.Adam, lr=POSITIVE, beta_1=UNIT, beta_2=UNIT, epsilon=POSITIVE),
    regularisation=st.just(updates.NoRegularisation()) | parts(updates.L2, strength=NON_NEGATIVE),
    schedule=schedules(),
    plateau=maybe(PLATEAUS),
    batch_size=SIZES,
    precision=st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
    budget=st.builds(rates.Budget, epochs=st.integers(1, 1_000_000)),
    seed=SEEDS,
    seeds=parts(base.StreamSeeds, init=SEEDS, order=SEEDS, augmentation=SEEDS, dropout=SEEDS),
    targets=st.lists(st.floats(0, 1, exclude_min=True), max_size=4).map(tuple),
    hold=st.integers(1, 9),
)
