"""fewepochs import: files in, runs out; what it refuses, and that nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import command_line
import run_folders
from command_line import problems
from command_line import run_here as run
from fewepochs import store
from fewepochs.foreign import run as foreign_runs

GOLDENS = Path(__file__).parent / "goldens" / "foreign"
HEAD = "epoch,accuracy,loss,val_accuracy,val_loss\n"


def log(path: Path, *accuracies: float, loss: str = "1.0") -> Path:
    """Write what CSVLogger writes of a training with these validation accuracies."""
    rows = [f"{k},0.5,{loss},{accuracy},1.5\n" for k, accuracy in enumerate(accuracies)]
    path.write_text(HEAD + "".join(rows))
    return path


def imported(folder: Path, out: str = "runs") -> dict[str, store.StoredRun]:
    runs = [store.read(path) for path in store.find([folder / out])]
    return {f"{run.recipe.name}-s{run.recipe.seed}": run for run in runs}


def test_several_files_are_seeds_in_their_order(tmp_path: Path) -> None:
    files = [log(tmp_path / f"{name}.csv", 0.1, accuracy) for name, accuracy in (("b", 0.7), ("a", 0.8), ("c", 0.9))]
    ended = run("import", *files, "--name", "mine", "--target", "0.75", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split(" from ")[1] for line in ended.stdout.splitlines()] == [
        "b.csv (keras-csv), best val_acc 0.7000 @2",
        "a.csv (keras-csv), best val_acc 0.8000 @2",
        "c.csv (keras-csv), best val_acc 0.9000 @2",
    ]
    found = imported(tmp_path)
    assert [found[f"mine-s{seed}"].epochs[-1].val_acc for seed in range(3)] == [0.7, 0.8, 0.9]
    assert all(one.recipe.targets == (0.75,) for one in found.values())


@pytest.mark.parametrize(("options", "seeds"), [(("--seed", "7"), [7, 8]), (("--seeds", "5,3"), [3, 5]), ((), [0, 1])])
def test_seeds_are_chosen(tmp_path: Path, options: tuple[str, ...], seeds: list[int]) -> None:
    files = log(tmp_path / "a.csv", 0.1), log(tmp_path / "b.csv", 0.2)
    assert run("import", *files, "--name", "mine", *options, folder=tmp_path).returncode == 0
    assert sorted(one.recipe.seed for one in imported(tmp_path).values()) == seeds


def test_runs_of_one_file_have_the_seeds_of_their_column(tmp_path: Path) -> None:
    text = "".join(f"{seed},{epoch},0.{seed}{epoch}\n" for seed in (4, 9) for epoch in (1, 2))
    (tmp_path / "all.csv").write_text(f"seed,epoch,val_acc\n{text}")
    ended = run("import", tmp_path / "all.csv", "--name", "mine", "--run-column", "seed", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = imported(tmp_path)
    assert [[record.val_acc for record in found[name].epochs] for name in ("mine-s4", "mine-s9")] == [
        [0.41, 0.42],
        [0.91, 0.92],
    ]


def test_json_says_what_was_imported_and_from_where(tmp_path: Path) -> None:
    file = log(tmp_path / "a.csv", 0.1, 0.2)
    ended = run("import", file, "--name", "mine", "--json", folder=tmp_path)
    (found,) = json.loads(ended.stdout)
    assert (found["foreign"], found["already"], found["epochs"], found["seed"]) == (True, False, 2, 0)
    assert (found["source"]["kind"], found["source"]["file"]) == ("keras-csv", "a.csv")
    assert str(tmp_path) not in (tmp_path / found["path"] / store.FOREIGN).read_text()
    (again,) = json.loads(run("import", file, "--name", "mine", "--json", folder=tmp_path).stdout)
    assert again == {**found, "already": True}


def test_a_folder_of_event_files_is_a_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    ended = run("import", GOLDENS / "board", "--name", "mine", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "6 epochs from board (tensorboard)" in ended.stdout


# --- again ----------------------------------------------------------------------------------------------------------


def test_the_same_file_again_is_already_imported_and_nothing_changes(tmp_path: Path) -> None:
    file = log(tmp_path / "a.csv", 0.1, 0.2)
    assert run("import", file, "--name", "mine", folder=tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    ended = run("import", file, "--name", "mine", "--target", "0.15", folder=tmp_path)
    assert ended.returncode == 0
    assert "already imported" in ended.stdout
    assert "kept (targets); delete the folder" in ended.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("file", "options", "told"),
    [
        ("b.csv", (), "seed 0 of mine was imported before, from another file (a.csv)"),
        ("a.csv", ("--seed", "1"), "a.csv was imported before, as seed 0: one run, not two"),
        ("a.csv", ("--validation", "test"), "imported before, with other words (validation)"),
        ("a.csv", ("--recipe", "digits-step", "--set", "budget.epochs=2"), "(validation, described)"),
        ("a.csv", ("--column", "val_acc=accuracy", "--column", "acc=val_accuracy"), "(the columns that were read)"),
    ],
)
def test_what_is_there_is_never_overwritten(tmp_path: Path, file: str, options: tuple[str, ...], told: str) -> None:
    log(tmp_path / "a.csv", 0.1, 0.2)
    log(tmp_path / "b.csv", 0.1, 0.3)
    assert run("import", "a.csv", "--name", "mine", folder=tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    ended = run("import", file, "--name", "mine", *options, folder=tmp_path)
    assert ended.returncode == 5
    assert told in ended.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before


def test_one_content_given_twice_is_one_run(tmp_path: Path) -> None:
    files = log(tmp_path / "a.csv", 0.1), log(tmp_path / "b.csv", 0.1)
    ended = run("import", *files, "--name", "mine", folder=tmp_path)
    assert ended.returncode == 3
    assert "b.csv: the same content as seed 0 and as seed 1: one run, not two" in ended.stderr
    assert not (tmp_path / "runs").exists()


# --- what is said ---------------------------------------------------------------------------------------------------


def test_a_recipe_describes_the_run_and_gives_what_is_not_said_otherwise(tmp_path: Path) -> None:
    file = log(tmp_path / "a.csv", *[0.5] * 3)
    options = ("--recipe", "digits-step", "--set", "batch_size=16", "--set", "budget.epochs=5")
    assert run("import", file, "--name", "mine", *options, folder=tmp_path).returncode == 0
    origin = imported(tmp_path)["mine-s0"].recipe
    assert isinstance(origin, foreign_runs.Foreign)
    assert origin.described is not None
    assert (origin.described.batch_size, origin.budget.epochs, origin.validation) == (16, 5, "held-out")
    assert origin.targets == origin.described.targets


def test_a_file_that_ends_before_the_budget_is_censored_there_and_nobody_says_why(tmp_path: Path) -> None:
    ended = run("import", log(tmp_path / "a.csv", 0.5), "--name", "mine", "--budget", "9", folder=tmp_path)
    assert ended.stdout.rstrip().endswith("interrupted: the file ends there")
    status = imported(tmp_path)["mine-s0"].status
    assert (status.state, status.epochs, status.budget) == ("interrupted", 1, 9)


def test_a_loss_that_is_lost_is_a_run_that_diverged(tmp_path: Path) -> None:
    ended = run("import", log(tmp_path / "a.csv", 0.1, 0.1, loss="nan"), "--name", "mine", folder=tmp_path)
    assert ended.returncode == 0
    found = imported(tmp_path)["mine-s0"]
    assert (found.status.state, found.status.reason) == ("diverged", "loss not finite from epoch 1 on")
    assert [record.loss for record in found.epochs] == [None, None]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--name", "My Run"), "name: "),
        (("--name", "a", "--format", "xlsx"), "--format: not a known choice (got 'xlsx')"),
        (("--name", "a", "--validation", "mine"), "--validation: not a known choice"),
        (("--name", "a", "--set", "batch_size=3"), "--set: changes a recipe, and none is given"),
        (("--name", "a", "--seed", "1", "--seeds", "1"), "--seeds: cannot stand beside --seed"),
        (("--name", "a", "--seeds", "1,2"), "--seeds: 2 seeds for 1 runs"),
        (("--name", "a", "--budget", "1"), "--budget: 1 epochs, but a.csv has 2"),
        (("--name", "a", "--column", "val_acc"), "--column: not of the form OURS=THEIRS"),
        (("--name", "a", "--column", "accuracy=x"), "--column: not a column of ours (got 'accuracy')"),
        (("--name", "a", "--column", "acc=x", "--column", "acc=y"), "--column: acc is given twice"),
        (("--name", "a", "--target", "92"), "--target: not an accuracy"),
        (("--name", "a", "--recipe", "digits-step", "--validation", "test"), "--validation: test, but the recipe says"),
        (("--name", "a", "--recipe", "nope"), "recipe: neither a shipped recipe nor a file"),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_written(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    ended = run("import", log(tmp_path / "a.csv", 0.1, 0.2), *options, folder=tmp_path)
    assert ended.returncode == 2
    assert any(line.startswith(told) for line in problems(ended)), ended.stderr
    assert not (tmp_path / "runs").exists()


def test_all_that_is_wrong_with_all_files_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "no.csv").write_text("epoch,accuracy\n0,0.5\n")
    good = log(tmp_path / "good.csv", 0.1)
    ended = run("import", "empty.csv", "no.csv", "gone.csv", good, "--name", "mine", folder=tmp_path)
    assert ended.returncode == 3
    for name in ("empty.csv", "no.csv", "gone.csv"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_names_from_outside_are_text(tmp_path: Path) -> None:
    file = log(tmp_path / "=cmd()\x1b[31m.csv", 0.1, 0.2)
    ended = command_line.run("import", file, "--name", "mine", folder=tmp_path)
    shown = command_line.run("show", "runs", folder=tmp_path)
    assert (ended.returncode, shown.returncode) == (0, 0)
    assert "\x1b" not in ended.stdout + ended.stderr + shown.stdout
    assert "=cmd()\\x1b[31m.csv" in shown.stdout


def test_a_file_name_that_is_no_text_is_spelt_out(tmp_path: Path) -> None:
    file = log(tmp_path / "a\udce9.csv", 0.1, 0.2)
    assert command_line.run("import", file, "--name", "mine", folder=tmp_path).returncode == 0
    origin = imported(tmp_path)["mine-s0"].recipe
    assert isinstance(origin, foreign_runs.Foreign)
    assert origin.source.file == "a\\udce9.csv"


# --- beside ours ----------------------------------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """Write two runs of ours and two imported ones into one folder."""
    for k in range(2):
        run_folders.make(tmp_path / "runs" / f"ours-{k}", epochs=3)
    files = [log(tmp_path / f"{k}.csv", 0.1, 0.95 + 0.01 * k, 0.99) for k in range(2)]
    assert run("import", *files, "--name", "mine", folder=tmp_path).returncode == 0
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("show", "runs", "--target", "0.95"),
        ("compare", "runs", "--target", "0.95"),
        ("compare", "runs", "--target", "0.95", "--markdown"),
        ("compare", "runs", "--target", "0.95", "--csv"),
        ("table", "transitions", "runs"),
        ("table", "best", "runs", "--markdown"),
        ("table", "cost", "runs", "--csv"),
        ("replicate", "part2", "runs"),
    ],
)
def test_imported_runs_are_marked_wherever_runs_are_shown(beside: Path, command: tuple[str, ...]) -> None:
    ended = run(*command, folder=beside)
    assert ended.returncode == 0, ended.stderr
    mark = "imported; that they are of this recipe is only said" if command[0] == "replicate" else "mine (foreign)"
    assert mark in ended.stdout


def test_imported_runs_are_in_the_report_and_not_resumed(beside: Path) -> None:
    assert run("report", "runs", "--target", "0.95", "-o", "r.html", folder=beside).returncode == 0
    assert "mine (foreign)" in (beside / "r.html").read_text()
    (path, *_) = [path for path in (beside / "runs").iterdir() if path.name.startswith("mine-")]
    ended = run("resume", path, folder=beside)
    assert ended.returncode == 5
    assert "trained by another tool" in ended.stderr
