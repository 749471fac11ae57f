"""Whatever a file holds: it is a recipe, or a RecipeError says why it is none; and it costs little."""

from __future__ import annotations

import copy
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs.errors import RecipeError
from recipe_samples import FULL, parse

# --- files ------------------------------------------------------------------------------------------------------


def load_problem(source: str | Path) -> str:
    with pytest.raises(RecipeError) as caught:
        recipes.load(str(source))
    (problem,) = caught.value.problems
    assert caught.value.source == str(source)
    return str(problem)


def test_what_is_no_recipe_file_is_refused_in_words(tmp_path: Path) -> None:
    binary, large, broken, empty = (tmp_path / name for name in ("binary", "large", "broken.toml", "empty.toml"))
    binary.write_bytes(bytes(range(256)))
    large.write_bytes(b"#" * (recipes.MAX_RECIPE_BYTES + 1))
    broken.write_text("name = \n")
    assert load_problem(binary) == "(file): not a text file in UTF-8: not a recipe or study"
    assert load_problem(large) == "(file): larger than 1 MiB: not a recipe or study"
    assert load_problem("/dev/zero") == "(file): larger than 1 MiB: not a recipe or study"
    assert load_problem(broken).startswith("(file): not TOML: Invalid value (at line 1,")
    assert load_problem(tmp_path).startswith("(file): a folder, not a file; `fewepochs resume`")
    assert load_problem(empty).startswith("recipe: neither a shipped recipe nor a file (got ")
    assert load_problem("x" * 5000).startswith("(file): cannot be read: File name too long")
    assert load_problem("a\0b").startswith("(file): cannot be read: embedded null byte")
    assert load_problem(binary / "below").startswith("recipe: neither a shipped recipe nor a file")


def test_what_is_said_of_an_imported_run_is_told_apart_from_a_recipe(tmp_path: Path) -> None:
    origin = tmp_path / "foreign.toml"
    origin.write_text('name = "my-keras"\n[budget]\nepochs = 2\n[source]\nkind = "csv"\nfile = "a"\nsha256 = "0"\n')
    assert load_problem(origin).startswith("(file): tells where an imported run came from; it is no recipe.")


def test_an_unknown_name_comes_with_the_nearest_one() -> None:
    problem = load_problem("resnet56v2-adam-atienz")
    assert problem.endswith("or the path of a TOML file - did you mean 'resnet56v2-adam-atienza'?")
    assert all(name in problem for name in recipes.shipped_names())
    assert "did you mean" not in load_problem("qqqq")


def test_a_file_of_another_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert recipes.load(str(file)) == parse()


def test_a_pipe_is_read() -> None:
    code = "from fewepochs import recipe; print(recipe.load('/dev/stdin').name)"
    done = subprocess.run([sys.executable, "-c", code], input=FULL, capture_output=True, text=True, check=True)
    assert done.stdout == "full\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 200_000 + " = 1",
        "[" + '"a" . ' * 100_000 + "a]",
        "x = { " + "'.='." * 100_000 + "a = 1 }",
        "a = " + "[" * 200_000,
        "a = " + "{a=" * 200_000,
        "a" * 1_000_000,
        '"a' * 300_000,
        "a = 1" + "0" * 100_000,
        "\n".join(f"a{k} = {k}" for k in range(50_000)),
    ],
    ids=["keys", "header", "inline", "arrays", "tables", "word", "quotes", "digits", "fields"],
)
def test_a_recipe_from_a_stranger_costs_little(text: str) -> None:
    with pytest.raises(RecipeError):
        parse(text)


@given(st.text())
@example("name = 1\nname = 2")
@example("a = 0x" + "f" * 5000)
@example("[a]\n[a]")
@example("\ufeff")
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    for override in ((), (text,), (f"summary={text}",)):
        with suppress(RecipeError):
            parse(FULL, *override)
    with suppress(RecipeError):
        parse(text)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = (
    ("name",), ("summary",), ("data",), ("data", "kind"), ("data", "validation"), ("data", "validation", "kind"),
    ("data", "validation", "images"), ("augmentation",), ("network",), ("network", "kind"), ("network", "units"),
    ("network", "stem"), ("network", "stem", "filters"), ("network", "shortcut_kernels"), ("optimizer",),
    ("optimizer", "kind"), ("optimizer", "lr"), ("regularisation",), ("schedule",), ("schedule", "kind"),
    ("schedule", "boundaries"), ("schedule", "factors"), ("schedule", "points"), ("plateau",), ("plateau", "factor"),
    ("batch_size",), ("budget",), ("budget", "epochs"), ("seed",), ("seeds",), ("seeds", "init"), ("targets",),
    ("hold",), ("new",), ("network", "new"), ("data", "validation", "new"),
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=4))
def test_any_table_is_a_recipe_or_a_recipe_error(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    table: dict[str, Any] = tomllib.loads(FULL)
    for path, value in changes:
        here = table
        for part in path[:-1]:
            if not isinstance(here.get(part), dict):
                here[part] = {}
            here = here[part]
        here[path[-1]] = copy.deepcopy(value)
    with suppress(RecipeError):
        recipe = recipes.from_json(table, source="fuzz")
        assert parse(recipes.to_toml(recipe)) == recipe
