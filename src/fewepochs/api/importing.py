"""Runs of other tools come in: files and what their user says of them in, foreign run folders out.

Everything is read and checked before anything is written, and what is there is never overwritten: the same file again
is already imported, another file under the same name and seed is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.errors import DataError, Problem, RecipeError, StorageError
from fewepochs.foreign import files
from fewepochs.foreign import run as foreign_runs
from fewepochs.records import RunState, RunStatus
from fewepochs.specs import inputs
from fewepochs.stats import target as crossing_rules

CONTENT = ("name", "seed", "validation", "described")
"""What the digest of a foreign run is made of; the rest may be said otherwise without making it another one."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a user says of runs that are imported together; None where nothing is.

    `seeds` are those of the runs in order; without them runs have the values of their column, if these are whole
    numbers, or else `seed` and those that follow it. `budget` are the epochs that training was planned for: the
    recipe's, or those of the longest file. `targets` are a recipe's.
    """

    name: str
    summary: str = ""
    seed: int | None = None
    seeds: tuple[int, ...] | None = None
    described: recipes.Recipe | None = None
    validation: foreign_runs.Validation | None = None
    budget: int | None = None
    targets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Imported:
    """A run as it is stored; `already` says that an earlier import stored it, `kept` which fields that one said."""

    run: store.StoredRun
    already: bool = False
    kept: tuple[str, ...] = ()


def bring_in(
    paths: Sequence[Path],
    *,
    said: Said,
    out: Path,
    kind: foreign_runs.Kind | None = None,
    columns: Mapping[str, str] | None = None,
    percent: bool = False,
    run_column: str | None = None,
) -> tuple[Imported, ...]:
    """Store the runs in the files `paths` below `out`; arguments beside `said` as for `foreign.files.read`.

    Raises RecipeError for what is said, DataError for what the files hold, StorageError for what is there already.
    """
    curves = _read(paths, kind=kind, columns=columns, percent=percent, run_column=run_column)
    seeds = _seeds(curves, said)
    _refuse_twins([(f"seed {seed}", curve) for seed, curve in zip(seeds, curves, strict=True)])
    origins = [
        _origin(curve, said, seed=seed, longest=_longest(curves)) for seed, curve in zip(seeds, curves, strict=True)
    ]
    there = _there(out, name=said.name)
    found = [_known(origin, curve, there) for origin, curve in zip(origins, curves, strict=True)]
    return tuple(
        known or Imported(_write(out / store.run_name(origin), origin, curve))
        for origin, curve, known in zip(origins, curves, found, strict=True)
    )


# --- what is said ---------------------------------------------------------------------------------------------------


def _seeds(curves: Sequence[files.Curve], said: Said) -> list[int]:
    if said.seeds is not None:
        if len(said.seeds) != len(curves):
            raise _problem("--seeds", f"{len(said.seeds)} seeds for {len(curves)} runs", "a seed for each run")
        return list(said.seeds)
    parts = [curve.part for curve in curves if curve.part is not None]
    if said.seed is None and len(curves) == len(parts) and all(part.isascii() and part.isdecimal() for part in parts):
        seeds = [int(part) for part in parts]
        if len(set(seeds)) < len(seeds):
            raise _problem("--run-column", "two runs have the same seed", "runs that differ in it, or --seeds")
        return seeds
    first = said.seed or 0
    return list(range(first, first + len(curves)))


def _origin(curve: files.Curve, said: Said, *, seed: int, longest: int) -> foreign_runs.Foreign:
    """Return what is said of the run in `curve`. Raises RecipeError where that is impossible or contradicts itself."""
    recipe = said.described
    budget = said.budget or (longest if recipe is None else recipe.budget.epochs)
    if budget < len(curve.epochs):
        raise _problem("--budget", f"{budget} epochs, but {curve.file} has {len(curve.epochs)}", "all epochs or more")
    validation = said.validation
    if recipe is not None:
        by_recipe: foreign_runs.Validation = (
            "test" if isinstance(recipe.data.validation, inputs.TestImages) else "held-out"
        )
        if validation not in (None, by_recipe):
            raise _problem("--validation", f"{validation}, but the recipe says {by_recipe}", f"{by_recipe}, or neither")
        validation = by_recipe
    file = curve.file.encode(errors="backslashreplace").decode()  # a name that is no text, as systems allow
    source = {"kind": curve.kind, "file": file[-255:], "sha256": curve.sha256, "part": curve.part}
    told = {
        "name": said.name,
        "summary": said.summary,
        "seed": seed,
        "targets": list(said.targets or (recipe.targets if recipe is not None else ())),
        "hold": 3 if recipe is None else recipe.hold,
        "budget": {"epochs": budget},
        "validation": validation,
        "source": source,
    }
    return foreign_runs.check(told, source="command line").model_copy(update={"described": recipe})


def _problem(field: str, message: str, allowed: str) -> RecipeError:
    return RecipeError("command line", (Problem(field, message, allowed=allowed),))


# --- what the files hold --------------------------------------------------------------------------------------------


def _read(paths: Sequence[Path], **asked: Any) -> list[files.Curve]:
    curves: list[files.Curve] = []
    wrong: list[str] = []
    for path in paths:
        try:
            curves.extend(files.read(path, **asked))
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    return curves


def _longest(curves: Sequence[files.Curve]) -> int:
    return max((len(curve.epochs) for curve in curves), default=1)


def _refuse_twins(named: Sequence[tuple[str, files.Curve]]) -> None:
    """Raise DataError where one run stands twice: it would count as two."""
    met: dict[tuple[str, str | None], str] = {}
    for name, curve in named:
        other = met.setdefault((curve.sha256, curve.part), name)
        if other != name:
            raise DataError(f"{curve.file}: the same content as {other} and as {name}: one run, not two")


# --- what is there --------------------------------------------------------------------------------------------------


def _there(out: Path, *, name: str) -> dict[Path, foreign_runs.Foreign]:
    """Return what is said of the foreign runs of that name below `out`."""
    found = {}
    for file in sorted(out.glob(f"{name}-s*/{store.FOREIGN}")) if out.is_dir() else ():
        try:
            origin = foreign_runs.load(file)
        except RecipeError as error:
            raise StorageError(f"{file.parent}: the run folder is damaged: {error}") from None
        if origin.name == name:
            found[file.parent] = origin
    return found


def _known(
    origin: foreign_runs.Foreign, curve: files.Curve, there: Mapping[Path, foreign_runs.Foreign]
) -> Imported | None:
    """Return the run if it was imported before, None if it may be. Raises StorageError where another is in its way."""
    for path, other in there.items():
        same = (other.source.sha256, other.source.part) == (origin.source.sha256, origin.source.part)
        if other.seed != origin.seed and not same:
            continue
        if other.seed != origin.seed:
            raise StorageError(
                f"{path}: {origin.source.file} was imported before, as seed {other.seed}: one run, not two"
            )
        differ = [field for field in type(origin).model_fields if getattr(origin, field) != getattr(other, field)]
        if not same:
            raise StorageError(
                f"{path}: seed {origin.seed} of {origin.name} was imported before, from another file "
                f"({other.source.file}); take another seed or name, or delete the folder"
            )
        run = store.read(path)
        if run.epochs != curve.epochs or any(field in CONTENT for field in differ):
            what = ", ".join(field for field in differ if field in CONTENT) or "the columns that were read"
            raise StorageError(
                f"{path}: imported before, with other words ({what}); delete the folder to import it anew"
            )
        return Imported(run, already=True, kept=tuple(field for field in differ if field != "source"))
    return None


def _write(path: Path, origin: foreign_runs.Foreign, curve: files.Curve) -> store.StoredRun:
    with store.hold(path):
        if store.is_run(path):
            raise StorageError(f"{path}: another process has just imported this run")
        environment = {
            "imported_by": f"fewepochs {metadata.version('fewepochs')}",
            "notes": list(curve.notes),
        }
        store.bring_in(
            path, foreign=origin, epochs=curve.epochs, environment=environment, status=_status(origin, curve)
        )
        return store.read(path)


def _status(origin: foreign_runs.Foreign, curve: files.Curve) -> RunStatus:
    """Return where the run stands: why a file ends before the budget is not known."""
    done = len(curve.epochs)
    state: RunState = "finished" if done >= origin.budget.epochs else "interrupted"
    reason = None if state == "finished" else "the file ends there"
    if curve.not_finite is not None:
        state, reason = "diverged", f"loss not finite from epoch {curve.not_finite} on"
    return RunStatus(
        state=state,
        epochs=done,
        budget=origin.budget.epochs,
        reason=reason,
        crossings=crossing_rules.crossings(curve.epochs, origin.targets, hold=origin.hold),
        best=crossing_rules.best(curve.epochs),
        heartbeat=store.now(),
    )
