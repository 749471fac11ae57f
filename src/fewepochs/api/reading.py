"""Stored runs for notebooks and scripts: as tables, and compared.

runs = load("runs")                                  # or run folders, or a study's file
runs.to_pandas().query("epoch == 10")
runs.crossings(0.97)
compare(runs, targets=[0.97]).sentences
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from fewepochs import store
from fewepochs.api import results, showing

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "epoch", "step", "loss", "acc", "val_loss", "val_acc", "test_loss", "test_acc", "lr_first", "lr_last", "lr_logged"
)  # fmt: skip
COSTS = (
    "train_seconds", "evaluation_seconds", "setup_seconds", "compile_seconds", "joules", "load", "peak_memory_bytes",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Runs(Sequence[store.StoredRun]):
    """Stored runs in order; a slice of them is Runs, too. `question` is a study's."""

    stored: tuple[store.StoredRun, ...]
    question: str = ""
    found: Mapping[str, Any] | None = field(default=None, compare=False)
    """What the study that they are of compares, by rules of its own."""

    @overload
    def __getitem__(self, index: int) -> store.StoredRun: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> store.StoredRun | Runs:
        return Runs(self.stored[index]) if isinstance(index, slice) else self.stored[index]

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[store.StoredRun]:
        return iter(self.stored)

    def __repr__(self) -> str:
        from fewepochs.report import labels

        groups = labels.group(labels.label(self.stored))
        told = ", ".join(f"{group.label} (n = {len(group.runs)})" for group in groups)
        return f"<{len(self)} {'run' if len(self) == 1 else 'runs'}: {told or 'none'}>"

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each epoch of each run: run, recipe, seed, the record's numbers, and its cost.

        Losses, accuracies (fractions) and rates are the records' own; seconds and joules are the epoch's. What is
        absent is NaN.
        """
        import pandas as pd

        rows = []
        for recipe, run in _labelled(self.stored):
            costs = {cost.epoch: cost for cost in run.stored.costs}
            for record in run.stored.epochs:
                cost = costs.get(record.epoch)
                numbers = {name: getattr(record, name, None) for name in COLUMNS}
                spent = {name: getattr(cost, name, None) for name in COSTS}
                rows.append({"run": run.label, "recipe": recipe, "seed": run.stored.recipe.seed} | numbers | spent)
        return _numeric(pd.DataFrame(rows, columns=["run", "recipe", "seed", *COLUMNS, *COSTS]))

    def crossings(self, *targets: float, rule: Literal["first", "held"] = "first") -> pd.DataFrame:
        """Return a row for each run and target (the recipes' where none are given).

        `epoch` is NaN where the target was not reached; `censored_at` then says after how many epochs the run ended.
        """
        import pandas as pd

        summary = results.summarise(self.stored, targets=targets)
        names = ("epoch", "step", "reached", "censored_at", "pinned", "train_seconds", "joules")
        rows = [
            {"run": run["run"], "recipe": run["recipe"], "seed": run["seed"], "target": crossing["target"]}
            | {name: crossing[rule][name] for name in names}
            for run in summary["runs"]
            for crossing in run["crossings"]
        ]
        frame = pd.DataFrame(rows, columns=["run", "recipe", "seed", "target", *names])
        return _numeric(frame, but=("reached", "pinned"))

    def report(self, to: str | Path, *, targets: Sequence[float] = (), probes: Sequence[str | Path] = ()) -> Path:
        """Write the report of the runs as one offline HTML file; return its path.

        `probes` are files in which probes' commands wrote with --json what they found. Raises StorageError, and
        RecipeError for one of these.
        """
        read = [Path(path) for path in probes]
        return results.report(
            self.stored, to=Path(to), targets=targets, question=self.question, found=self.found, probes=read
        )


@dataclass(frozen=True, repr=False)
class Comparison:
    """Which recipe needs less: `headline` in one sentence, `sentences` for each pair, `caveats` to keep in mind."""

    numbers: Mapping[str, Any]
    """All that was found, as `fewepochs compare --json` prints it."""

    def __repr__(self) -> str:
        return f"<{self.headline}>"

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        from fewepochs.report import headline

        return headline.build(self.numbers)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What each pair of recipes shows, with intervals, n and tests."""
        return tuple(self.numbers["sentences"])

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a careful reader would object."""
        return tuple(self.numbers["caveats"])

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each recipe and target, estimates with their intervals: `median.value`, `median.low`, ..."""
        import pandas as pd

        from fewepochs.report import labels

        rows = [{k: v for k, v in row.items() if k not in ("curve", "lost")} for row in self.numbers["rows"]]
        return pd.DataFrame([labels.flat(row) for row in rows])


def load(*paths: str | Path, out: str | Path = "runs") -> Runs:
    """Return the runs in folders, or directly inside them; or those of one study's file, which lie in `out`.

    Without `paths`, those in `out`. Raises StorageError, and RecipeError for a study's file.
    """
    seen = showing.load([Path(path) for path in paths] or [Path(out)], out=Path(out))
    return Runs(seen.runs, seen.question, seen.found)


def compare(
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: Literal["first", "held"] = "first",
    by: Literal["epochs", "seconds", "joules"] = "epochs",
    horizon: float | None = None,
    looks: int = 1,
) -> Comparison:
    """Return which recipe needs less to the targets; arguments as for `fewepochs compare`.

    Runs of a study are compared by its own rules where nothing else is asked.
    """
    asked = (tuple(targets), rule, by, horizon, looks)
    if isinstance(runs, Runs) and runs.found is not None and asked == ((), "first", "epochs", None, 1):
        return Comparison(runs.found)
    found = results.compare(tuple(runs), targets=targets, rule=rule, by=by, horizon=horizon, looks=looks)
    return Comparison(found)


def _labelled(stored: Sequence[store.StoredRun]) -> list[tuple[str, Any]]:
    """Return each run with its label and its recipe's, in order."""
    from fewepochs.report import labels

    runs = labels.label(stored)
    recipe = {run.label: group.label for group in labels.group(runs) for run in group.runs}
    return [(recipe[run.label], run) for run in runs]


def _numeric(frame: pd.DataFrame, *, but: Sequence[str] = ()) -> pd.DataFrame:
    """Return `frame` with columns of numbers as numbers where all their values are absent, too."""
    import pandas as pd

    for name in frame.columns:
        if name not in ("run", "recipe", *but) and frame[name].dtype == object:
            frame[name] = pd.to_numeric(frame[name])
    return frame
