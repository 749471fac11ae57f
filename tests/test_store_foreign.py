"""Folders of foreign runs: read back as written, found beside ours, never trained, never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

import foreign_runs
import run_folders
from fewepochs import disk, store
from fewepochs import recipe as recipes
from fewepochs.api import training
from fewepochs.errors import CheckpointError, StorageError
from fewepochs.foreign import run as values
from recipe_samples import FULL, parse


def test_a_foreign_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = foreign_runs.make(rates=[0.1] * 20, described=parse(), targets=(0.9,), validation="held-out")
    path = foreign_runs.write(run, out=tmp_path)
    stored = store.read(path)
    assert (stored.recipe, stored.epochs, stored.status, stored.costs) == (run.recipe, run.epochs, run.status, ())
    assert stored.own_epochs == ()
    assert sorted(file.name for file in path.iterdir()) == [
        "environment.json",
        "epochs.jsonl",
        "foreign.toml",
        "lock",
        "status.json",
    ]


def test_foreign_runs_are_found_beside_ours_by_name(tmp_path: Path) -> None:
    run_folders.make(tmp_path / "b")
    foreign_runs.write(foreign_runs.make(name="a"), out=tmp_path)
    foreign_runs.write(foreign_runs.make(name="c"), out=tmp_path)
    assert [path.name[0] for path in store.find([tmp_path])] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["epochs.jsonl", "status.json", "foreign.toml", "environment.json"])
def test_a_damaged_foreign_run_is_an_error_that_names_its_folder(tmp_path: Path, name: str) -> None:
    path = foreign_runs.write(foreign_runs.make(), out=tmp_path)
    content = (path / name).read_bytes()
    (path / name).write_bytes(b"\xff" + content[1:])
    with pytest.raises((StorageError, CheckpointError), match=path.name):
        store.read(path)


def test_a_foreign_run_cannot_be_resumed(tmp_path: Path) -> None:
    path = foreign_runs.write(foreign_runs.make(), out=tmp_path)
    with pytest.raises(StorageError, match=r"imported from log\.csv, trained by another tool"):
        training.resume(path)


def test_an_import_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == store.FOREIGN:
            raise StorageError("disk full")
        path.write_bytes(content)

    monkeypatch.setattr(disk, "write_whole", full)
    with pytest.raises(StorageError, match="disk full"):
        foreign_runs.write(foreign_runs.make(), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


# --- identity -------------------------------------------------------------------------------------------------------


def test_a_foreign_run_never_has_the_digest_of_the_recipe_that_describes_it() -> None:
    recipe = parse()
    origin = foreign_runs.origin(name=recipe.name, seed=recipe.seed, described=recipe)
    assert values.digest(origin) != recipes.digest(recipe)
    assert values.digest(values.unseeded(origin)) != values.digest(values.unseeded(recipe))


def test_labels_files_and_lengths_do_not_change_what_was_run() -> None:
    one = foreign_runs.origin(targets=(0.9,), budget=20, file="a.csv")
    other = foreign_runs.origin(targets=(0.8,), budget=30, file="b.csv")
    assert values.digest(one) == values.digest(other)


def test_name_seed_images_and_description_do() -> None:
    said = [
        foreign_runs.origin(),
        foreign_runs.origin(name="other"),
        foreign_runs.origin(seed=1),
        foreign_runs.origin(validation="test"),
        foreign_runs.origin(validation="held-out"),
        foreign_runs.origin(described=parse()),
        foreign_runs.origin(described=parse(FULL, "batch_size=33")),
    ]
    assert len({values.digest(origin) for origin in said}) == len(said)


def test_the_seed_of_the_description_is_not_the_runs() -> None:
    by_zero, by_one = (foreign_runs.origin(described=parse(seed=seed)) for seed in (0, 1))
    assert values.digest(by_zero) == values.digest(by_one)
    assert values.seeds(by_zero) == values.seeds(by_one)


def test_toml_gives_an_equal_value(tmp_path: Path) -> None:
    origin = foreign_runs.origin(file='=cmd|"x" \x1b.csv', described=parse(), validation="test", targets=(0.5, 0.9))
    (tmp_path / "foreign.toml").write_text(values.to_toml(origin))
    assert values.load(tmp_path / "foreign.toml") == origin
