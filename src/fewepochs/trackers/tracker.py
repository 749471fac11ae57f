"""What a tracker is, and the one place that makes them.

Trackers are other people's libraries: whatever they raise becomes an error that says what to do. They are extras,
imported where they are asked for, and only they are written to: a run folder is read and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, assert_never, get_args

from fewepochs import store
from fewepochs.errors import FewEpochsError, Problem, RecipeError, StorageError
from fewepochs.trackers import story

Kind = Literal["tensorboard", "mlflow", "wandb"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Tracker(Protocol):
    """Where stories go."""

    def send(self, told: story.Story, *, later: bool = False) -> int:
        """Send what is not there yet; return how many epochs were new.

        `later` says that this run will be sent again: a tracker whom nobody watches meanwhile may wait.
        """

    def close(self) -> None:
        """Let go of what is held open."""


def default_place(kind: Kind) -> str:
    """Return where `kind` writes unless told otherwise."""
    match kind:
        case "tensorboard":
            return "tensorboard"
        case "mlflow":
            return "mlflow.db"
        case "wandb":
            return "."
        case _:
            assert_never(kind)


@dataclass(frozen=True)
class Place:
    """A tracker, and where it writes."""

    kind: Kind
    to: str
    tracker: Tracker

    def guarded(self) -> AbstractContextManager[None]:
        """Return a context in which whatever the tracker raises becomes a StorageError."""
        return _guarded(self.kind, self.to)


@contextmanager
def opened(kind: Kind, *, to: str) -> Iterator[Place]:
    """Yield the tracker of `kind` that writes to `to`; raises RecipeError where its library is not installed.

    A folder is held meanwhile: two that write to one would not know of each other's points.
    """
    with ExitStack() as held:
        if kind != "mlflow":
            folder = Path(to) if kind == "tensorboard" else Path(to) / "wandb"
            held.enter_context(store.hold(folder, what="it"))
        with _guarded(kind, to):
            tracker = _build(kind, to=to)
        try:
            yield Place(kind, to, tracker)
        finally:
            tracker.close()


@contextmanager
def _guarded(kind: Kind, to: str) -> Iterator[None]:
    try:
        yield
    except FewEpochsError:
        raise
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        raise StorageError(
            f"{to}: {kind} failed: {said.splitlines()[0]}. The runs are untouched; put it right, and the same command "
            "sends what is missing"
        ) from error


def _build(kind: Kind, *, to: str) -> Tracker:
    try:
        match kind:
            case "tensorboard":
                from fewepochs.trackers import tensorboard

                return tensorboard.TensorBoard(Path(to))
            case "mlflow":
                from fewepochs.trackers import mlflow

                return mlflow.MLflow(mlflow.address(to))
            case "wandb":
                from fewepochs.trackers import wandb

                return wandb.WandB(Path(to))
            case _:
                assert_never(kind)
    except ImportError as error:
        install = f"pip install 'fewepochs[{kind}]'"
        raise RecipeError("command line", (Problem(kind, f"not installed ({error}): {install}"),)) from None
