"""Carry out a study here, and again on a Ray cluster of two nodes that loses a worker and then a node: the same bits?

usage: python tools/study_on_ray.py [FILE] [--to results/study-ray.json]      (as root; needs the ray extra and `ip`)

The nodes are two network namespaces of this machine, joined by a pair of virtual cables: a head at 10.77.0.1, a second
node at 10.77.0.2, each with one CPU. While a cell is at work on the second node its Ray worker is killed with -9, and
while a later one is, all processes of that node. Every `epochs.jsonl` must be equal to the local one, byte for byte.
Exit code 0 if they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from fewepochs import locks, store
from fewepochs.study import grid

HEAD, SECOND = ("fewepochs0", "10.77.0.1"), ("fewepochs1", "10.77.0.2")
ADDRESS = f"{HEAD[1]}:6379"
RAY = str(Path(sys.executable).with_name("ray"))
DEADLINE_SECONDS = 900.0


def main() -> None:
    """Run both, kill, compare, print."""
    arguments = _arguments()
    study = grid.load(arguments.file)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        environment = {**os.environ, "HOME": folder, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        _study_run(arguments.file, where / "here", environment)
        with _two_nodes(environment):
            killed = _study_on_the_cluster(arguments.file, where / "there", study, environment)
        found = _compare(study, where / "here" / study.name, where / "there" / study.name)
    result = {
        "what": f"{study.name}, here and on a Ray cluster of two nodes that lost a worker and a node: equal?",
        "command": "python tools/study_on_ray.py " + " ".join(map(str, [arguments.file])),
        "versions": {name: metadata.version(name) for name in ("fewepochs", "ray", "torch")},
        "python": platform.python_version(),
        "killed": killed,
        **found,
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.to is not None:
        arguments.to.write_text(text + "\n")
    if found["different"]:
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("studies/digits-schedules.toml"))
    parser.add_argument("--to", type=Path)
    return parser.parse_args()


def _study_run(file: Path, out: Path, environment: dict[str, str], *more: str) -> None:
    command = [sys.executable, "-m", "fewepochs", "study", "run", str(file), "--out", str(out), "--threads", "1"]
    subprocess.run([*command, "--progress", "plain", *more], check=True, env=environment, stdout=subprocess.DEVNULL)


# --- the cluster ----------------------------------------------------------------------------------------------------


@contextmanager
def _two_nodes(environment: dict[str, str]) -> Iterator[None]:
    """Hold a cluster of two nodes; in the end all its processes are killed and the namespaces taken away."""
    try:
        for name, _ in (HEAD, SECOND):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", "fe0", "netns", HEAD[0], "type", "veth", "peer", "fe1", "netns", SECOND[0])
        for (name, address), link in ((HEAD, "fe0"), (SECOND, "fe1")):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
        subprocess.run([RAY, "get-auth-token", "--generate"], check=True, env=environment, stdout=subprocess.DEVNULL)
        start = [RAY, "start", "--num-cpus=1", "--disable-usage-stats", f"--temp-dir={environment['HOME']}/ray"]
        head = [*start, "--head", f"--node-ip-address={HEAD[1]}", "--port=6379", "--include-dashboard=false"]
        second = [*start[:-1], f"--address={ADDRESS}", f"--node-ip-address={SECOND[1]}"]
        for (name, _), command in ((HEAD, head), (SECOND, second)):
            subprocess.run(_inside(name, command), check=True, env=environment, stdout=subprocess.DEVNULL)
        yield
    finally:
        for name, _ in (HEAD, SECOND):
            _kill_all(name)
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _inside(namespace: str, command: list[str]) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]


def _processes(namespace: str) -> list[int]:
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def _kill_all(namespace: str) -> None:
    while pids := _processes(namespace):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# --- the study on it ------------------------------------------------------------------------------------------------


def _study_on_the_cluster(
    file: Path, out: Path, study: grid.Study, environment: dict[str, str]
) -> list[dict[str, object]]:
    """Run the study on the cluster, kill a worker and then a node under it; return what was killed."""
    command = [sys.executable, "-m", "fewepochs", "study", "run", str(file), "--out", str(out), "--threads", "1"]
    command += ["--progress", "plain", "--ray", ADDRESS]
    running = subprocess.Popen(_inside(HEAD[0], command), env=environment, stdout=subprocess.DEVNULL)
    killed: list[dict[str, object]] = []
    try:
        name, epochs = _cell_on_the_second_node(out / study.name, running, but="")
        for pid in _ray_workers():
            os.kill(pid, signal.SIGKILL)
        killed.append({"what": "Ray worker", "cell": name, "after_epochs": epochs})
        name, epochs = _cell_on_the_second_node(out / study.name, running, but=name)
        _kill_all(SECOND[0])
        killed.append({"what": "node", "cell": name, "after_epochs": epochs})
        if running.wait(timeout=DEADLINE_SECONDS):
            sys.exit(f"the study on the cluster ended with exit code {running.returncode}")
    finally:
        running.kill()
    return killed


def _cell_on_the_second_node(path: Path, running: subprocess.Popen[bytes], *, but: str) -> tuple[str, int]:
    """Wait until a cell other than `but` is at work on the second node, with epochs gathered; return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        for name in _cells_at_work():
            epochs, budget = _gathered(path / name)
            if name != but and 0 < epochs < budget - 2:
                return name, epochs
        time.sleep(0.1)
    sys.exit("no cell was seen at work on the second node")


def _cells_at_work() -> set[str]:
    """Return the run folders that processes of the second node hold."""
    found = set()
    for pid in _processes(SECOND[0]):
        with suppress(OSError):
            links = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
            found |= {link.parent.name for link in links if link.name == locks.FILE}
    return found


def _gathered(path: Path) -> tuple[int, int]:
    if not store.is_run(path):
        return 0, 0
    run = store.read(path)
    return len(run.epochs), run.recipe.budget.epochs


def _ray_workers() -> list[int]:
    found = []
    for pid in _processes(SECOND[0]):
        with suppress(OSError):
            if b"ray::Hand" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _compare(study: grid.Study, here: Path, there: Path) -> dict[str, object]:
    names = [cell.run_name for cell in study.cells]
    pairs = {
        name: ((here / name / store.EPOCHS).read_bytes(), (there / name / store.EPOCHS).read_bytes()) for name in names
    }
    return {
        "cells": len(names),
        "equal": sum(one == other for one, other in pairs.values()),
        "different": [name for name, (one, other) in pairs.items() if one != other],
        "gone_on_with": [name for name in names if store.read(there / name).environment.get("resumed")],
    }  # fmt: skip


if __name__ == "__main__":
    main()
