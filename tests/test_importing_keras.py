"""A training by the real Keras, imported, stands in one table with a training of ours on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command_line import TINY
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.api import importing, results, training
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import table_text

TARGET = 0.3
EPOCHS = 4
Histories = dict[int, list[float]]


def train_with_keras(log: Path, *, seed: int) -> list[float]:
    """Train a small net on the digits by Keras with CSVLogger; return the validation accuracies of its History."""
    import keras
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rate = keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr)
    history: Any = model.fit(
        images[:660] / 16,
        labels[:660],
        validation_data=(images[660:] / 16, labels[660:]),
        epochs=EPOCHS,
        verbose=0,
        callbacks=[rate, keras.callbacks.CSVLogger(str(log))],
    )
    return list(history.history["val_accuracy"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Histories]:
    """Return a folder with two runs of ours and two of Keras, and what Keras remembers of its own."""
    folder = tmp_path_factory.mktemp("both")
    histories = {seed: train_with_keras(folder / f"{seed}.csv", seed=seed) for seed in (0, 1)}
    runtime = training.Runtime(threads=1, kernels="torch", device="cpu")
    recipe = recipes.parse(TINY, source="test", overrides=[f"budget.epochs={EPOCHS}"])
    for seed in (0, 1):
        training.train(recipe.model_copy(update={"seed": seed}), out=folder / "runs", runtime=runtime)
    said = importing.Said(name="keras-softmax", described=recipe)
    importing.bring_in([folder / "0.csv", folder / "1.csv"], said=said, out=folder / "runs")
    return folder / "runs", histories


def theirs(runs: Path) -> dict[int, store.StoredRun]:
    found = results.load_runs([runs])
    return {run.recipe.seed: run for run in found if isinstance(run.recipe, foreign_runs.Foreign)}


def test_the_imported_curve_is_the_one_that_keras_remembers(told: tuple[Path, Histories]) -> None:
    runs, histories = told
    for seed, run in theirs(runs).items():
        assert [record.val_acc for record in run.epochs] == pytest.approx(histories[seed], abs=1e-7)
        assert {record.lr_logged for record in run.epochs} == {0.003}
        assert run.status.state == "finished"


def test_crossings_are_those_of_kerass_own_history_one_based(told: tuple[Path, Histories]) -> None:
    runs, histories = told
    found = {
        run["seed"]: run
        for run in results.summarise(results.load_runs([runs]), targets=(TARGET,))["runs"]
        if run["foreign"]
    }
    for seed, accuracies in histories.items():
        expected = next((k for k, accuracy in enumerate(accuracies, start=1) if accuracy >= TARGET), None)
        assert found[seed]["crossings"][0]["first"]["epoch"] == expected
        assert expected is not None, "the test asks for a target that is reached"
        assert found[seed]["crossings"][0]["first"]["pinned"] is False


def test_both_stand_in_one_comparison_one_table_and_one_report(told: tuple[Path, Histories]) -> None:
    runs, _ = told
    stored = results.load_runs([runs])
    found = results.compare(stored, targets=(TARGET,))
    assert [(row["arm"], row["n"]) for row in found["rows"]] == [("keras-softmax (foreign)", 2), ("tiny", 2)]
    assert [pair["paired"] for pair in found["pairs"]] == [False]
    table = "\n".join(table_text.lines(results.table("transitions", stored, targets=(TARGET,)), form="text"))
    rows = [line.split()[:2] for line in table.splitlines() if line.startswith("60 ")]
    assert rows == [["60", "keras-softmax"], ["60", "tiny"]]
    page = results.report(stored, to=runs.parent / "report.html", targets=(TARGET,)).read_text()
    assert page.count("keras-softmax (foreign)") > 3
    assert "unknown: imported" in page
