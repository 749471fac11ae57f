"""A search by halving: its file, its proposals, who is trained next, and that the folder alone decides."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import command_line
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.errors import RecipeError, StorageError
from fewepochs.report import search_report
from fewepochs.study import folder as folders
from fewepochs.study import plan, proposals, search, search_files
from fewepochs.study.search_files import Choice, Range
from study import study_files
from study.test_local import until

SEARCH = """
name = "tiny-search"
question = "Which rate?"
base = "tiny.toml"
trials = 9
[set]
budget.epochs = 18
[space]
optimizer.lr = { low = 1e-3, high = 1e-1, log = true }
batch_size = [30, 60]
[halving]
first = 2
"""


def home(folder: Path, text: str = SEARCH) -> Path:
    study_files.home(folder)
    (folder / "search.toml").write_text(text)
    return folder / "search.toml"


def refused(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        search.load(home(folder, text), out=folder / "runs")
    return str(caught.value)


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trials = 9", "trials = 1", "trials"),
        ("trials = 9", "trails = 9", "did you mean 'trials'"),
        ("trials = 9", "trials = 9\nseeds = [1, 1]", "a seed stands twice"),
        ("trials = 9", 'trials = 9\nsampler = "grid"', "sampler"),
        ("first = 2", "first = 0", "halving.first"),
        ("first = 2", "first = 19", "more than the budget"),
        ("first = 2", "first = 2\nreduction = 1", "reduction"),
        ("[30, 60]", "[30]", "space.batch_size: neither a range nor a choice"),
        ("[30, 60]", "30", "space.batch_size: neither a range nor a choice"),
        ("low = 1e-3", "low = 1.0", "space.optimizer.lr"),
        ("low = 1e-3", "low = 0.0", "space.optimizer.lr"),
        ("low = 1e-3", "low = nan", "space.optimizer.lr"),
        ("log = true", "logg = true", "space.optimizer.lr"),
        ("batch_size = [30, 60]", "budget.epochs = [3, 4]", "is the same for all trials"),
        ("budget.epochs = 18", 'data.validation = { kind = "test" }', "which choose no recipe"),
        ("budget.epochs = 18", "budget.epochs = 0", "budget.epochs"),
    ],
)
def test_what_no_search_can_be_is_refused_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert told in refused(tmp_path, SEARCH.replace(old, new))


def test_a_search_is_fixed_when_it_begins(tmp_path: Path) -> None:
    search.write(search.load(home(tmp_path), out=tmp_path).proposing([{"optimizer.lr": 0.01}]))
    told = refused_again(tmp_path, SEARCH.replace("trials = 9", "trials = 12"))
    assert "trials: was 9 when the search began" in told
    assert "base: was" in refused_again(tmp_path, SEARCH.replace("budget.epochs = 18", "budget.epochs = 20"))
    asked = search.load(home(tmp_path, SEARCH.replace("Which rate?", "Which?")), out=tmp_path)
    assert len(asked.trials) == 1, "words may change"


def refused_again(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        search.load(home(folder, text), out=folder)
    return str(caught.value)


def test_a_damaged_book_is_told(tmp_path: Path) -> None:
    (tmp_path / "tiny-search").mkdir()
    (tmp_path / "tiny-search" / search.FILE).write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        search.load(home(tmp_path), out=tmp_path)


# --- proposals --------------------------------------------------------------------------------------------------------

CHOICE = Choice(({"kind": "constant"}, {"kind": "cosine"}, 3))
SPACE: Mapping[str, search_files.Dimension] = {
    "a": Range(1e-4, 1e-1, log=True, whole=False),
    "b": Range(1, 7, log=False, whole=True),
    "c": CHOICE,
}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(-5, 2**60), batch=st.integers(0, 9), sampler=st.sampled_from(["random", "tpe"]))
def test_proposals_lie_in_the_space_and_repeat(seed: int, batch: int, sampler: str) -> None:
    def propose() -> list[dict[str, object]]:
        return proposals.propose(SPACE, count=4, batch=batch, seed=seed, sampler=sampler, before=())  # type: ignore[arg-type]

    for values in propose():
        assert 1e-4 <= values["a"] <= 1e-1  # type: ignore[operator]
        assert values["b"] in range(1, 8)
        assert isinstance(values["b"], int)
        assert values["c"] in CHOICE.values
    assert propose() == propose()


def test_later_batches_differ_and_learn_only_from_what_is_told() -> None:
    scored = [
        proposals.Scored({"a": 10 ** -(1 + k / 4), "b": 1 + k % 7, "c": 3}, {2: k / 12, 6: k / 12}, finished=k % 2 == 0)
        for k in range(12)
    ]

    def propose(batch: int, before: Sequence[proposals.Scored]) -> list[dict[str, object]]:
        return proposals.propose(SPACE, count=3, batch=batch, seed=0, sampler="tpe", before=before)

    assert propose(0, ()) != propose(1, ())
    assert propose(1, scored) == propose(1, scored)
    assert propose(1, scored) != propose(1, scored[:6])


def test_a_trial_that_makes_no_recipe_or_an_old_one_is_marked_and_the_others_go_on(tmp_path: Path) -> None:
    file = home(tmp_path, SEARCH.replace("[30, 60]", "[30, 60, 0]"))
    found = search.load(file, out=tmp_path).proposing(
        [
            {"optimizer.lr": 0.01, "batch_size": 30},
            {"optimizer.lr": 0.01, "batch_size": 0},
            {"optimizer.lr": 0.01, "batch_size": 30},
            {"optimizer.lr": 0.02, "batch_size": 60},
        ]
    )
    assert [bool(trial.problem) for trial in found.trials] == [False, True, True, False]
    assert "batch_size" in str(found.trials[1].problem)
    assert found.trials[2].problem == "the same recipe as trial 0"
    assert len(found.study().cells) == 2
    following = found.following(found.stand())
    assert following == search.Next((0, 3), 2)


# --- who is trained next ----------------------------------------------------------------------------------------------

RATES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09)


@pytest.fixture
def found(tmp_path: Path) -> search.Search:
    begun = search.load(home(tmp_path), out=tmp_path / "runs")
    begun = begun.proposing([{"optimizer.lr": rate, "batch_size": 30} for rate in RATES])
    search.write(begun)
    return begun


def train(
    found: search.Search, worth: Mapping[int, float], asked: search.Next, *, diverges: Sequence[int] = ()
) -> None:
    """Let these trials have trained as far as was asked: trial k climbs to worth[k]."""
    for number in asked.numbers:
        cell = next(cell for cell in found.study().cells if cell.arm.endswith(f"t{number:03d}"))
        path = found.path / cell.run_name
        if path.exists():
            for file in sorted(path.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
            path.rmdir()
        ended = number in diverges
        curve = [worth[number] * (1 - 1 / (epoch + 1)) for epoch in range(1, 2 if ended else asked.epochs + 1)]
        whole = asked.epochs == cell.recipe.budget.epochs
        state = "diverged" if ended else "finished" if whole else "interrupted"
        study_files.write_cell(found.path, cell, curve, state=state, stopped=None if whole or ended else "paused")


def test_a_third_goes_on_at_each_rung_until_one_is_left(found: search.Search) -> None:
    worth = {k: (k * 4 % 9) / 10 for k in range(9)}
    asked = []
    while (following := found.following(found.stand())) is not None:
        asked.append(following)
        train(found, worth, following)
    assert asked == [search.Next(tuple(range(9)), 2), search.Next((2, 4, 6), 6), search.Next((2,), 18)]
    winner = found.winner(found.stand())
    assert winner is not None
    assert winner.number == 2


def test_a_trial_that_diverged_is_worth_nothing_and_is_no_failure(found: search.Search) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    train(found, worth, search.Next(tuple(range(9)), 2), diverges=(8,))
    assert found.following(found.stand()) == search.Next((5, 6, 7), 6)
    page = search_report.build(found)
    rows = {row["trial"]: row for row in page.tables[0].data}
    assert rows[8]["outcome"] == "diverged"
    assert rows[8]["val_acc_2"] is None
    assert json.dumps(page.as_dict(), allow_nan=False)


def test_a_trial_whose_recipe_training_shows_to_be_none_is_passed_over_until_it_is_tried_again(
    found: search.Search,
) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    train(found, worth, search.Next(tuple(range(8)), 2))
    (last,) = (cell for cell in found.study().cells if cell.arm.endswith("t008"))
    why = folders.Failure(exit_code=2, attempts=1, reason="tiny: 1 problem ...", problem="batch_size: larger than all")
    folders.note_failure(found.path, last.run_name, why)
    assert found.following(found.stand()) == search.Next((6, 7), 6)
    assert search.unexplained(plan.make(found.study(), out=found.out)) == 0
    rows = {row["trial"]: row for row in search_report.build(found).tables[0].data}
    assert rows[8]["outcome"] == "not trained: batch_size: larger than all"
    found.try_again()
    assert found.following(found.stand()) == search.Next((8,), 2)


def test_a_trial_that_failed_for_another_reason_is_not_passed_over(found: search.Search) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    train(found, worth, search.Next(tuple(range(8)), 2))
    (last,) = (cell for cell in found.study().cells if cell.arm.endswith("t008"))
    why = folders.Failure(exit_code=2, attempts=1, reason="command line: 1 problem ...")
    folders.note_failure(found.path, last.run_name, why)
    assert found.following(found.stand()) == search.Next((8,), 2)
    assert search.unexplained(plan.make(found.study(), out=found.out)) == 1


def test_where_all_diverged_there_is_no_winner(found: search.Search) -> None:
    train(found, dict.fromkeys(range(9), 0.5), search.Next(tuple(range(9)), 2), diverges=range(9))
    assert found.following(found.stand()) is None
    assert found.winner(found.stand()) is None
    assert "No trial has come to the end." in search_report.build(found).notes


def test_a_score_is_the_best_up_to_its_rung_whatever_came_later(found: search.Search) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    train(found, worth, search.Next(tuple(range(9)), 2))
    early = {trial.number: trial.scores[2] for trial in found.stand()}
    train(found, worth, search.Next((6, 7, 8), 6))
    assert {trial.number: trial.scores[2] for trial in found.stand()} == early


def test_with_several_seeds_a_score_is_their_mean(tmp_path: Path) -> None:
    file = home(tmp_path, SEARCH.replace("trials = 9", "trials = 9\nseeds = [0, 1]"))
    several = search.load(file, out=tmp_path / "runs").proposing([{"optimizer.lr": 0.01, "batch_size": 30}])
    first, second = several.study().cells
    study_files.write_cell(several.path, first, (0.2, 0.4), state="interrupted", stopped="paused")
    assert several.stand()[0].scores == {}
    study_files.write_cell(several.path, second, (0.8, 0.1), state="interrupted", stopped="paused")
    assert math.isclose(several.stand()[0].scores[2], 0.6)


@pytest.mark.parametrize("state", ["running", "interrupted", "crashed"])
@pytest.mark.parametrize(("rung", "before"), [(2, ()), (6, (2,)), (18, (2, 6))])
def test_a_trial_that_was_killed_before_it_was_left_at_its_rung_waits_there(
    state: str, rung: int, before: Sequence[int], found: search.Search
) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    for asked in (search.Next(tuple(range(9)), 2), search.Next((6, 7, 8), 6), search.Next((8,), 18)):
        if asked.epochs <= rung:
            train(found, worth, asked)
    (last,) = (cell for cell in found.study().cells if cell.arm.endswith("t008"))
    folder = found.path / last.run_name
    status = store.read(folder).status.model_copy(update={"state": state, "stopped": None})
    store.RunFolder(folder).write_status(status)
    assert found.following(found.stand()) == search.Next((8,), rung)
    assert tuple(found.stand()[8].scores) == before


def test_batches_come_one_after_the_other(tmp_path: Path) -> None:
    file = search_files.load(home(tmp_path, SEARCH.replace("trials = 9", "trials = 9\nbatch = 4")))
    assert list(file.batches()) == [range(4), range(4, 8), range(8, 9)]


def test_what_is_left_behind_can_be_trained_and_planned(found: search.Search) -> None:
    worth = {k: k / 10 + 0.1 for k in range(9)}
    while (following := found.following(found.stand())) is not None:
        train(found, worth, following)
    search_report.leave(found)
    winner = recipes.load(str(found.path / search_report.WINNER))
    trial = found.winner(found.stand())
    assert trial is not None
    assert trial.recipe is not None
    assert recipes.digest(winner) == recipes.digest(trial.recipe)
    from fewepochs.study import grid

    confirm = grid.load(found.path / search_report.CONFIRM)
    assert list(confirm.arms) == ["base", "winner"]
    assert len(confirm.cells) == 2 * search_report.FRESH_SEEDS
    assert not set(confirm.seeds) & set(found.file.seeds)
    notes = "\n".join(search_report.build(found).notes)
    assert "winner's curse" in notes
    assert "Cost: 42 epochs of the 162" in notes


def test_a_run_that_a_search_left_counts_as_one_that_does_not_arrive(found: search.Search) -> None:
    from fewepochs.report import comparison

    train(found, dict.fromkeys(range(9), 0.5), search.Next(tuple(range(9)), 2))
    runs = plan.make(found.study(), out=found.out).runs()
    told = comparison.build(runs, targets=(0.9,))
    assert all(row["early"] == 0 for row in told["rows"])
    assert any("left by a search that promoted others" in caveat for caveat in told["caveats"])
    assert not any("interrupted" in caveat for caveat in told["caveats"])


# --- the command ------------------------------------------------------------------------------------------------------

SMALL = (
    SEARCH.replace("trials = 9", "trials = 4").replace("= 18", "= 6").replace("first = 2", "first = 2\nreduction = 2")
)
RUN = ("search", "run", "search.toml", "--out", "runs", *command_line.TRAINING)


def logs(folder: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in sorted(folder.glob(f"runs/*/*/{store.EPOCHS}"))}


def test_show_before_and_refusals_on_the_command_line(tmp_path: Path) -> None:
    home(tmp_path)
    shown = command_line.run("search", "show", "search.toml", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "0 of 9 trials proposed" in shown.stdout
    missing = command_line.run("search", "run", "no.toml", folder=tmp_path)
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr


def test_a_batch_larger_than_the_training_set_ends_no_search(tmp_path: Path) -> None:
    """Only the data shows it; the others go on to the end, and it is said why this one did not."""
    text = SMALL.replace("trials = 4", "trials = 4\nseed = 1").replace("= 6", "= 2").replace("first = 2", "first = 1")
    home(tmp_path, text.replace("[30, 60]", "[60, 1790]"))
    ended = command_line.run(*RUN, "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["complete"]
    outcomes = {row["batch_size"]: row["outcome"] for row in found["tables"][0]["data"]}
    assert outcomes[1790].startswith("not trained: batch_size: larger than the training set (got 1790)")
    assert not outcomes[60].startswith("not trained")


@pytest.mark.slow
def test_a_trial_that_came_to_the_end_is_the_run_that_train_makes(tmp_path: Path) -> None:
    home(tmp_path, SMALL)
    ended = command_line.run(*RUN, "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["complete"]
    winner = f"tiny-search-t{found['winner']:03d}"
    (path,) = (tmp_path / "runs" / "tiny-search").glob(f"{winner}-s0-*")
    command_line.run("train", path / store.RECIPE, "--out", "alone", *command_line.TRAINING, folder=tmp_path)
    (alone,) = (tmp_path / "alone").glob(f"*/{store.EPOCHS}")
    assert alone.read_bytes() == (path / store.EPOCHS).read_bytes()


@pytest.mark.slow
def test_neither_a_kill_nor_the_number_of_jobs_changes_a_search(tmp_path: Path) -> None:
    one, three, killed = (tmp_path / name for name in ("one", "three", "killed"))
    for folder in (one, three, killed):
        folder.mkdir()
        home(folder, SMALL)
    first = command_line.run(*RUN, "--jobs", "1", "--json", folder=one)
    second = command_line.run(*RUN, "--jobs", "3", "--json", folder=three)
    running = subprocess.Popen(
        [*command_line.COMMAND, *RUN],
        cwd=killed,
        env=command_line.environment(killed),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(logs(killed)) >= 3)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    third = command_line.run(*RUN, "--json", folder=killed)
    assert (first.returncode, second.returncode, third.returncode) == (0, 0, 0), third.stderr
    assert logs(one) == logs(three) == logs(killed)
    answers = [json.loads(ended.stdout) for ended in (first, second, third)]
    assert answers[0]["tables"] == answers[1]["tables"] == answers[2]["tables"]
    before = {file: file.stat().st_mtime_ns for file in one.glob("runs/*/*/*") if file.is_file()}
    again = command_line.run(*RUN, "--json", folder=one)
    assert again.stdout == first.stdout
    assert {file: file.stat().st_mtime_ns for file in before} == before
