"""A study file becomes cells: what it may say, what is refused, how arms are multiplied out and called."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import recipe as recipes
from fewepochs import seeds
from fewepochs.errors import RecipeError
from fewepochs.study import files, grid
from study import study_files

LEAST = 'name = "s"\nbase = "digits-step"\nseeds = [0]\n'


def build(text: str, folder: Path = Path()) -> grid.Study:
    return grid.build(files.parse(text, source="s.toml"), source="s.toml", folder=folder)


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        build(text)
    return str(caught.value)


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_least_study_is_one_recipe_and_its_seeds() -> None:
    study = build('name = "s"\nbase = "digits-step"\nseeds = "3..5"\n')
    assert list(study.arms) == ["s"]
    assert [cell.seed for cell in study.cells] == [3, 4, 5]
    assert study.rules == files.Rules()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sede = [0]", "did you mean 'seeds'"),
        ('rule = "last"', "rule"),
        ("looks = 0", "looks"),
        ("targets = []", "targets"),
        ("targets = [1.5]", "targets"),
        ("hold = -1", "hold"),
        ("horizon = nan", "horizon"),
        ("[stop]\ntarget = 2.0", "stop.target"),
        ("[stop]\ngive_up = [{ epoch = 3 }]", "below"),
        ("[axes]\nbatch_size = 32", "not a list of values"),
        ("[axes]\nbatch_size = []", "not a list of values"),
        ("[axes]\nbatch_size = [30, 0]", "batch_size"),
        ("[axes]\noptimizer.learning = [1.0]", "optimizer.learning"),
        ("[arms.Big]", "arms"),
        ("[arms.a]\nrecipe = 3", "not a recipe's name or file"),
        ('[arms.a]\nrecipe = "digits-stpe"', "digits-step"),
        ("[set]\nbatch_size = true", "batch_size"),
    ],
)
def test_what_no_study_can_say_is_refused_with_its_place(line: str, told: str) -> None:
    assert told in refused(f"{LEAST}{line}\n")


@pytest.mark.parametrize("given_seeds", ['"4..1"', '"a..b"', '"1"', "[]", "[1, 1]", "[0.5]", '"0..99999"', "7"])
def test_what_is_no_set_of_seeds_is_refused(given_seeds: str) -> None:
    assert "seed" in refused(f'name = "s"\nbase = "digits-step"\nseeds = {given_seeds}\n')


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    told = refused('name = "No Name"\nbase = "digits-step"\nseeds = [1, 1]\nlooks = 0\nquestoin = "?"\n')
    assert all(word in told for word in ("name", "looks", "questoin"))


def test_all_axes_that_are_none_are_told_at_once() -> None:
    told = refused(f"{LEAST}[axes]\nbatch_size = 32\noptimizer.lr = 0.1\n")
    assert "axes.batch_size: not a list of values" in told
    assert "axes.optimizer.lr: not a list of values" in told


def test_all_mistakes_of_all_arms_are_told_at_once() -> None:
    told = refused(f"{LEAST}[arms.a]\nbatch_size = 0\n[arms.b]\noptimizer.lr = -1.0\n")
    assert "a: batch_size" in told
    assert "b: optimizer.lr" in told


@pytest.mark.parametrize("text", ["name = ", "\x00", "[[[", '{"name": 1}'])
def test_what_is_no_toml_is_told_so(text: str) -> None:
    assert "not TOML" in refused(text)


def test_a_file_that_is_not_there_or_not_text_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    for name in ("absent.toml", "binary.toml", "."):
        with pytest.raises(RecipeError):
            grid.load(tmp_path / name)


def test_more_cells_than_anybody_trains_are_refused_before_they_are_made() -> None:
    many = ", ".join(map(str, range(1, 1001)))
    told = refused(f'name = "s"\nbase = "digits-step"\nseeds = "0..999"\n[axes]\nbatch_size = [{many}]\n')
    assert "1,000,000" in told


# --- arms ------------------------------------------------------------------------------------------------------------


def test_axes_are_multiplied_out_in_the_order_of_the_file() -> None:
    study = build(f"{LEAST}[axes]\nbatch_size = [30, 60]\noptimizer.lr = [1e-2, 2e-2]\n")
    assert list(study.arms) == [f"batch_size-{b}-lr-{r}" for b, r in itertools.product((30, 60), (0.01, 0.02))]
    found = [(arm.batch_size, arm.optimizer.model_dump()["lr"]) for arm in study.arms.values()]
    assert found == list(itertools.product((30, 60), (0.01, 0.02)))


def test_a_named_arm_is_crossed_with_the_axes() -> None:
    study = build(f"{LEAST}[axes]\nbatch_size = [30, 60]\n[arms.a]\n[arms.b]\noptimizer.lr = 0.5\n")
    assert list(study.arms) == ["a-batch_size-30", "a-batch_size-60", "b-batch_size-30", "b-batch_size-60"]


def test_set_counts_before_arms_and_arms_before_axes() -> None:
    study = build(f"{LEAST}[set]\nbatch_size = 10\nbudget.epochs = 3\n[arms.a]\n[arms.b]\nbatch_size = 20\n")
    assert [(arm.batch_size, arm.budget.epochs) for arm in study.arms.values()] == [(10, 3), (20, 3)]
    study = build(f"{LEAST}[set]\nbatch_size = 10\n[arms.b]\nbatch_size = 20\n[axes]\nbatch_size = [30]\n")
    assert [arm.batch_size for arm in study.arms.values()] == [30]


def test_set_changes_an_arm_of_another_base_too() -> None:
    study = build(f'{LEAST}[set]\nbudget.epochs = 3\n[arms.a]\nrecipe = "digits-linear"\n')
    other = recipes.load("digits-linear", overrides=("budget.epochs=3",))
    assert recipes.digest(study.arms["a"]) == recipes.digest(other)


def test_a_table_with_a_kind_is_a_whole_part_and_one_without_changes_it() -> None:
    base = recipes.load("digits-step")
    study = build(f'{LEAST}[arms.whole]\nschedule = {{ kind = "constant" }}\n[arms.changed]\noptimizer.lr = 0.5\n')
    assert study.arms["whole"].schedule.kind == "constant"
    assert study.arms["changed"].optimizer == base.optimizer.model_copy(update={"lr": 0.5})


def test_parts_of_one_kind_are_numbered() -> None:
    study = build(
        f'{LEAST}[axes]\nschedule = [{{ kind = "cosine" }}, {{ kind = "constant" }}, '
        '{ kind = "cosine", wave = "quarter" }]\n'
    )
    assert list(study.arms) == ["schedule-cosine-1", "schedule-constant", "schedule-cosine-3"]


def test_targets_and_hold_of_the_study_are_those_of_its_runs() -> None:
    study = build(f"{LEAST}targets = [0.5]\nhold = 2\n")
    assert (study.cells[0].recipe.targets, study.cells[0].recipe.hold) == ((0.5,), 2)


def test_one_run_under_two_names_is_refused() -> None:
    assert "are the same recipe" in refused(f"{LEAST}[arms.a]\n[arms.b]\n")
    assert "are the same recipe" in refused(f"{LEAST}[axes]\nbatch_size = [30, 30]\n")


def test_seeds_that_change_nothing_are_refused(tmp_path: Path) -> None:
    fixed = "\n[seeds]\ninit = 1\norder = 1\naugmentation = 1\ndropout = 1\n"
    (tmp_path / "fixed.toml").write_text(study_files.TINY + fixed)
    with pytest.raises(RecipeError, match="seeds change nothing"):
        build('name = "s"\nbase = "fixed.toml"\nseeds = [0, 1]\n', tmp_path)


def test_a_recipe_file_is_looked_for_beside_the_study(tmp_path: Path) -> None:
    study = grid.load(study_files.home(tmp_path))
    assert [arm.optimizer.model_dump()["lr"] for arm in study.arms.values()] == [0.01, 0.02]


def test_two_arms_with_one_seed_are_twins() -> None:
    """They share initial weights, order and augmentation; two seeds of one arm share none of them."""
    study = build('name = "s"\nbase = "digits-step"\nseeds = [3, 4]\n[axes]\noptimizer.lr = [1e-2, 2e-2]\n')

    def draws(cell: grid.Cell) -> list[int]:
        own = cell.recipe.seeds.model_dump(exclude_none=True)
        assert own == {}, "no stream has a seed of its own"
        return [seeds.derive(cell.recipe.seed, stream, 1) for stream in ("init", "order", "augment")]

    first, second, third, fourth = map(draws, study.cells)
    assert first == third
    assert second == fourth
    assert not set(first) & set(second)


@given(
    values=st.lists(st.text(min_size=1, max_size=100), min_size=1, max_size=5),
    met=st.sets(st.sampled_from(["arm", "arm-2", "a", "a-2"])),
)
def test_every_name_of_an_arm_is_a_free_name_of_a_recipe(values: list[str], met: set[str]) -> None:
    table = recipes.load("digits-step").model_dump(mode="json", exclude_none=True)
    for value in values:
        name = grid._free(value, met)
        assert name not in met
        assert recipes.from_json({**table, "name": name}, source=name).name == name
        met.add(name)


FIELDS = st.integers()
X = st.one_of(FIELDS, st.fixed_dictionaries({"x": FIELDS}))
Y = st.one_of(FIELDS, st.fixed_dictionaries({"y": FIELDS}))


@given(table=st.dictionaries(st.sampled_from("abc"), X), changes=st.dictionaries(st.sampled_from("abc"), Y))
def test_what_is_laid_over_counts_and_the_rest_stays(table: dict[str, object], changes: dict[str, object]) -> None:
    result = files.lay_over(table, changes)
    assert set(result) == set(table) | set(changes)
    for name in result:
        before, after = table.get(name), changes.get(name, table.get(name))
        if name in changes and isinstance(before, dict) and isinstance(after, dict):
            after = {**before, **after}
        assert result[name] == after
