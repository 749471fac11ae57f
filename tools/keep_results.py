"""Keep what runs found as one file under results/: summary, comparison, every epoch, the environment, the command.

usage: python tools/keep_results.py RUN... --to results/NAME.json --command "make demo"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.api import results

LOCAL = ("command", "where", "origin")
"""What an environment says of somebody's folders: of no use to others."""


def main() -> None:
    """Read the runs, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--command", required=True, help="what makes these runs again")
    arguments = parser.parse_args()
    runs = results.load_runs(arguments.runs)
    kept = {
        "command": arguments.command,
        "n": len(runs),
        "summary": results.summarise(runs),
        "comparison": results.compare(runs),
        "runs": [_run(run) for run in runs],
    }
    arguments.to.write_text(json.dumps(kept, indent=1) + "\n")
    print(arguments.to)


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
