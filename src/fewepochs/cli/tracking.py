"""The command that sends runs to the trackers of others: track."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from fewepochs.cli import ending, options, output

if TYPE_CHECKING:
    from fewepochs.trackers import follow

KINDS = ("tensorboard", "mlflow", "wandb")

KindArgument = Annotated[str, typer.Argument(metavar="TRACKER", help="tensorboard, mlflow or wandb (offline).")]
PlaceOption = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="PLACE",
        help="A folder, or MLflow's database file or URI. Default: tensorboard, mlflow.db; wandb in here.",
    ),
]
FollowOption = Annotated[bool, typer.Option("--follow", help="Go on until the runs have ended, new ones too.")]
IntervalOption = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", help="With --follow, between two looks.")
]


def track(
    kind: KindArgument,
    runs: options.RunsArgument,
    to: PlaceOption = None,
    follow: FollowOption = False,
    interval: IntervalOption = 10.0,
    as_json: options.JsonOption = False,
) -> None:
    """Send runs to TensorBoard, MLflow or W&B: what is not there yet. Run folders are only read."""
    from fewepochs.api import tracking
    from fewepochs.trackers import tracker
    from fewepochs.train import interrupt

    options.check_choice("TRACKER", kind, allowed=KINDS)
    if not 0 < interval <= 86_400:
        raise options.usage("--interval", "not a time between two looks", str(interval), "seconds, up to a day")
    known: tracker.Kind = kind  # type: ignore[assignment]
    place = to or tracker.default_place(known)
    caught = interrupt.Caught()
    sending = tracking.track(
        known, runs, to=place, say=output.say, follow_seconds=interval if follow else None, caught=caught
    )
    try:
        _print(sending, to=place, as_json=as_json, live=follow)
    finally:
        sending.close()
    ending.leave_if_stopped(caught.signal)
    if kind == "wandb" and not as_json:
        output.say(f"nothing has left this machine; send it with: wandb sync {place}/wandb/offline-run-*")


def _print(sending: Iterable[follow.Sent], *, to: str, as_json: bool, live: bool) -> None:
    """Print a line for what was sent of a run; while runs are followed, not for those that are as they were."""
    entries: dict[str, dict[str, object]] = {}
    for sent in sending:
        before = entries.get(str(sent.path))
        earlier = int(str(before["new"])) if before else 0
        entries[str(sent.path)] = {
            "run": sent.name,
            "path": str(sent.path),
            "to": to,
            "state": sent.state,
            "foreign": sent.foreign,
            "epochs": sent.epochs,
            "new": sent.new + earlier,
        }
        if not as_json and (sent.new or before is None or before["state"] != sent.state or not live):
            told = f"{sent.epochs} epoch{'' if sent.epochs == 1 else 's'}, {sent.new or 'none'} new"
            output.out(f"{sent.name}{' (foreign)' if sent.foreign else ''}: {told}, {sent.state}")
    if as_json:
        output.print_json(list(entries.values()))
