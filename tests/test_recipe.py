"""A recipe is a value: it goes out to TOML and comes back equal, and its digest is what decides the outcome."""

from __future__ import annotations

import hashlib
import json
import tomllib

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings

from fewepochs import recipe as recipes
from fewepochs.specs import rates, updates
from recipe_samples import FULL, RECIPES, parse, problems

SCHEMA = jsonschema.Draft202012Validator(recipes.json_schema())


# --- there and back ---------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=50, deadline=None)
@given(RECIPES)
def test_a_recipe_comes_back_equal_from_toml_and_from_json(recipe: recipes.Recipe) -> None:
    back = parse(recipes.to_toml(recipe))
    assert back == recipe
    assert recipes.to_toml(back) == recipes.to_toml(recipe)
    content = json.loads(json.dumps(recipe.model_dump(mode="json", exclude_none=True), allow_nan=False))
    assert recipes.from_json(content, source="test") == recipe
    assert recipes.digest(back) == recipes.digest(recipe)
    assert recipes.differences(recipe, back) == ()
    assert SCHEMA.is_valid(content)


@pytest.mark.parametrize("name", recipes.shipped_names())
def test_a_shipped_recipe_comes_back_equal(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert parse(recipes.to_toml(recipe)) == recipe


def test_every_default_stands_in_the_toml() -> None:
    minimal = parse('name="m"\ndata={kind="digits"}\nnetwork={kind="resnet-v1", depth=8}\nbudget={epochs=1}')
    table = tomllib.loads(recipes.to_toml(minimal))
    rule = {"kind": "adam", "semantics": "keras", "lr": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    assert table["optimizer"] == rule
    assert table["data"]["validation"] == {"kind": "test"}
    assert (table["seed"], table["batch_size"], table["precision"], table["hold"]) == (0, 64, "float32", 3)


def test_a_recipe_is_frozen() -> None:
    recipe = parse()
    for part, field in ((recipe, "seed"), (recipe.optimizer, "lr")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, field, 1)
    assert isinstance(recipe.targets, tuple)
    assert hash(recipe) == hash(parse())


# --- digest -----------------------------------------------------------------------------------------------------


def test_the_published_baseline_has_the_digest_it_always_had() -> None:
    """If this fails, results of before and after can no longer be compared: that is a decision, not a detail."""
    pinned = "e0cc20fb3ce8f804cb5cf681f149dce47fd53d39b3c38124453fe74ce0ab63eb"
    assert recipes.digest(recipes.load("resnet56v2-adam-atienza")) == pinned


def test_the_digest_is_sha256_of_sorted_json_without_spaces() -> None:
    text = recipes.canonical_json(parse())
    content = json.loads(text)
    assert text == json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert recipes.digest(parse()) == hashlib.sha256(text.encode()).hexdigest()
    assert content["seeds"] == {"init": 4, "order": 5, "augmentation": 6, "dropout": 7}
    assert content["format"] == 2
    assert not {"name", "summary", "targets", "hold", "seed"} & content.keys()


@pytest.mark.parametrize("label", ["name=other", "summary=other", "targets=[0.1]", "targets=[]", "hold=9"])
def test_labels_stand_outside_the_digest(label: str) -> None:
    assert parse(FULL, label) != parse()
    assert recipes.digest(parse(FULL, label)) == recipes.digest(parse())
    assert recipes.differences(parse(), parse(FULL, label)) == ()


def test_seeds_are_one_experiment_however_they_are_spelt() -> None:
    one = parse(FULL, "seed=3", "seeds={}")
    same = (
        parse(FULL, "seed=99", "seeds={init=3, order=3, augmentation=3, dropout=3}"),
        parse(FULL, "seed=3", "seeds={init=3}"),
        parse(FULL, "seeds={order=3, dropout=3}", seed=3),
    )
    assert {recipes.digest(recipe) for recipe in same} == {recipes.digest(one)}
    assert recipes.digest(parse(FULL, "seed=3", "seeds={init=4}")) != recipes.digest(one)


def test_differences_name_the_field_and_both_values() -> None:
    changed = parse(FULL, "optimizer.lr=0.01", "budget.epochs=20", "schedule.boundaries=[0.25]")
    assert recipes.differences(parse(), changed) == (
        "budget.epochs: 10 -> 20",
        "optimizer.lr: 0.001 -> 0.01",
        "schedule.boundaries: [0.5] -> [0.25]",
    )


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=30, deadline=None)
@given(RECIPES, RECIPES)
def test_differences_and_digests_agree(one: recipes.Recipe, two: recipes.Recipe) -> None:
    assert (recipes.digest(one) == recipes.digest(two)) == (recipes.differences(one, two) == ())


# --- overrides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("batch_size=128", "batch_size", 128),
        (" batch_size = 128 ", "batch_size", 128),
        ("batch_size=1_28", "batch_size", 128),
        ("precision=bfloat16", "precision", "bfloat16"),
        ('precision="bfloat16"', "precision", "bfloat16"),
        ("summary=two words", "summary", "two words"),
        ("summary=a=b", "summary", "a=b"),
        ("summary=", "summary", ""),
        ('summary="1"', "summary", "1"),
        ("targets=[0.25]", "targets", (0.25,)),
        ("seed=-4", "seed", -4),
        ("budget={epochs=7}", "budget", rates.Budget(epochs=7)),
        ("regularisation={kind='none'}", "regularisation", updates.NoRegularisation()),
    ],
)
def test_an_override_lays_one_value_over_the_recipe(override: str, field: str, value: object) -> None:
    recipe = parse(FULL, override)
    assert getattr(recipe, field) == value
    assert recipe == parse().model_copy(update={field: value})


def test_the_later_override_wins_and_tables_come_into_being() -> None:
    text = 'name="m"\nnetwork={kind="resnet-v1", depth=8}'
    recipe = parse(text, "data.kind=digits", "budget.epochs=1", "budget.epochs=2", "seeds.order=5")
    assert (recipe.budget.epochs, recipe.seeds.order, recipe.data.kind) == (2, 5, "digits")


def test_the_seed_argument_comes_last() -> None:
    assert parse(FULL, "seed=1", seed=2).seed == 2
    assert parse(FULL, "seed=1").seed == 1
    assert parse(FULL, seed=2).stream_seed("init") == 4
    assert parse(FULL, "seeds={init=4}", seed=2).stream_seed("order") == 2


@pytest.mark.parametrize("override", ["", "x", "=1", ".=1", "a..b=1", ".a=1", "a.=1", "a" + ".a" * 5000 + "=1"])
def test_an_override_that_is_none_is_refused(override: str) -> None:
    (problem,) = problems(FULL, override)
    assert problem.startswith("--set: not of the form field=value (got '")
    assert len(problem) < 200


def test_an_override_below_a_value_is_refused() -> None:
    assert problems(FULL, "seed.x=1") == ("--set: seed is a value, not a table (got 'seed.x=1')",)
