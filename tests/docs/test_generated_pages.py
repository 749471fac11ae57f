"""What the site makes from the code: all of it, in a form that renderers take as it is meant."""

from __future__ import annotations

import re

import command_pages
import fewepochs_site
import plain_docstrings
import pytest
import recipe_tables

from fewepochs import recipe as recipes
from fewepochs.specs import base

DOCSTRING = """Return `x*y` of x*y, where args_ and |z| <a> stand.

    y = x
    z

Differences:
1. The first, which goes
   on here.
2. The second.

>>> 1 + 1
2
"""


def test_a_docstring_becomes_restructured_text_with_nothing_taken_for_markup() -> None:
    assert plain_docstrings.rest(DOCSTRING) == [
        r"Return ``x*y`` of x\*y, where args\_ and \|z\| <a> stand.",
        "",
        *(".. code-block:: none", "", "    y = x", "    z", ""),
        *("Differences:", ""),
        *("1. The first, which goes", "   on here.", ""),
        *("2. The second.", ""),
        *(">>> 1 + 1", "2", ""),
    ]


def test_a_docstring_becomes_markdown_with_nothing_taken_for_markup() -> None:
    lines = plain_docstrings.markdown(DOCSTRING).splitlines()
    assert lines[0] == r"Return `x*y` of x\*y, where args\_ and \|z\| \<a> stand."
    assert lines[2:6] == ["```text", "y = x", "z", "```"]
    assert lines[-4:-1] == ["```text", ">>> 1 + 1", "2"]


def test_every_command_has_a_section_and_every_option_a_row() -> None:
    page = command_pages.reference()
    for words in command_pages.commands():
        assert re.search(rf"^#+ fewepochs {' '.join(words)}$", page, flags=re.M), words
    for option in ("--stop-at-target", "--gpus-per-cell", "--run-column", "--looks"):
        assert f"| `{option} " in page


def test_every_model_of_a_recipe_is_told_with_every_field() -> None:
    page = recipe_tables.fields()
    for name, spec in recipes.json_schema()["$defs"].items():
        kind = spec["properties"].get("kind", {}).get("const")
        assert kind is None or f'**`kind = "{kind}"`**' in page, name
        for field in spec["properties"]:
            assert field == "kind" or f"| `{field}` |" in page, (name, field)


def test_no_model_is_told_twice() -> None:
    page = recipe_tables.fields()
    assert page.count('**`kind = "warm-up"`**') == page.count('**`kind = "cosine"`**') == 1
    assert "| `batch_schedule` | [table schedule](#schedule): `constant`, `piecewise-constant` | `constant` |" in page
    assert "| `auxiliary` | [table optimizer](#optimizer): `sgd`, `adam`, `adamw` | `adamw` |" in page


def test_limits_and_choices_are_those_of_the_models() -> None:
    page = recipe_tables.fields()
    assert '| `precision` | `"float32"`, `"bfloat16"`, `"float16"`, `"float64"` | `"float32"` |' in page
    assert "| `rise` | number, above 0, below 1 | `0.3` |" in page
    assert "| `batch_size` | whole number, at least 1 | `64` |" in page
    assert "| `momentum` | [number, at least 0, below 1, number, at least 0, below 1] | left out |" in page


def test_what_a_model_is_derived_from_is_told_with_it() -> None:
    assert "as Keras counts" in recipe_tables.fields()
    assert base.Spec.__doc__ is not None
    assert base.Spec.__doc__ not in recipe_tables.fields()


def test_every_shipped_recipe_is_listed_with_its_head() -> None:
    page = recipe_tables.shipped()
    for name in recipes.shipped_names():
        assert f"### {name}\n" in page
        assert recipes.text(name).splitlines()[0].removeprefix("# ") in page


def test_comments_of_a_page_are_filled_and_other_comments_stay() -> None:
    filled = fewepochs_site.fill("a\n<!-- slow -->\n<!-- modules: fewepochs.store fewepochs.records -->\n")
    assert filled.startswith("a\n<!-- slow -->\n## fewepochs.store\n")
    assert ".. automodule:: fewepochs.records\n" in filled
    with pytest.raises(KeyError):
        fewepochs_site.fill("<!-- generated: something else -->")
