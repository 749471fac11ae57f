"""MLflow: a run of ours is one of its runs, found again by its digest; only what it lacks is logged.

What it has is asked of MLflow itself, metric by metric, so that an interrupted command leaves nothing to remember.
Metrics have an epoch as their step, and as their time the run's beginning and the seconds since. Nothing is asked of
the network unless the place is an address that the user named, and MLflow's own reports of its use are off.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, assert_never

from fewepochs.records import RunState
from fewepochs.trackers import story

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

QUIET: Mapping[str, str] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # seven would take minutes to say that a server is away
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""MLflow reads these when it is imported; what the user has set of them, except for telemetry, stays."""

PREFIX = "fewepochs."
MAX_BATCH = 100
MAX_METRICS = 1000
MAX_KEY = 250
MAX_VALUE = 500
"""Older servers refuse longer values of parameters."""
MAX_TAG = 5000

T = TypeVar("T")


class MLflow:
    """Logs to the tracking store at `uri`."""

    def __init__(self, uri: str) -> None:
        self._client = _client(uri)
        self._experiments: dict[str, str] = {}

    def send(self, told: story.Story, *, later: bool = False) -> int:  # noqa: ARG002 - someone may look on
        """Log what MLflow does not have of a run; return how many epochs were new."""
        run = self._find(told) or self._create(told)
        run_id = run.info.run_id
        self._describe(run, told)
        epochs = self._log(run, told)
        state = _status(told.state)
        if run.info.status != state:
            if state == "RUNNING":
                self._client.update_run(run_id, status=state)
            else:
                self._client.set_terminated(run_id, status=state, end_time=_time(run, told.seconds))
        return len(epochs)

    def close(self) -> None:
        """Nothing is kept open."""

    def _find(self, told: story.Story) -> Run | None:
        query = f"tags.`{PREFIX}digest` = '{told.digest}'"
        found = self._client.search_runs([self._experiment(told.group)], filter_string=query, max_results=1)
        return found[0] if found else None

    def _create(self, told: story.Story) -> Run:
        begun = datetime.fromisoformat(told.heartbeat).timestamp() - told.seconds
        return self._client.create_run(
            self._experiment(told.group),
            start_time=int(1000 * begun),
            tags={f"{PREFIX}digest": told.digest},
            run_name=told.name,
        )

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            known = self._client.get_experiment_by_name(name)
            self._experiments[name] = self._client.create_experiment(name) if known is None else known.experiment_id
        return self._experiments[name]

    def _describe(self, run: Run, told: story.Story) -> None:
        """Log the parameters that are not there, which never change, and the tags that are new or have changed."""
        from mlflow.entities import Param, RunTag

        params = {key(name): _cut(str(value), MAX_VALUE) for name, value in told.parameters.items()}
        tags = {key(f"{PREFIX}{name}"): _cut(value, MAX_TAG) for name, value in told.tags.items()}
        tags[f"{PREFIX}text"] = _cut(told.text, MAX_TAG)
        new_params = [Param(name, value) for name, value in params.items() if name not in run.data.params]
        new_tags = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
        for some in _batches(new_params, MAX_BATCH):
            self._client.log_batch(run.info.run_id, params=some)
        for few in _batches(new_tags, MAX_BATCH):
            self._client.log_batch(run.info.run_id, tags=few)

    def _log(self, run: Run, told: story.Story) -> set[int]:
        """Log the numbers that are not there; return the epochs that they are of."""
        from mlflow.entities import Metric

        run_id = run.info.run_id
        there = {
            (name, metric.step) for name in run.data.metrics for metric in self._client.get_metric_history(run_id, name)
        }
        new = [
            Metric(key(name), value, _time(run, point.seconds), point.epoch)
            for point in told.points
            for name, value in point.values.items()
            if (key(name), point.epoch) not in there
        ]
        for some in _batches(new, MAX_METRICS):
            self._client.log_batch(run_id, metrics=some)
        return {metric.step for metric in new}


def _client(uri: str) -> MlflowClient:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database tells of its tables, one by one
    return MlflowClient(tracking_uri=uri)


def address(to: str) -> str:
    """Return the tracking URI that `to` names: a URI as it is, else the path of an SQLite file.

    >>> address("http://localhost:5000")
    'http://localhost:5000'
    >>> address("/tmp/mlflow.db")
    'sqlite:////tmp/mlflow.db'
    """
    if re.match(r"[a-z][a-z0-9+.-]*:", to):
        return to
    path = Path(to).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path}"


def key(name: str) -> str:
    """Return `name` with what MLflow does not take in a name spelt out by its code, and cut where it is too long.

    >>> key("optimizer.arguments.β?")
    'optimizer.arguments._3b2__3f_'
    """
    spelt = re.sub(r"[^A-Za-z0-9_./ :-]", lambda found: f"_{ord(found[0]):x}_", name)
    if spelt.startswith("/") or posixpath.normpath(spelt) != spelt:  # names are taken for paths
        spelt = spelt.replace("/", "_2f_")
    return spelt[:MAX_KEY]


def _status(state: RunState) -> str:
    match state:
        case "running":
            return "RUNNING"
        case "finished":
            return "FINISHED"
        case "interrupted":
            return "KILLED"
        case "diverged" | "crashed":
            return "FAILED"
        case _:
            assert_never(state)


def _time(run: Run, seconds: float) -> int:
    """Return milliseconds since 1970: the run's beginning as MLflow was told it first, and `seconds` more."""
    return int(run.info.start_time) + int(1000 * seconds)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _batches(entries: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
