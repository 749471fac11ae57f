"""Runs in Python: tables hold the records bit for bit, absent is NaN, and nothing is imported that is not asked for."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fewepochs
from fewepochs import store
from fewepochs.api import reading, results
from fewepochs.errors import RecipeError
from report_runs import make_run, write

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def some_runs() -> list[store.StoredRun]:
    sizes = (32, 64)
    return [make_run(f"batch_size={size}", seed=seed, joules=2.5) for size in sizes for seed in (0, 1)]


def test_the_front_door_is_sorted_and_everything_in_it_is_there() -> None:
    assert fewepochs.__all__ == sorted(fewepochs.__all__)
    assert all(getattr(fewepochs, name) is not None for name in fewepochs.__all__)
    assert set(fewepochs.__all__) <= set(dir(fewepochs))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        fewepochs.lod  # noqa: B018


def test_importing_the_front_door_and_loading_needs_no_torch(tmp_path: Path) -> None:
    write(tmp_path / "runs", make_run())
    script = (
        "import sys, fewepochs; first = {'pandas', 'altair', 'torch'} & sys.modules.keys();"
        "fewepochs.load('runs').to_pandas(); print(first, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert told.stdout == "set() False\n"


def test_a_table_of_epochs_holds_the_records_bit_for_bit(tmp_path: Path) -> None:
    runs = some_runs()
    frame = fewepochs.load(write(tmp_path / "runs", *runs)).to_pandas()

    assert len(frame) == sum(len(run.epochs) for run in runs)
    for run in runs:
        own = frame[frame["run"] == run.name]
        assert own["val_acc"].tolist() == [record.val_acc for record in run.epochs]
        assert own["loss"].tolist() == [record.loss for record in run.epochs]
        assert own["train_seconds"].tolist() == [cost.train_seconds for cost in run.costs]
        assert set(own["seed"]) == {run.recipe.seed}


def test_what_is_absent_is_nan_and_no_zero() -> None:
    frame = reading.Runs((make_run(costed=3),)).to_pandas()

    assert frame["test_acc"].isna().all()
    assert frame["joules"].isna().all()
    assert frame["joules"].dtype == float
    assert frame["train_seconds"].isna().tolist() == [False] * 3 + [True] * 17


def test_crossings_are_those_of_the_summary_and_censored_runs_stay() -> None:
    runs = (make_run(), make_run(seed=1, plateau=0.93))
    frame = reading.Runs(runs).crossings(0.9, 0.97)
    told = [
        crossing["first"]["epoch"]
        for run in results.summarise(runs, targets=(0.9, 0.97))["runs"]
        for crossing in run["crossings"]
    ]

    assert [None if math.isnan(epoch) else int(epoch) for epoch in frame["epoch"]] == told
    assert frame["reached"].tolist() == [True, True, True, False]
    assert frame["censored_at"].tolist()[-1] == 20


def test_runs_are_a_sequence() -> None:
    runs = reading.Runs(tuple(some_runs()))

    assert len(runs) == len(list(runs)) == 4
    assert isinstance(runs[1:], reading.Runs)
    assert runs[1:].stored == runs.stored[1:]
    assert runs[-1] is runs.stored[-1]
    assert repr(runs) == "<4 runs: digits-step (batch_size = 32) (n = 2), digits-step (batch_size = 64) (n = 2)>"
    assert repr(reading.Runs(())) == "<0 runs: none>"


def test_a_comparison_is_that_of_the_command() -> None:
    runs = some_runs()
    found = fewepochs.compare(runs, targets=[0.97], rule="held")

    assert found.numbers == results.compare(runs, targets=[0.97], rule="held")
    assert found.headline in repr(found)
    assert (list(found.sentences), list(found.caveats)) == (found.numbers["sentences"], found.numbers["caveats"])
    assert found.to_pandas()["median.value"].tolist() == [row["median"]["value"] for row in found.numbers["rows"]]


def test_a_study_is_compared_by_its_own_rules_until_others_are_asked() -> None:
    runs = tuple(some_runs())
    own = results.compare(runs, targets=[0.9], rule="held")

    assert fewepochs.compare(reading.Runs(runs, "Which?", own)).numbers is own
    assert fewepochs.compare(reading.Runs(runs, "Which?", own), targets=[0.97]).numbers["targets"] == [0.97]
    assert fewepochs.compare(reading.Runs(runs, "Which?", own)[:]).numbers["rule"] == "first"


@pytest.mark.parametrize("kind", ["survival", "curves", "cost"])
def test_figures_are_charts_that_can_be_saved(tmp_path: Path, kind: Any) -> None:
    chart = getattr(fewepochs.figures, kind)(some_runs(), targets=[0.97])
    path = fewepochs.figures.save(some_runs(), kind, tmp_path / "fig.svg", targets=[0.97], millimetres=85)

    assert chart.to_dict()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert path.read_text().startswith("<svg")


def test_a_figure_without_anything_to_draw_says_so() -> None:
    with pytest.raises(RecipeError, match="nothing to draw"):
        fewepochs.figures.noise([make_run(epochs=3)])
    with pytest.raises(RecipeError, match="not a kind of picture"):
        fewepochs.figures.save([make_run()], "curves", "fig.bmp")


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "runs", *some_runs())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)

    assert len(cells) > 8
    assert {path.name for path in tmp_path.glob("*.*")} == {"report.html", "survival.pdf"}
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
