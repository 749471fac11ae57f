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
POSITIVE = st.floats(min_value=0, exclude_min=True, max_value=1e280)
NON_NEGATIVE = st.floats(min_value=0, max_value=1e280)
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
    activation = st.sampled_from(["relu", "elu", "gelu", "silu"])
    rest = {"stem": stem, "activation": activation, "dropout": UNIT, "bn_momentum": UNIT}
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


FACTORS = st.floats(0, 1e9)
POSITIVE_FACTORS = st.floats(0, 1e9, exclude_min=True)
INSIDE = st.floats(0, 1, exclude_min=True, exclude_max=True)
EVERY: st.SearchStrategy[Literal["step", "epoch"]] = st.sampled_from(["step", "epoch"])


def _lengths(unit: str) -> st.SearchStrategy[float]:
    return st.floats(1e-6, 1.0 if unit == "budget" else 1e6)


@st.composite
def _piecewise(draw: st.DrawFn, *, unit: Literal["epochs", "budget"]) -> rates.Course:
    every: Literal["step", "epoch"] = draw(EVERY)
    if draw(st.booleans()):
        positions = draw(_positions(unit=unit, least=2, zero=True))
        points = tuple((position, draw(FACTORS)) for position in positions)
        return rates.PiecewiseLinear(unit=unit, every=every, points=points)
    boundaries = draw(_positions(unit=unit, least=0, zero=False))
    factors = draw(st.lists(FACTORS, min_size=len(boundaries) + 1, max_size=len(boundaries) + 1).map(tuple))
    return rates.PiecewiseConstant(unit=unit, every=every, boundaries=boundaries, factors=factors)


def _smooth(unit: str) -> st.SearchStrategy[Any]:
    common = {"unit": st.just(unit), "every": EVERY}
    fall = {**common, "until": _lengths(unit), "end": FACTORS}
    restarts = {**common, "stretch": st.floats(1, 1e6), "shrink": st.floats(0, 1, exclude_min=True), "end": FACTORS}
    return (
        _needing(rates.Polynomial, fall, power=POSITIVE)
        | _needing(rates.Exponential, {**fall, "end": POSITIVE_FACTORS})
        | _needing(rates.Cosine, fall, wave=st.sampled_from(["half", "quarter"]))
        | _lengths(unit).flatmap(lambda first: _needing(rates.CosineRestarts, {**restarts, "first": st.just(first)}))
    )


def _needing(
    kind: type[base.Spec], needed: dict[str, st.SearchStrategy[Any]], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Return values of `kind`: `needed` given always, `fields` given or left to their defaults."""
    return st.fixed_dictionaries(needed, optional=fields).map(lambda given: kind(**given))


@st.composite
def one_cycles(draw: st.DrawFn) -> rates.OneCycle:
    """Return any 1cycle."""
    three_phase = draw(st.booleans())
    momentum = draw(maybe(st.tuples(UNIT, UNIT).map(lambda pair: (min(pair), max(pair)))))
    return rates.OneCycle(
        rise=draw(st.floats(0, 0.5, exclude_min=True, exclude_max=True) if three_phase else INSIDE),
        start=draw(FACTORS),
        end=draw(FACTORS),
        anneal=draw(st.sampled_from(["cosine", "linear"])),
        three_phase=three_phase,
        momentum=momentum,
    )


@st.composite
def trapezoids(draw: st.DrawFn) -> rates.Trapezoid:
    """Return any trapezoid."""
    rise, fall = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    return rates.Trapezoid(every=draw(EVERY), rise=rise, fall=fall, start=draw(FACTORS), end=draw(FACTORS))


@st.composite
def warm_ups(draw: st.DrawFn, *, moves_momentum: bool = True) -> rates.WarmUp:
    """Return any warm-up, whatever follows it; one in epochs may be longer than a budget."""
    unit: Literal["epochs", "budget"] = draw(st.sampled_from(["epochs", "budget"]))
    length = draw(INSIDE if unit == "budget" else st.floats(0, 50, exclude_min=True))
    return rates.WarmUp(unit=unit, length=length, start=draw(FACTORS), then=draw(_courses(moves_momentum)))


def _courses(moves_momentum: bool) -> st.SearchStrategy[Any]:
    cycles = one_cycles() if moves_momentum else one_cycles().map(lambda c: c.model_copy(update={"momentum": None}))
    return (
        st.just(rates.Constant())
        | _piecewise(unit="epochs")
        | _piecewise(unit="budget")
        | _smooth("epochs")
        | _smooth("budget")
        | cycles
        | trapezoids()
    )


def schedules(*, moves_momentum: bool = True) -> st.SearchStrategy[Any]:
    """Return any schedule."""
    return _courses(moves_momentum) | warm_ups(moves_momentum=moves_momentum)


@st.composite
def batch_schedules(draw: st.DrawFn) -> rates.BatchSchedule:
    """Return anything that a batch size may follow."""
    found = draw(st.just(rates.Constant()) | _piecewise(unit="epochs") | _piecewise(unit="budget"))
    return found if isinstance(found, rates.PiecewiseConstant) else rates.Constant()


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
ADAM = {"semantics": st.sampled_from(["keras", "torch"]), "lr": POSITIVE, "beta_1": UNIT, "beta_2": UNIT}
MOMENTUM = {"lr": POSITIVE, "momentum": UNIT}
SCHEDULE_FREE = {"lr": POSITIVE, "warm_up_steps": st.integers(0, 999), "bn_images": SIZES}
AUXILIARY = (
    parts(updates.Sgd, **MOMENTUM)
    | parts(updates.Adam, **ADAM, epsilon=POSITIVE)
    | parts(updates.AdamW, **ADAM, epsilon=POSITIVE)
)
OPTIMIZERS = (
    AUXILIARY
    | parts(updates.Nadam, **ADAM, epsilon=POSITIVE, momentum_decay=POSITIVE)
    | parts(updates.RmsProp, **MOMENTUM, rho=UNIT, centered=st.booleans(), epsilon=POSITIVE)
    | parts(updates.Lion, lr=POSITIVE, beta_1=UNIT, beta_2=UNIT)
    | parts(updates.Lamb, lr=POSITIVE, beta_1=UNIT, beta_2=UNIT, epsilon=POSITIVE)
    | parts(
        updates.Muon,
        **MOMENTUM,
        nesterov=st.booleans(),
        iterations=st.integers(1, 20),
        unit_filters=st.booleans(),
        scale=st.sampled_from(["none", "aspect", "rms"]),
        auxiliary=AUXILIARY,
    )
    | parts(updates.ScheduleFreeSgd, **SCHEDULE_FREE, momentum=INSIDE)
    | parts(updates.ScheduleFreeAdamW, **SCHEDULE_FREE, beta_1=INSIDE, beta_2=UNIT, epsilon=POSITIVE)
    | st.builds(
        updates.PythonOptimizer,
        target=st.just("mypkg.Own"),
        lr=POSITIVE,
        arguments=st.dictionaries(
            NAMES, st.booleans() | st.integers(-9, 9) | st.floats(0, 9) | NAMES | st.just((0.5, 0.25)), max_size=3
        ),
    )
)
TOUCHED: st.SearchStrategy[updates.Touched] = st.sampled_from(["conv-kernels", "kernels", "all"])
AVERAGING = (
    st.just(updates.NoAveraging())
    | parts(updates.Ema, decay=UNIT, every=SIZES, bn_images=SIZES)
    | parts(updates.Swa, start=UNIT, bn_images=SIZES)
)
FLIPS = st.sampled_from(["random", "alternating", "none"])
PIXELS = st.integers(0, 64)


def _independent(drawn: tuple[float, updates.Touched, Any]) -> updates.Independent:
    strength, on, schedule = drawn
    strength *= 0.99 / max(1.0, rates.highest(schedule))  # so that it stays below 1
    return updates.Independent(strength=strength, on=on, schedule=schedule)


def weight_decays(*, of: str) -> st.SearchStrategy[Any]:
    """Return any weight decay that an optimizer of the kind `of` takes."""
    common = {"on": TOUCHED, "schedule": schedules()}
    none = st.just(updates.NoWeightDecay())
    coupled = parts(updates.Coupled, strength=NON_NEGATIVE, **common)
    decoupled = parts(updates.Decoupled, strength=NON_NEGATIVE, **common)
    independent = st.tuples(UNIT, TOUCHED, schedules()).map(_independent)
    match of:
        case "adamw":
            return decoupled | independent
        case "adam":
            return none | coupled
        case "schedule-free-sgd" | "schedule-free-adamw":
            return none | decoupled
        case _:
            return none | coupled | decoupled | independent


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """Return an optimizer and the fields of a recipe that have to agree with it."""
    optimizer = draw(OPTIMIZERS)
    movable = updates.momentum_of(optimizer) is not None
    by_itself = draw(st.booleans())
    moving = draw(schedules(moves_momentum=False))
    within = movable and (updates.momentum_of(optimizer) or 0.0) * rates.highest(moving) < 1
    return {
        "optimizer": optimizer,
        "weight_decay": draw(weight_decays(of=optimizer.kind)),
        "averaging": updates.NoAveraging() if optimizer.kind.startswith("schedule-free") else draw(AVERAGING),
        "schedule": draw(schedules(moves_momentum=movable and not by_itself)),
        "momentum_schedule": moving if by_itself and within else rates.Constant(),
    }


def _recipe(rule: dict[str, Any], rest: dict[str, Any]) -> recipes.Recipe:
    return recipes.Recipe(**rule, **rest)


RECIPES: st.SearchStrategy[recipes.Recipe] = st.builds(
    _recipe,
    rules(),
    st.fixed_dictionaries(
        {
            "name": NAMES,
            "data": DATA,
            "network": _network(networks.ResNetV1, step=6) | _network(networks.ResNetV2, step=9),
            "budget": st.builds(rates.Budget, epochs=st.integers(1, 1_000_000)),
        },
        optional={
            "summary": TEXT,
            "augmentation": st.just(inputs.NoAugmentation())
            | parts(inputs.ShiftFlip, shift=UNIT, flip=FLIPS, cutout=PIXELS)
            | parts(
                inputs.CropFlip,
                padding=SIZES,
                fill=st.sampled_from(["reflect", "zero"]),
                flip=FLIPS,
                cutout=PIXELS,
            ),
            "mixing": st.just(inputs.NoMixing())
            | parts(inputs.Mixup, alpha=POSITIVE)
            | parts(inputs.CutMix, alpha=POSITIVE, probability=st.floats(0, 1)),
            "regularisation": st.just(updates.NoRegularisation())
            | parts(updates.L2, strength=FACTORS, on=st.sampled_from(["conv-kernels", "kernels"])),
            "clip_norm": maybe(POSITIVE_FACTORS),
            "label_smoothing": UNIT,
            "batch_schedule": batch_schedules(),
            "plateau": maybe(PLATEAUS),
            "batch_size": SIZES,
            "precision": st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
            "seed": SEEDS,
            "seeds": parts(base.StreamSeeds, init=SEEDS, order=SEEDS, augmentation=SEEDS, dropout=SEEDS),
            "targets": st.lists(st.floats(0, 1, exclude_min=True), max_size=4).map(tuple),
            "hold": st.integers(1, 9),
        },
    ),
)
