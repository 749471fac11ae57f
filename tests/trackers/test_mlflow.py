"""MLflow's own client finds what is stored, once each, however often it was sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tracked_runs

import command_line
import foreign_runs
import report_runs
import run_folders
from fewepochs import store
from fewepochs.records import RunState
from fewepochs.trackers import mlflow, story

# MLflow and its database library warn of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RUN = tracked_runs.costly()


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("optimizer.lr", "optimizer.lr"),
        ("epochs_to/0.95", "epochs_to/0.95"),
        ("a/../b", "a_2f_.._2f_b"),
        ("/a", "_2f_a"),
        ("a//b", "a_2f__2f_b"),
        ("β\n", "_3b2__a_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_are_spelt_as_mlflow_takes_them(name: str, spelt: str) -> None:
    assert mlflow.key(name) == spelt


@pytest.mark.parametrize("uri", ["http://localhost:5000", "https://a.b", "sqlite:////tmp/a.db", "postgresql://u@h/d"])
def test_an_address_stays_as_it_is(uri: str) -> None:
    assert mlflow.address(uri) == uri


# --- with MLflow ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database for all tests of this file: making one takes seconds. Runs differ by their seeds."""
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


def send(run: store.StoredRun, database: Path) -> int:
    return mlflow.MLflow(mlflow.address(str(database))).send(story.build(run))


def found(run: store.StoredRun, database: Path) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """Return MLflow's run, the only one of its digest, and all its metrics with their steps."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=mlflow.address(str(database)))
    experiment = client.get_experiment_by_name("fewepochs")
    (one,) = client.search_runs([experiment.experiment_id], f"tags.`fewepochs.digest` = '{run.digest}'")
    histories = {name: client.get_metric_history(one.info.run_id, name) for name in one.data.metrics}
    return one, {name: sorted((m.step, m.value) for m in history) for name, history in histories.items()}


def own(metrics: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {name: steps for name, steps in metrics.items() if not name.startswith(("best", "epochs_to"))}


@pytest.mark.trackers
@pytest.mark.parametrize(
    "run",
    [RUN, report_runs.make_run(seed=1), foreign_runs.make(full=False)],
    ids=["everything", "no joules", "foreign"],
)
def test_everything_stored_arrives_and_nothing_else(run: store.StoredRun, database: Path) -> None:
    assert send(run, database) == len(run.epochs)
    one, metrics = found(run, database)
    assert own(metrics) == {name: list(by_epoch.items()) for name, by_epoch in tracked_runs.expected(run).items()}
    told = story.build(run)
    assert one.data.params == {name: str(value) for name, value in told.parameters.items()}
    assert {name: one.data.tags[f"fewepochs.{name}"] for name in told.tags} == told.tags
    assert one.info.run_name == told.name


@pytest.mark.trackers
def test_sending_again_changes_nothing(database: Path) -> None:
    run = tracked_runs.costly(seed=2)
    send(run, database)
    before = found(run, database)
    assert send(run, database) == 0
    after = found(run, database)
    assert (after[0].to_dictionary(), after[1]) == (before[0].to_dictionary(), before[1])


@pytest.mark.trackers
def test_a_run_that_grows_has_each_epoch_once(database: Path) -> None:
    run = tracked_runs.costly(seed=3)
    assert [send(tracked_runs.beginning(run, epochs), database) for epochs in (0, 1, 7)] == [0, 1, 6]
    assert found(run, database)[0].info.status == "RUNNING"
    assert send(run, database) == 13
    one, metrics = found(run, database)
    assert one.info.status == "FINISHED"
    assert [step for step, _ in metrics["val_acc"]] == list(range(1, 21))
    assert one.info.end_time - one.info.start_time == int(1000 * story.build(run).seconds)


@pytest.mark.trackers
@pytest.mark.parametrize(
    ("state", "theirs"),
    [("interrupted", "KILLED"), ("diverged", "FAILED"), ("crashed", "FAILED")],
)
def test_where_a_run_stands_is_told_and_one_that_goes_on_runs_again(
    state: RunState, theirs: str, database: Path
) -> None:
    run = report_runs.make_run(seed={"interrupted": 4, "diverged": 5, "crashed": 6}[state], state=state)
    send(run, database)
    assert found(run, database)[0].info.status == theirs
    send(tracked_runs.beginning(run, 20), database)
    one, _ = found(run, database)
    assert (one.info.status, one.data.tags["fewepochs.state"]) == ("RUNNING", "running")


@pytest.mark.trackers
def test_what_a_broken_send_left_out_is_sent_by_the_next(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tracked_runs.costly(seed=7)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MAX_METRICS", 25)
        tracker = mlflow.MLflow(mlflow.address(str(database)))
        log, calls = tracker._client.log_batch, []

        def fail(*arguments: Any, **named: Any) -> Any:
            calls.append(named)
            if sum("metrics" in one for one in calls) == 3:
                raise OSError("no space left")
            return log(*arguments, **named)

        patch.setattr(tracker._client, "log_batch", fail)
        with pytest.raises(OSError, match="no space left"):
            tracker.send(story.build(run))
    assert 0 < len(found(run, database)[1]["val_acc"]) < 20
    send(run, database)
    assert own(found(run, database)[1]) == {
        name: list(by_epoch.items()) for name, by_epoch in tracked_runs.expected(run).items()
    }


@pytest.mark.trackers
def test_long_values_and_odd_names_are_taken(database: Path) -> None:
    odd = '{"täglich": 1.0, "a/../b": 2.0, "long": "' + "x" * 9000 + '"}'
    spec = f"optimizer={{kind='python', target='mine.Rule', arguments={odd.replace(':', '=')}}}"
    run = report_runs.make_run(spec, seed=8, folder="x\x1b[31m\udce9'\"")
    send(run, database)
    one, _ = found(run, database)
    assert one.data.params["optimizer.arguments.t_e4_glich"] == "1.0"
    assert one.data.params["optimizer.arguments.a_2f_.._2f_b"] == "2.0"
    assert one.data.params["optimizer.arguments.long"] == "x" * 497 + "..."


@pytest.mark.trackers
@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_database_is_a_message_and_run_folders_stay_as_they_are(content: bytes, tmp_path: Path) -> None:
    path = tracked_runs.write(RUN, out=tmp_path / "runs")
    before = run_folders.contents(path)
    (tmp_path / "mlflow.db").write_bytes(content)
    ended = command_line.run("track", "mlflow", "runs", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr.startswith("fewepochs: mlflow.db: mlflow failed: ")
    assert len(ended.stderr.splitlines()) == 1
    assert run_folders.contents(path) == before


@pytest.mark.trackers
def test_the_command_says_what_was_sent_and_leaves_a_database_alone(tmp_path: Path) -> None:
    tracked_runs.write(RUN, out=tmp_path / "runs")
    ended = command_line.run("track", "mlflow", "runs", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{RUN.name}: 20 epochs, 20 new, finished\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "runs"]
