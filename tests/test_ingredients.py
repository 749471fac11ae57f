"""Ingredients: what two recipes differ in, and the recipes between them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import ingredients
from fewepochs import recipe as recipes
from fewepochs.errors import RecipeError

SHIPPED = [recipes.load(name) for name in recipes.shipped_names()]
PAIRS = [(a, b) for a, b in itertools.permutations(SHIPPED, 2) if recipes.digest(a) != recipes.digest(b)]
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab\"\\\n'é"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b-c", "d.e", "f g"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(PAIRS))
def test_all_ingredients_put_in_make_the_full_recipe_and_all_left_out_the_base(
    pair: tuple[recipes.Recipe, recipes.Recipe],
) -> None:
    base, full = pair
    found = ingredients.ingredients(base, full)
    parts = [part for one in found for part in one.parts]
    assert len(set(parts)) == len(parts)
    assert recipes.digest(ingredients.exchanged(base, full, parts, name="all")) == recipes.digest(full)
    assert recipes.digest(ingredients.exchanged(full, base, parts, name="none")) == recipes.digest(base)


@given(st.sampled_from(PAIRS))
def test_a_variant_differs_in_its_ingredient_alone_and_overrides_say_it(
    pair: tuple[recipes.Recipe, recipes.Recipe],
) -> None:
    base, full = pair
    for variant in ingredients.variants(base, full)[2:]:
        assert variant.ingredient is not None
        into = base if variant.role == "with" else full
        changed = {line.split(":")[0].split(".")[0] for line in recipes.differences(into, variant.recipe)}
        assert changed == set(variant.ingredient.parts)
        said = ingredients.overrides(into, variant.recipe)
        if said is None:
            assert any(getattr(variant.recipe, part) is None for part in variant.ingredient.parts)
        else:
            assert recipes.digest(recipes.load(into.name, overrides=said)) == recipes.digest(variant.recipe)


@given(VALUES)
def test_a_value_on_one_line_is_read_back(value: object) -> None:
    assert recipes.read_toml(f"value = {ingredients.inline(value)}") == {"value": value}


def test_parts_that_cannot_stand_alone_are_one_ingredient() -> None:
    base, full = recipes.load("adam-linear-50"), recipes.load("adamw-quarter-cosine")
    names = [one.name for one in ingredients.ingredients(base, full)]
    assert names == ["optimizer + weight_decay", "regularisation", "schedule", "budget"]


def test_a_single_ingredient_has_no_recipes_between() -> None:
    base, full = recipes.load("digits-step"), recipes.load("digits-linear")
    assert [variant.role for variant in ingredients.variants(base, full)] == ["base", "full"]


def test_labels_and_seeds_are_no_ingredients() -> None:
    base = recipes.load("digits-step")
    other = recipes.load("digits-step", overrides=["name=other", "targets=[0.5]"], seed=7)
    with pytest.raises(RecipeError, match="is the same recipe as --base"):
        ingredients.ingredients(base, other)


def test_a_part_that_would_have_to_go_cannot_be_said_by_an_override() -> None:
    base = recipes.load("resnet56v2-adam-atienza")
    without = ingredients.exchanged(base, recipes.load("fewest"), ["plateau"], name="x")
    assert without.plateau is None
    assert ingredients.overrides(base, without) is None
