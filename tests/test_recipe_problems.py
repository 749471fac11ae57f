"""What is wrong with a recipe is told in the user's words, all of it at once, and nothing costs more than a moment."""

from __future__ import annotations

import pytest

from fewepochs import problems as explaining
from fewepochs.errors import RecipeError
from recipe_samples import FULL, parse, problems

TABLE = [
    ("optimiser.lr=1", "optimiser: unknown field (got {'lr': 1}); allowed: name, summary, data,", "'optimizer'?"),
    (
        "optimizer.lrr=1",
        "optimizer.lrr: unknown field of kind 'adam' (got 1); allowed: kind, semantics, lr, beta_1,",
        "'lr'?",
    ),
    ("network.stem.filter=3", "network.stem.filter: unknown field (got 3); allowed: filters, kernel,", "'filters'?"),
    ("data.validation.image=3", "data.validation.image: unknown field of kind 'held-out' (got 3);", "'images'?"),
    ("plateau.patiense=3", "plateau.patiense: unknown field (got 3); allowed: reading, factor,", "'patience'?"),
    ("seeds.ordre=3", "seeds.ordre: unknown field (got 3); allowed: init, order, augm", "'order'?"),
    ("schedule.kind=constant", "schedule.unit: unknown field of kind 'constant' (got 'budget')", "allowed: kind"),
    ("zzz=1", "zzz: unknown field (got 1); allowed: name,", "hold"),
    ("network.kind=resnet-v3", "network.kind: not a known choice (got 'resnet-v3')", "'resnet-v2'?"),
    ("network.kind=7", "network.kind: not a known choice (got", "allowed: resnet-v1, resnet-v2"),
    (
        "data.kind=cifar",
        "data.kind: not a known choice (got 'cifar'); allowed: cifar10, cifar100, digits,",
        "cifar10'?",
    ),
    ("precision=float23", "precision: not a known choice (got 'float23'); allowed: float32, bfloat16,", "'float32'?"),
    ("precision=1", "precision: not a known choice (got 1)", "allowed: float32"),
    ("schedule={unit='epochs'}", "schedule.kind: missing", "the recipe must say it"),
    ("network=resnet", "network: not a table (got 'resnet')", "allowed: [network] with its fields"),
    ("budget=5", "budget: not a table (got 5)", "allowed: [budget] with its fields"),
    ("budget={}", "budget.epochs: missing", "the recipe must say it"),
    ("optimizer.lr=abc", "optimizer.lr: input should be a valid number", "(got 'abc')"),
    ("optimizer.lr='1'", "optimizer.lr: input should be a valid number", "(got '1')"),
    ("optimizer.lr=true", "optimizer.lr: input should be a valid number", "(got True)"),
    ("optimizer.lr=nan", "optimizer.lr: input should be a finite number", "(got nan)"),
    ("optimizer.lr=inf", "optimizer.lr: input should be a finite number", "(got inf)"),
    ("optimizer.lr=-inf", "optimizer.lr: input should be", "(got -inf)"),
    ("optimizer.lr=0", "optimizer.lr: input should be greater than 0", "(got 0)"),
    ("optimizer.lr=-1e-3", "optimizer.lr: input should be greater than 0", "(got -0.001)"),
    ("optimizer.lr=2020-01-01", "optimizer.lr: input should be a valid number", "date"),
    ("optimizer.beta_1=1", "optimizer.beta_1: input should be less than 1", "(got 1)"),
    ("regularisation.strength=-1", "regularisation.strength: input should be greater than or equal to 0", "(got -1)"),
    ("regularisation.strength=1e39", "regularisation.strength: input should be less than or equal to 1000000000", ""),
    ("clip_norm=1e39", "clip_norm: input should be less than or equal to 1000000000", "(got 1e+39)"),
    ("clip_norm=0.0", "clip_norm: input should be greater than 0", "(got 0.0)"),
    ("batch_size=0", "batch_size: input should be greater than or equal to 1", "(got 0)"),
    ("batch_size=1.0", "batch_size: input should be a valid integer", "(got 1.0)"),
    ("batch_size=true", "batch_size: input should be a valid integer", "(got True)"),
    ("batch_size=0x" + "f" * 5000, "batch_size: input should be less than or equal to", "(got a very long int)"),
    ("seed=9223372036854775808", "seed: input should be less than or equal to 9223372036854775807", "got 92233720"),
    ("seeds.init=-9223372036854775809", "seeds.init: input should be greater than or equal to", "got -9223372"),
    ("budget.epochs=0", "budget.epochs: input should be greater than or equal to 1", "(got 0)"),
    ("budget.epochs=1000001", "budget.epochs: input should be less than or equal to 1000000", "(got 1000001)"),
    ("augmentation.flip=1", "augmentation.flip: not a known choice", "(got 1)"),
    ("augmentation.shift=1", "augmentation.shift: input should be less than 1", "(got 1)"),
    ("summary=" + "x" * 501, "summary: string should have at most 500 characters", "..."),
    ("targets=0.5", "targets: not an array (got 0.5)", "allowed: [first, second, ...]"),
    ("targets=[0.5, 0.0]", "targets[1]: input should be greater than 0", "(got 0.0)"),
    ("targets=[1.5]", "targets[0]: input should be less than or equal to 1", "(got 1.5)"),
    ("targets=[92]", "targets[0]: input should be less than or equal to 1", "(got 92)"),
    ("hold=0", "hold: input should be greater than or equal to 1", "(got 0)"),
    ("name=A B", "name: not a name (got 'A B')", "allowed: lower-case letters, digits"),
    ("name=../../etc", "name: not a name (got '../../etc')", "allowed:"),
    ("name=" + "n" * 81, "name: not a name", "at most 80"),
    ("name=", "name: not a name (got '')", "allowed:"),
    ("network.depth=20", "network: give exactly one of depth and units", ""),
    ("network={kind='resnet-v2'}", "network: give exactly one of depth and units", ""),
    ("network={kind='resnet-v2', depth=55}", "network: the depth of a ResNet v2 is 9n+2: 11, 20, ...", ""),
    ("network={kind='resnet-v2', depth=2}", "network: the depth of a ResNet v2 is 9n+2", ""),
    ("network={kind='resnet-v1', depth=9}", "network: the depth of a ResNet v1 is 6n+2: 8, 14, ...", ""),
    ("network={kind='resnet-v1', depth=8, filters=[4]}", "network: a depth speaks of three stages", "give units"),
    ("network.units=[1]", "network: units needs 2 numbers", "one a stage"),
    ("network.bottleneck=[1]", "network: bottleneck needs 2 numbers", "one a stage"),
    ("network.shortcut_kernels=[1]", "network: shortcut_kernels needs 2 numbers", "one a stage"),
    ("network.units=[]", "network.units: too few items (got [])", "1 or more"),
    ("network.units=[1, 0]", "network.units[1]: input should be greater than or equal to 1", "(got 0)"),
    ("network.units=[1, 1.5]", "network.units[1]: input should be a valid integer", "(got 1.5)"),
    ("schedule.factors=[1.0]", "schedule: 1 boundaries need 2 factors", ""),
    ("schedule.boundaries=[1.5]", "schedule: boundaries are fractions of the budget here", "unit = 'epochs'"),
    ("schedule={kind='piecewise-constant', boundaries=[0.5, 0.5], factors=[1, 1, 1]}", "schedule: boundaries must", ""),
    ("schedule={kind='piecewise-constant', boundaries=[0.6, 0.5], factors=[1, 1, 1]}", "schedule: boundaries must", ""),
    ("schedule={kind='piecewise-linear', points=[[0, 1]]}", "schedule.points: too few items", "2 or more"),
    ("schedule={kind='piecewise-linear', points=[[0, 1], [0, 1]]}", "schedule: positions must rise", ""),
    ("schedule={kind='piecewise-linear', points=[[0, 1], [2, 1]]}", "schedule: positions are fractions of", "'epochs'"),
    ("schedule={kind='piecewise-linear', points=[[0, 1], [1, -1]]}", "schedule.points[1][1]: input should", "(got -1)"),
    ("schedule={kind='piecewise-linear', points=[[0, 1], [1]]}", "schedule.points[1][1]: missing", ""),
    ("plateau={kind='reduce'}", "plateau.kind: unknown field (got 'reduce')", "reading, factor, patience"),
    ("plateau.factor=1", "plateau.factor: input should be less than 1", "(got 1)"),
    ("plateau.reading=effectiv", "plateau.reading: not a known choice (got 'effectiv')", "'effective'?"),
]


@pytest.mark.parametrize(("override", "start", "within"), TABLE, ids=[override[:40] for override, _, _ in TABLE])
def test_a_mistake_is_named_with_field_value_and_what_is_allowed(override: str, start: str, within: str) -> None:
    first, *others = problems(FULL, override)
    assert first.startswith(start)
    assert within in first
    assert "\n" not in first
    assert len(first) < 400
    assert not others or override == "schedule.kind=constant"


def test_all_mistakes_are_told_at_once() -> None:
    mistakes = ("optimizer.lr=nan", "batch_size=0", "x", "netwrk.depth=1", "targets=[2]", "budget.epochs=0")
    with pytest.raises(RecipeError) as caught:
        parse(FULL, *mistakes)
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {"--set", "optimizer.lr", "batch_size", "netwrk", "targets[0]", "budget.epochs"}
    lines = str(caught.value).splitlines()
    assert lines[0] == "test: 6 problems"
    assert len(lines) == 7
    assert caught.value.exit_code == 2


def test_an_empty_recipe_says_what_a_recipe_must_say() -> None:
    assert problems("") == tuple(
        f"{field}: missing; the recipe must say it" for field in ("name", "data", "network", "budget")
    )


def test_thousands_of_mistakes_are_counted_not_listed() -> None:
    found = problems("\n".join(f"field{k} = {k}" for k in range(3000)))
    assert len(found) == explaining.MAX_PROBLEMS + 1
    assert found[0] == "name: missing; the recipe must say it"
    assert found[-1] == "(file): and 2904 problems more"
