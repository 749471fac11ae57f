"""Train a recipe twice, once undisturbed and once killed with -9 in mid-epoch and resumed, and compare every bit.

    python tools/kill_and_compare.py RECIPE --data DIR --set budget.epochs=1 --kill-after-steps 30 --to FILE

For a short epoch, hold most images out: --set 'data.validation={kind="held-out", images=45000}' leaves 5,000, 79 steps
of 64. The kill comes at a random moment (the seed is kept) after the first checkpoint of at least so many steps. Run
folders are made below --out and stay there.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.train import checkpoint

LOCAL = ("command", "where", "origin", "resumed")


def main() -> None:
    """Train, kill, resume, compare, keep; exits 1 where a bit differs."""
    arguments = _arguments()
    chosen = recipes.load(arguments.recipe, overrides=arguments.overrides)
    options = [f"--{name}={value}" for name, value in _runtime(arguments).items() if value is not None]
    command = [sys.executable, "-m", "fewepochs", "train", arguments.recipe, "--progress", "plain", *options]
    command += [word for override in arguments.overrides for word in ("--set", override)]
    killed = arguments.out / "killed" / store.run_name(chosen)
    kill = _kill(
        [*command, "--out", str(killed.parent), "--checkpoint-minutes", str(arguments.checkpoint_minutes)],
        path=killed,
        after_steps=arguments.kill_after_steps,
        draw=random.Random(arguments.seed),
    )
    subprocess.run([sys.executable, "-m", "fewepochs", "resume", str(killed)], check=True)
    whole = arguments.out / "whole" / store.run_name(chosen)
    subprocess.run([*command, "--out", str(whole.parent)], check=True)
    found = {"undisturbed": _bits(whole), "killed and resumed": _bits(killed)}
    equal = found["undisturbed"] == found["killed and resumed"]
    kept = {
        "command": _told(sys.argv[1:]),
        "recipe": chosen.model_dump(mode="json", exclude_none=True),
        "digest": recipes.digest(chosen),
        "seed": arguments.seed,
        "n": 1,
        "killed": kill,
        "equal": equal,
        "found": found,
        "environment": _public(store.read(whole).environment),
    }
    arguments.to.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{arguments.to}: {'equal' if equal else 'NOT EQUAL'}")
    sys.exit(0 if equal else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--data")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--kernels")
    parser.add_argument("--kill-after-steps", type=int, required=True)
    parser.add_argument("--checkpoint-minutes", type=float, default=0.05, help="of the run that is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moment of the kill")
    parser.add_argument("--out", type=Path, default=Path("runs-killed"))
    parser.add_argument("--to", type=Path, required=True)
    return parser.parse_args()


def _told(words: list[str]) -> str:
    """Return the command as others would give it: somebody's folders are of no use to them."""
    shown = [
        "DIR" if before in ("--data", "--out") else word for before, word in zip(["", *words], words, strict=False)
    ]
    return shlex.join(["python", "tools/kill_and_compare.py", *shown])


def _runtime(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("data", "device", "threads", "kernels")}


def _kill(command: list[str], *, path: Path, after_steps: int, draw: random.Random) -> dict[str, Any]:
    """Start `command`, kill it some moment after its first checkpoint of `after_steps` steps, say where it stood."""
    process = subprocess.Popen(command)
    while (step := _newest(path)) < after_steps:
        if process.poll() is not None:
            sys.exit(f"ended with {process.returncode} before {after_steps} steps were saved")
        time.sleep(0.05)
    seconds = draw.uniform(0.0, 3.0)
    time.sleep(seconds)
    process.kill()
    if process.wait() != -9:
        sys.exit("ended before it was killed: more epochs, or fewer steps to the kill")
    run, step = store.read(path), _newest(path)
    print(f"killed: {len(run.epochs)} epochs logged, newest checkpoint at step {step}")
    return {"epochs_logged": len(run.epochs), "checkpoint_step": step, "seconds_after_a_checkpoint": seconds}


def _newest(path: Path) -> int:
    steps = [int(each.stem.removeprefix("step-")) for each in path.glob("checkpoints/step-*.ckpt")]
    return max(steps, default=0)


def _bits(path: Path) -> dict[str, Any]:
    """Return what must be equal: the SHA-256 of the state, where it stands, and the log."""
    newest = checkpoint.load(checkpoint.newest_first(path / store.CHECKPOINTS)[0])
    facts = newest.facts.model_dump(mode="json")
    return {
        "state_sha256": checkpoint.digest(newest.tensors),
        "tensors": sorted(newest.tensors),
        "place": {name: facts[name] for name in ("steps", "epochs", "epoch_steps", "plateau", "data")},
        "epochs_jsonl": (path / store.EPOCHS).read_text(),
    }


def _public(environment: Any) -> Any:
    if isinstance(environment, dict):
        return {key: _public(value) for key, value in environment.items() if key not in LOCAL}
    return environment


if __name__ == "__main__":
    main()
