"""What a report says about runs that another tool trained: where they came from, and what nobody knows about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fewepochs import store
from fewepochs.foreign import run as foreign_runs
from fewepochs.report import labels, visible
from fewepochs.specs import inputs
from fewepochs.stats import target as crossing_rules

COST = "imported"
"""Why a foreign run has no seconds, joules or memory."""

MOST_FILES = 3


def is_foreign(run: store.StoredRun) -> bool:
    """Return whether `run` was imported."""
    return isinstance(run.recipe, foreign_runs.Foreign)


def source(run: store.StoredRun) -> dict[str, Any] | None:
    """Return the file that a foreign run was read from as JSON-able data; None for a run trained here."""
    if not isinstance(run.recipe, foreign_runs.Foreign):
        return None
    return run.recipe.source.model_dump(mode="json", exclude_none=True)


def on_test_images(origin: foreign_runs.Origin) -> bool:
    """Return whether the validation images are known, or said, to be the test images."""
    if isinstance(origin, foreign_runs.Foreign) and origin.described is None:
        return origin.validation == "test"
    recipe = foreign_runs.described(origin)
    return recipe is not None and isinstance(recipe.data.validation, inputs.TestImages)


def caveats(groups: Sequence[labels.Group]) -> Iterable[str]:
    """Yield of all foreign groups together what is only said of them, and what is not known."""
    found = [group for group in groups if is_foreign(group.runs[0].stored)]
    if not found:
        return
    yield (
        f"Imported: {'; '.join(f'{group.label} from {_files(group)}' for group in found)}. What they trained is their "
        "user's word; their seconds, joules and memory are unknown; their seeds make no pairs with others."
    )
    nameless = [group.label for group in found if foreign_runs.described(group.runs[0].stored.recipe) is None]
    if nameless:
        yield f"No recipe describes {', '.join(nameless)}: on which data they were trained is not known either."
    rateless = [
        group.label
        for group in found
        if any(crossing_rules.rates(record) is None for run in group.runs for record in run.stored.epochs)
    ]
    if rateless:
        yield f"No learning rate is known of {', '.join(rateless)}: whether their crossings are pinned is not known."
    for group in found:
        for run in group.runs:
            yield from (f"{run.label}: {note}." for note in notes(run.stored))


def _files(group: labels.Group) -> str:
    sources = [run.stored.recipe.source for run in group.runs if isinstance(run.stored.recipe, foreign_runs.Foreign)]
    kinds = ", ".join(dict.fromkeys(source.kind for source in sources))
    files = [visible.shown(name) for name in dict.fromkeys(source.file for source in sources)]
    told = ", ".join(files[:MOST_FILES]) + (f" and {len(files) - MOST_FILES} more" if len(files) > MOST_FILES else "")
    return f"{told} ({kinds})"


def notes(run: store.StoredRun) -> list[str]:
    """Return what was noted when the files of `run` were read."""
    kept = run.environment.get("notes")
    return [note for note in kept if isinstance(note, str)] if isinstance(kept, list) else []


# --- after an import ------------------------------------------------------------------------------------------------


def line(run: store.StoredRun, *, already: bool) -> str:
    """Return the line that an import prints for a run."""
    best, origin = crossing_rules.best(run.epochs), run.recipe
    file = f" from {origin.source.file} ({origin.source.kind})" if isinstance(origin, foreign_runs.Foreign) else ""
    told = "" if best is None else f", best val_acc {best.val_acc:.4f} @{best.epoch}"
    standing = f", {run.status.state}: {run.status.reason}" if run.status.reason else ""
    count = f"{len(run.epochs)} epoch{'' if len(run.epochs) == 1 else 's'}"
    return f"{run.path}: {'already imported' if already else 'imported'}, {count}{file}{told}{standing}"


def entry(run: store.StoredRun, *, already: bool) -> dict[str, Any]:
    """Return the same as JSON-able data."""
    best = crossing_rules.best(run.epochs)
    return {
        "run": run.name,
        "path": str(run.path),
        "foreign": True,
        "source": source(run),
        "seed": run.recipe.seed,
        "epochs": len(run.epochs),
        "state": run.status.state,
        "reason": run.status.reason,
        "best": None if best is None else best.model_dump(),
        "already": already,
        "notes": notes(run),
    }
