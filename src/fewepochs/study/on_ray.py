"""Cells on a Ray cluster: each one an actor on some node, its run folder gathered here.

The process that carries out the study is the one writer of its store: it holds a cell's run folder while the cell is
out, sends what is in it along, and writes what comes back. A worker or a node that is lost ends the cell; begun again,
it goes on from the newest checkpoint that was gathered, wherever there is room. Ray itself retries nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from fewepochs import locks, store
from fewepochs.errors import Problem, RecipeError, StudyError
from fewepochs.study import cell as cells
from fewepochs.study import hand

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
RUNNING = "a running cluster: `ray start --head`, then its HOST:PORT, from one of its nodes, with its token"
INSTALL = "pip install 'fewepochs[ray]'"


@dataclass(frozen=True)
class Cluster:
    """Which cluster, and what a cell takes of it: CPUs (None: its threads) and a share of GPUs."""

    address: str
    cpus: float | None = None
    gpus: float = 0.0


@dataclass
class _Out:
    """A cell that is out; `pending` is the answer awaited, `begun` whether its process was asked to begin."""

    name: str
    job: cells.Job
    actor: Any
    pending: Any
    holding: ExitStack
    held: locks.Held
    begun: bool = False
    told_to_stop: bool = False


class OnRay:
    """Trains as many cells at a time as the cluster has room for, at most `slots`."""

    def __init__(self, cluster: Cluster, *, slots: int | None, cpus: float, stall_seconds: float) -> None:
        self._ray = _connected(cluster.address)
        self._needs = {"CPU": cpus, "GPU": cluster.gpus}
        self._most = slots
        self._stall = stall_seconds
        self._out: dict[str, _Out] = {}
        self._own = hand.versions()
        if not self.slots:
            has = ", ".join(_told(node) for node in self._nodes()) or "no node is alive"
            problem = Problem("--ray", f"no node has room for a cell, which takes {_told(self._needs)}", None, has)
            raise RecipeError("command line", (problem,))

    @property
    def slots(self) -> int:
        """How many cells the living nodes have room for, other users aside."""
        room = slots_of(self._nodes(), self._needs)
        return room if self._most is None else min(room, self._most)

    @property
    def free(self) -> int:
        """How many cells more may begin now."""
        return self.slots - len(self._out)

    @property
    def together(self) -> int:
        """How many cells may share a device at a time: a GPU, or a node's processors; who else uses it is not known."""
        most = together_of(self._nodes(), self._needs)
        return most if self._most is None else min(most, self._most)

    def begin(self, name: str, job: cells.Job) -> None:
        """Send the cell `name` out. Raises StorageError where its folder is held by another process."""
        holding = ExitStack()
        held = holding.enter_context(store.hold(job.path))
        actor = (
            self._ray.remote(hand.Hand)
            .options(num_cpus=self._needs["CPU"], num_gpus=self._needs["GPU"], max_restarts=0, max_task_retries=0)
            .remote()
        )
        self._out[name] = _Out(name, job, actor, actor.versions.remote(), holding, held)

    def ended(self, *, seconds: float) -> list[tuple[str, cells.Ending]]:
        """Return the cells that have ended, waiting up to `seconds` for one that does; what they wrote is gathered."""
        if not self._out:
            time.sleep(seconds)
            return []
        awaited = {out.pending: out for out in self._out.values()}
        self._ray.wait(list(awaited), num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        found = [(awaited[answer].name, self._heard(awaited[answer])) for answer in ready]
        return [(name, ending) for name, ending in found if ending is not None]

    def stop(self) -> None:
        """Ask all cells to save and leave; one that still waits for room just leaves."""
        for out in self._out.values():
            if not out.told_to_stop:
                out.told_to_stop = True
                if out.begun:
                    out.actor.stop.remote()
                else:
                    self._ray.kill(out.actor)

    def close(self) -> None:
        """End what is still at work, at once."""
        for out in list(self._out.values()):
            self._leave(out)
        self._ray.shutdown()

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _heard(self, out: _Out) -> cells.Ending | None:
        """Take in what an actor answered; return the ending of its cell, if that is what it was."""
        try:
            answer = self._ray.get(out.pending)
        except self._ray.exceptions.RayError as error:
            self._leave(out)
            return cells.Ending(exit_code=-signal.SIGKILL, message=lost(error))
        if not out.begun:
            self._require_same(answer)
            out.begun = True
            out.pending = out.actor.begin.remote(
                out.name, out.job.model_dump_json(), hand.pack(out.job.path), self._stall
            )
            return None
        if isinstance(answer, hand.Look):
            out.held.require()
            hand.unpack(out.job.path, answer.files, gone=answer.gone)
            if answer.ending is not None:
                self._leave(out)
                return answer.ending
        out.pending = out.actor.look.remote(LOOK_SECONDS)
        return None

    def _leave(self, out: _Out) -> None:
        """Let go of a cell: its actor ends, and with it what it began; its folder is free again."""
        del self._out[out.name]
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(out.actor)
        out.holding.close()

    def _require_same(self, theirs: Mapping[str, str]) -> None:
        if differences := differing(self._own, theirs):
            told = "\n".join(f"  {line}" for line in differences)
            raise StudyError(f"a node of the cluster has other versions than this process:\n{told}\nInstall the same.")


# --- what can be told without a cluster ----------------------------------------------------------------------------


def slots_of(nodes: Iterable[Mapping[str, float]], needs: Mapping[str, float]) -> int:
    """Return how many cells that need so much fit on `nodes`, each of them on one.

    >>> slots_of([{"CPU": 4.0}, {"CPU": 3.0}], {"CPU": 2.0, "GPU": 0.0})
    3
    """
    wanted = {name: amount for name, amount in needs.items() if amount > 0}
    # Shares are counted in ten-thousandths, as Ray does: 0.1 fits ten times into 1.
    return sum(
        min(round(1e4 * node.get(name, 0.0)) // round(1e4 * amount) for name, amount in wanted.items())
        for node in nodes
    )


def together_of(nodes: Iterable[Mapping[str, float]], needs: Mapping[str, float]) -> int:
    """Return how many cells that need so much may share a device of `nodes`: a GPU, or a node's processors.

    >>> together_of([{"CPU": 4.0}, {"CPU": 3.0}], {"CPU": 2.0})
    2
    >>> together_of([{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1.0, "GPU": 1.0})
    1
    """
    beside = max((slots_of([node], needs) for node in nodes), default=1)
    share = needs.get("GPU", 0.0)
    return max(1, min(beside, round(1e4) // round(1e4 * share)) if share > 0 else beside)


def differing(own: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return in which versions a node differs, one a line."""
    return [f"{name}: {theirs.get(name)} there, {own[name]} here" for name in own if theirs.get(name) != own[name]]


def lost(error: Exception) -> str:
    """Return what became of a cell whose actor does not answer, or failed, in one line."""
    cause = getattr(error, "cause", None)  # what the actor itself raised
    if isinstance(cause, Exception):
        return f"failed on its node: {type(cause).__name__}: {cause}"
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"lost with its worker or node: {first.strip()}"


def _told(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources.get(name, 0.0):g} {name}" for name in ("CPU", "GPU") if resources.get(name))


# --- the cluster ----------------------------------------------------------------------------------------------------


def _connected(address: str) -> Any:
    """Return ray, connected to the cluster at `address`. Raises RecipeError where there is none to be had."""
    if address.startswith("ray://"):
        raise _refused(address, "Ray's client protocol; run this command on a node of the cluster", "auto, HOST:PORT")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the machine without being asked
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise _refused(address, "Ray is not installed", INSTALL) from None
    _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise _refused(address, f"no cluster answers: {first[0]}", RUNNING) from None
    return ray


def _require_answer(address: str) -> None:
    """Raise RecipeError where nobody listens at `address`: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _refused(address, f"no cluster answers: {error}", RUNNING) from None


def _refused(address: str, why: str, allowed: str) -> RecipeError:
    return RecipeError("command line", (Problem("--ray", why, repr(address), allowed),))
