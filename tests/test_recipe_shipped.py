"""Recipes that come with fewepochs, and the JSON Schema that editors read."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import tomli_w

from fewepochs import recipe as recipes
from fewepochs.errors import FewEpochsError, RecipeError
from recipe_samples import FULL, parse

# --- schema and shipped recipes ---------------------------------------------------------------------------------


def check(content: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(recipes.json_schema())
    return [error.message for error in validator.iter_errors(content)]


def test_the_schema_is_one_and_json() -> None:
    schema = recipes.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    assert set(schema["required"]) == {"name", "data", "network", "budget"}


@pytest.mark.parametrize("name", recipes.shipped_names())
def test_the_schema_accepts_shipped_recipes_as_they_stand(name: str) -> None:
    assert check(tomllib.loads(recipes.text(name))) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimiser", {}),
        ("seed", "1"),
        ("seed", 2**63),
        ("batch_size", 0),
        ("targets", [2.0]),
        ("optimizer", {"kind": "adam", "lrr": 1}),
        ("optimizer", {"kind": "adam", "lr": 0}),
        ("network", {"kind": "resnet-v3"}),
        ("budget", {}),
        ("name", "A B"),
    ],
)
def test_the_schema_refuses_what_the_recipe_refuses(field: str, value: object) -> None:
    content = {**tomllib.loads(FULL), field: value}
    assert check(content)
    with pytest.raises(RecipeError):
        parse(tomli_w.dumps(content))


@pytest.mark.parametrize("name", recipes.shipped_names())
def test_a_shipped_recipe_says_where_it_comes_from_what_it_asks_and_what_it_costs(name: str) -> None:
    text = recipes.text(name)
    header = text.partition("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in header)
    for word in ("Source", "Question", "Cost"):
        assert any(line[2:].startswith(word) for line in header), word
    recipe = recipes.load(name)
    assert recipe.summary
    assert recipe.targets


def test_no_shipped_recipe_repeats_another() -> None:
    found = [recipes.digest(recipes.load(name)) for name in recipes.shipped_names()]
    assert len(set(found)) == len(found) >= 3


def test_an_unknown_shipped_name_is_a_recipe_error() -> None:
    for name in ("nope", "../recipes/digits-step", "digits-step.toml", ""):
        with pytest.raises(FewEpochsError, match="neither a shipped recipe nor a file"):
            recipes.text(name)
