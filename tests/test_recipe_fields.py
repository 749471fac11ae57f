"""Every field of every part of a recipe: it changes the digest, unless it stands at its default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from fewepochs import recipe as recipes
from fewepochs.specs import base
from recipe_samples import FULL, parse

Case = tuple[str, str]
"""What is laid over the full recipe first, "" for nothing; and what is then changed."""

SGD = "optimizer={kind='sgd', momentum=0.9}"
ADAMW = "weight_decay={kind='decoupled'}"
PARTS: dict[str, tuple[str, ...]] = {
    "": (
        "batch_size=33",
        "precision=bfloat16",
        "clip_norm=1.0",
        "label_smoothing=0.1",
        "data.kind=npz",
        "data.normalise=none",
        "data.validation={kind='test'}",
        "data.validation.images=301",
        "data.validation.split_seed=2",
        "augmentation={kind='none'}",
        "augmentation.shift=0.2",
        "augmentation.flip=none",
        "augmentation.cutout=4",
        "mixing={kind='mixup'}",
        "network={kind='resnet-v1', units=[1, 2], filters=[8, 16]}",
        "network.units=[2, 2]",
        "network.filters=[8, 32]",
        "network.bottleneck=[4, 9]",
        "network.stem.filters=5",
        "network.stem.kernel=3",
        "network.stem.stride=1",
        "network.shortcut_kernels=[1, 1]",
        "network.activation=elu",
        "network.conv_bias=false",
        "network.dropout=0.0",
        "network.bn_momentum=0.9",
        SGD,
        "optimizer.semantics=torch",
        "optimizer.lr=1e-2",
        "optimizer.beta_1=0.8",
        "optimizer.beta_2=0.99",
        "optimizer.epsilon=1e-8",
        "regularisation={kind='none'}",
        "regularisation.strength=2e-4",
        "regularisation.on=kernels",
        "weight_decay={kind='coupled'}",
        "averaging={kind='ema'}",
        "schedule={kind='constant'}",
        "schedule.unit=epochs",
        "schedule.every=step",
        "schedule.boundaries=[0.6]",
        "schedule.factors=[1.0, 0.2]",
        "momentum_schedule={kind='cosine'}",
        "batch_schedule={kind='piecewise-constant', factors=[2.0]}",
        "plateau.reading=overwritten",
        "plateau.factor=0.1",
        "plateau.patience=6",
        "plateau.min_delta=1e-3",
        "plateau.cooldown=0",
        "plateau.min_lr=0.0",
        "budget.epochs=11",
        "seeds.init=0",
        "seeds.order=0",
        "seeds.augmentation=0",
        "seeds.dropout=0",
    ),
    "augmentation={kind='crop-flip'}": (
        "augmentation.padding=3",
        "augmentation.fill=reflect",
        "augmentation.flip=alternating",
        "augmentation.cutout=8",
    ),
    "mixing={kind='mixup'}": ("mixing.alpha=0.4",),
    "mixing={kind='cutmix'}": ("mixing.alpha=0.4", "mixing.probability=0.5"),
    "network={kind='resnet-v1', units=[1, 2], filters=[8, 16]}": (
        "network.units=[2, 2]",
        "network.filters=[8, 32]",
        "network.stem={filters=5}",
        "network.shortcut_kernels=[1, 3]",
        "network.activation=elu",
        "network.conv_bias=false",
        "network.dropout=0.1",
        "network.bn_momentum=0.9",
    ),
    "optimizer={kind='nadam'}": (
        "optimizer={kind='nadam', semantics='torch'}",
        "optimizer.lr=1e-2",
        "optimizer.beta_1=0.8",
        "optimizer.beta_2=0.99",
        "optimizer.epsilon=1e-8",
        "optimizer.momentum_decay=0.004",
    ),
    SGD: (
        "optimizer.semantics=torch",
        "optimizer.lr=1e-1",
        "optimizer.momentum=0.8",
        "optimizer.nesterov=true",
    ),
    "optimizer={kind='rmsprop'}": (
        "optimizer={kind='rmsprop', semantics='torch'}",
        "optimizer.lr=1e-2",
        "optimizer.rho=0.99",
        "optimizer.momentum=0.9",
        "optimizer.centered=true",
        "optimizer.epsilon=1e-8",
    ),
    "optimizer={kind='lion'}": ("optimizer.lr=1e-3", "optimizer.beta_1=0.8", "optimizer.beta_2=0.9"),
    "optimizer={kind='lamb'}": (
        "optimizer.lr=1e-2",
        "optimizer.beta_1=0.8",
        "optimizer.beta_2=0.99",
        "optimizer.epsilon=1e-8",
    ),
    "optimizer={kind='muon', auxiliary={kind='adamw'}}": (
        "optimizer.lr=0.1",
        "optimizer.momentum=0.6",
        "optimizer.nesterov=false",
        "optimizer.iterations=3",
        "optimizer.unit_filters=true",
        "optimizer.scale=rms",
        "optimizer.auxiliary={kind='sgd'}",
        "optimizer.auxiliary={kind='adamw', semantics='torch'}",
        "optimizer.auxiliary={kind='adamw', lr=0.1}",
        "optimizer.auxiliary={kind='adamw', beta_1=0.1}",
        "optimizer.auxiliary={kind='adamw', beta_2=0.1}",
        "optimizer.auxiliary={kind='adamw', epsilon=0.1}",
    ),
    "optimizer={kind='schedule-free-sgd'}": (
        "optimizer.lr=0.1",
        "optimizer.momentum=0.8",
        "optimizer.warm_up_steps=10",
        "optimizer.bn_images=100",
    ),
    "optimizer={kind='schedule-free-adamw'}": (
        "optimizer.lr=0.1",
        "optimizer.beta_1=0.8",
        "optimizer.beta_2=0.99",
        "optimizer.epsilon=1e-7",
        "optimizer.warm_up_steps=10",
        "optimizer.bn_images=100",
    ),
    "optimizer={kind='python', target='mypkg.Own'}": (
        "optimizer.target=mypkg.Other",
        "optimizer.lr=0.1",
        "optimizer.arguments={eps=1e-8}",
    ),
    "weight_decay={kind='coupled'}": (
        "weight_decay.strength=1e-3",
        "weight_decay.on=kernels",
        "weight_decay.schedule={kind='cosine'}",
    ),
    "averaging={kind='ema'}": ("averaging.decay=0.99", "averaging.every=2", "averaging.bn_images=100"),
    "averaging={kind='swa'}": ("averaging.start=0.5", "averaging.bn_images=100"),
    "schedule={kind='piecewise-linear', points=[[0.0, 1.0], [1.0, 0.0]]}": (
        "schedule.unit=epochs",
        "schedule.every=epoch",
        "schedule.points=[[0.0, 1.0], [1.0, 0.5]]",
    ),
    "schedule={kind='polynomial'}": (
        "schedule.unit=epochs",
        "schedule.every=epoch",
        "schedule.until=0.5",
        "schedule.end=0.1",
        "schedule.power=2.0",
    ),
    "schedule={kind='exponential'}": (
        "schedule.unit=epochs",
        "schedule.every=epoch",
        "schedule.until=0.5",
        "schedule.end=0.1",
    ),
    "schedule={kind='cosine'}": (
        "schedule.unit=epochs",
        "schedule.every=epoch",
        "schedule.until=0.5",
        "schedule.end=0.1",
        "schedule.wave=quarter",
    ),
    "schedule={kind='cosine-restarts', first=0.25}": (
        "schedule.unit=epochs",
        "schedule.every=epoch",
        "schedule.first=0.5",
        "schedule.stretch=2.0",
        "schedule.shrink=0.5",
        "schedule.end=0.1",
    ),
    "schedule={kind='1cycle'}": (
        "schedule.rise=0.2",
        "schedule.start=0.1",
        "schedule.end=0.0",
        "schedule.anneal=linear",
        "schedule.three_phase=true",
        "schedule.momentum=[0.85, 0.95]",
    ),
    "schedule={kind='trapezoid'}": (
        "schedule.every=epoch",
        "schedule.rise=0.2",
        "schedule.fall=0.8",
        "schedule.start=0.1",
        "schedule.end=0.1",
    ),
    "schedule={kind='warm-up', length=0.1}": (
        "schedule.unit=epochs",
        "schedule.length=0.2",
        "schedule.start=0.1",
        "schedule.then={kind='cosine'}",
    ),
}
CASES = [(first, change) for first, changes in PARTS.items() for change in changes]
DECAYS = tuple(
    (f"optimizer={{kind='adamw'}};weight_decay={{kind='{kind}'}}", change)
    for kind in ("decoupled", "independent")
    for change in (
        "weight_decay.strength=1e-3",
        "weight_decay.on=kernels",
        "weight_decay.schedule={kind='cosine'}",
        "optimizer={kind='adamw', semantics='torch'}",
        "optimizer.lr=0.1",
        "optimizer.beta_1=0.1",
        "optimizer.beta_2=0.1",
        "optimizer.epsilon=0.1",
    )
)
"""Where two parts have to agree, two overrides stand before the change."""
CASES = [*CASES, *DECAYS]


def laid(first: str, *more: str) -> recipes.Recipe:
    """Return the full recipe with `first`, overrides parted by semicolons, and `more` laid over it."""
    return parse(FULL, *(override for override in first.split(";") if override), *more)


@pytest.mark.parametrize(("first", "change"), CASES, ids=[f"{first}+{change}"[:90] for first, change in CASES])
def test_every_field_changes_the_digest(first: str, change: str) -> None:
    before, after = laid(first), laid(first, change)
    assert recipes.digest(after) != recipes.digest(before)
    lines = recipes.differences(before, after)
    field = change.partition("=")[0]
    assert lines
    assert all(line.startswith(field) for line in lines)
    assert parse(recipes.to_toml(after)) == after


def test_two_choices_of_a_part_are_two_experiments() -> None:
    firsts = {first for first, _ in CASES}
    assert len({recipes.digest(laid(first)) for first in firsts}) == len(firsts)


def parts(spec: base.Spec, path: str = "") -> Iterator[tuple[str, base.Spec]]:
    yield path, spec
    for name in type(spec).model_fields:
        if isinstance(value := getattr(spec, name), base.Spec):
            yield from parts(value, f"{path}{name}.")


@pytest.mark.parametrize("first", sorted({first for first, _ in CASES}))
def test_a_default_that_is_spelt_out_changes_nothing(first: str) -> None:
    recipe = laid(first)
    for path, spec in parts(recipe):
        for name, field in type(spec).model_fields.items():
            if name == "kind" or field.is_required() or getattr(spec, name) != field.default:
                continue
            if field.default is None:
                continue  # TOML has no word for it
            table = spec.model_dump(mode="json", exclude_none=True)
            again = laid(first, f"{path}{name}={_toml(table[name])}")
            assert recipes.digest(again) == recipes.digest(recipe), f"{path}{name}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_toml(one)}" for name, one in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_what_stands_at_its_default_is_not_in_the_canonical_form() -> None:
    """So that a later version with more fields gives the same recipe the same name."""
    text = recipes.canonical_json(parse())
    for absent in ("mixing", "averaging", "clip_norm", "label_smoothing", "momentum_schedule", "batch_schedule"):
        assert f'"{absent}"' not in text
    assert '"semantics"' not in text
    assert '"bn_momentum"' not in text


# --- completeness -----------------------------------------------------------------------------------------------


def kinds(annotation: Any) -> Iterator[type[base.Spec]]:
    """Yield every kind of part that can stand in a recipe."""
    if isinstance(annotation, type) and issubclass(annotation, base.Spec):
        yield annotation
        for field in annotation.model_fields.values():
            yield from kinds(field.annotation)
    for inner in get_args(annotation):
        yield from kinds(inner)


def changed(before: base.Spec, after: base.Spec) -> Iterator[tuple[str, str]]:
    """Yield the fields that differ between two parts, as (kind of part, field)."""
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, base.Spec) and type(old) is type(new):
            yield from changed(old, new)
        else:
            yield type(before).__name__, name


def test_no_field_of_any_part_was_forgotten_above() -> None:
    # The seed acts through the streams', depth is another spelling of units, the plateau stands in the full recipe.
    aside = {("Recipe", field) for field in (*recipes.LABELS, "seed", "plateau")}
    aside |= {("ResNetV1", "depth"), ("ResNetV2", "depth")}
    everything = {
        (kind.__name__, name)
        for kind in set(kinds(recipes.Recipe))
        for name, field in kind.model_fields.items()
        if name != "kind" and not _leads_on(field.annotation)
    }
    tried = {one for first, change in CASES for one in changed(laid(first), laid(first, change))}
    assert everything - aside <= tried


def _leads_on(annotation: Any) -> bool:
    """Say whether a field holds exactly one kind of part, so that changes show inside it."""
    return isinstance(annotation, type) and issubclass(annotation, base.Spec)
