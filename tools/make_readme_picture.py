"""Draw docs/NAME.svg for each recipe of the demo: its runs' accuracy, loss and learning rate, as in the report.

usage: python tools/make_readme_picture.py [RUNS]        (RUNS: the demo's --out, default runs)
"""

from __future__ import annotations

import sys
from pathlib import Path

from fewepochs.api import results
from fewepochs.report import figures, labels, summary

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Read the runs, draw each recipe on common axes, write."""
    runs = results.load_runs([Path(sys.argv[1] if len(sys.argv) > 1 else "runs")])
    targets = summary.resolve_targets(runs)
    shared = figures.axes(runs, targets=targets)
    for group in labels.group(labels.label(runs)):
        chart = figures.panel(shared=shared, ink=figures.Ink(background="white"), live=False)
        chart.datasets = figures.datasets(group.runs, targets=targets, shared=shared)
        path = DOCS / f"{group.label}.svg"
        chart.properties(title=group.label).save(path)
        print(path)


if __name__ == "__main__":
    main()
