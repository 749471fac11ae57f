"""Keep what runs found as one file under results/: summary, comparison, noise, every epoch, environment, command.

usage: python tools/keep_results.py RUN... --to results/NAME.json --command "make demo" [--probe FILE.json ...]
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Literal

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.api import results

INNERMOST = re.compile(r"\{\n[^{}\[\]]*\}")

LOCAL = ("command", "where", "origin")
"""What an environment says of somebody's folders: of no use to others."""


def main() -> None:
    """Read the runs, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--command", required=True, help="what makes these runs again")
    parser.add_argument(
        "--probe", type=Path, action="append", default=[], help="what a probe found of these runs, printed with --json"
    )
    arguments = parser.parse_args()
    runs = results.load_runs(arguments.runs)
    kept = {
        "command": arguments.command,
        "n": len(runs),
        "summary": results.summarise(runs),
        "comparison": results.compare(runs),
        "noise": _noise(runs),
        **({"probes": [json.loads(file.read_text()) for file in arguments.probe]} if arguments.probe else {}),
        "runs": [_run(run) for run in runs],
    }
    # A record a line: indented to the last number, a study of twenty runs is twice as large.
    lines = INNERMOST.sub(lambda found: re.sub(r"\n\s*", " ", found[0]), json.dumps(kept, indent=1))
    arguments.to.write_text(lines + "\n")
    print(arguments.to)


def _noise(runs: tuple[store.StoredRun, ...]) -> list[dict[str, Any]]:
    """Return the tables of noise by epochs and, of runs that were evaluated within them, by evaluations."""
    by: list[Literal["epochs", "evaluations"]] = ["epochs"]
    if any(run.evaluations for run in runs):
        by.append("evaluations")
    found = [results.noise(runs, by=one, first=first) for one in by for first in (False, True)]
    return [{"first_phases_alone": one.first, **results.noise_page(one).as_dict()} for one in found]


def _run(run: store.StoredRun) -> dict[str, Any]:
    return {
        "run": run.name,
        "digest": recipes.digest(store.trained(run)),
        "recipe": run.recipe.model_dump(mode="json", exclude_none=True),
        "environment": _public(run.environment),
        "epochs": [record.model_dump() for record in run.epochs],
        "costs": [cost.model_dump() for cost in run.costs],
    }


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(entry) for key, entry in value.items() if key not in LOCAL}
    return [_public(entry) for entry in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
