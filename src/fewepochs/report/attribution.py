"""What each ingredient of a recipe bought: put into the base, and left out of the full recipe.

Both effects are epochs saved up to one horizon. Where ingredients help each other, leaving one out costs more than
putting it in brought, and their sum is not the whole; both are shown, and neither is the truth about one ingredient.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from fewepochs import disk, ingredients, store
from fewepochs import recipe as recipes
from fewepochs.claims import matching
from fewepochs.report import comparison, comparison_console, labels
from fewepochs.report.table_text import Page, Table
from fewepochs.stats import arms, attribution, compare

SEEDS = "0..4"
STUDY = "study.toml"
UNSAID = "# no override takes a part away: --plan --to FOLDER writes it as a recipe"


@dataclass(frozen=True)
class Asked:
    """The two recipes, and how the user named them."""

    base: recipes.Recipe
    full: recipes.Recipe
    base_name: str
    full_name: str

    def command(self, variant: ingredients.Variant) -> str | None:
        """Return the command that makes a variant's runs; None where no override says it."""
        into, name = (self.full, self.full_name) if variant.role in ("full", "without") else (self.base, self.base_name)
        said = ingredients.overrides(into, variant.recipe)
        if said is None:
            return None
        words = ["fewepochs", "train", name, *(word for one in said for word in ("--set", one)), "--seeds", SEEDS]
        return shlex.join(words)


def ask(base: str, full: str) -> Asked:
    """Return the question about two recipes, shipped names or files. Raises RecipeError."""
    return Asked(recipes.load(base), recipes.load(full), base, full)


def title(variant: ingredients.Variant) -> str:
    """Return what a variant is: "base", "base with schedule", "full without schedule"."""
    if variant.ingredient is None:
        return variant.role
    return f"{'base' if variant.role == 'with' else 'full'} {variant.role} {variant.ingredient.name}"


# --- before the runs ------------------------------------------------------------------------------------------------


def plan(asked: Asked, runs: Sequence[store.StoredRun] = ()) -> Page:
    """Return the variants that an attribution needs, how many runs each has, and the commands that make them."""
    found = ingredients.variants(asked.base, asked.full)
    rows, data = [], []
    for variant in found:
        n = len(matching.match(variant.recipe, runs).runs)
        parts = variant.ingredient.parts if variant.ingredient is not None else ()
        digest = recipes.digest(labels.unseeded(variant.recipe))
        rows.append((title(variant), str(n)))
        data.append(
            {"variant": title(variant), "role": variant.role, "parts": " ".join(parts), "n": n, "digest": digest}
        )
    names = ", ".join(one.name for one in ingredients.ingredients(asked.base, asked.full))
    heading = f"{asked.full.name} and {asked.base.name} differ in: {names}"
    table = Table(heading, ("variant", "n"), tuple(rows), tuple(data))
    return Page("attribution-plan", (table,), commands=_commands(asked, found))


def _commands(asked: Asked, found: Sequence[ingredients.Variant]) -> tuple[tuple[str, str], ...]:
    """Return what makes each of the variants `found`."""
    return tuple((title(variant), asked.command(variant) or UNSAID) for variant in found)


def write(asked: Asked, to: Path) -> Path:
    """Write every variant as a recipe, and a study of them, into the folder `to`; return the study's file."""
    found = ingredients.variants(asked.base, asked.full)
    names = ["base" if v.role == "base" else "full" if v.role == "full" else _slug(v) for v in found]
    study: dict[str, Any] = {
        "name": f"{asked.full.name[:40]}-attribution",
        "question": f"What does each ingredient of {asked.full.name} save, beside {asked.base.name}?",
        "base": "base.toml",
        "seeds": SEEDS,
        "arms": {name: {"recipe": f"{name}.toml"} for name in names},
    }
    targets = sorted({*asked.base.targets, *asked.full.targets})
    content = {f"{name}.toml": recipes.to_toml(v.recipe) for name, v in zip(names, found, strict=True)}
    if targets:
        study["targets"] = targets
    disk.make_folder(to)
    for name, text in {**content, STUDY: tomli_w.dumps(study)}.items():
        disk.write_whole(to / name, text.encode())
    return to / STUDY


def _slug(variant: ingredients.Variant) -> str:
    assert variant.ingredient is not None, "base and full have names of their own"
    return f"{variant.role}-{'-'.join(variant.ingredient.parts).replace('_', '-')}"[:80]


# --- after them -----------------------------------------------------------------------------------------------------


def build(
    asked: Asked,
    runs: Sequence[store.StoredRun],
    *,
    targets: Sequence[float] = (),
    rule: arms.Rule = "first",
) -> Page:
    """Return what each ingredient saves, by both tables; variants without runs are named."""
    found = ingredients.variants(asked.base, asked.full)
    matched = {title(variant): matching.match(variant.recipe, runs) for variant in found}
    wanted = tuple(sorted(set(targets) or {*asked.base.targets, *asked.full.targets}))
    hold = max(asked.base.hold, asked.full.hold)
    tables = []
    for target in wanted:
        seen = {name: _observed(name, one, target, rule=rule, hold=hold) for name, one in matched.items()}
        horizon = compare.common_horizon([one.sample for one in seen.values() if one is not None])
        tables += [_table(target, found, seen, horizon=horizon, role=role) for role in _roles(found)]
    missing = [variant for variant in found if not matched[title(variant)].runs]
    notes = tuple(_notes(asked, matched, tables))
    return Page("attribution", tuple(tables), notes, _commands(asked, missing))


def _roles(found: Sequence[ingredients.Variant]) -> tuple[ingredients.Role, ...]:
    return ("with", "without") if len(found) > 2 else ("full",)


def _observed(name: str, one: matching.Matched, target: float, *, rule: arms.Rule, hold: int) -> arms.Observed | None:
    if not one.runs:
        return None
    group = labels.Group(name, "", labels.label(one.runs))
    return arms.observe(comparison.arm(group), target, rule=rule, hold=hold)["epochs"]


def _table(
    target: float,
    found: Sequence[ingredients.Variant],
    seen: Mapping[str, arms.Observed | None],
    *,
    horizon: float | None,
    role: ingredients.Role,
) -> Table:
    """Return one way to take the recipe apart: rows for ingredients, and for all of them together."""
    rows: list[tuple[str, ...]] = []
    data: list[dict[str, Any]] = []
    for variant in (*(v for v in found if v.role == role and role != "full"), found[1]):
        name = "all together" if variant.ingredient is None else variant.ingredient.name
        before, after = ("full", title(variant)) if role == "without" else ("base", title(variant))
        if role == "without":  # leaving it out is before, the full recipe after
            before, after = (title(variant), "full") if variant.ingredient is not None else ("base", "full")
        one, other = seen[before], seen[after]
        facts = {"target": target, "way": role, "ingredient": name, "before": before, "after": after}
        if one is None or other is None:
            missing = " and ".join(name for name, arm in ((before, one), (after, other)) if arm is None)
            rows.append((name, "-", "-", "-", f"no runs of {missing}"))
            data.append({**facts, "reason": f"no runs of {missing}"})
            continue
        saving = attribution.saving(one, other, target=target, horizon=horizon, confidence=compare.CONFIDENCE)
        rows.append((name, *_cells(saving, pinned=(one.pinned or 0) + (other.pinned or 0))))
        data.append({**facts, **_numbers(saving, pinned=(one.pinned or 0) + (other.pinned or 0))})
    told = {"with": "put into the base", "without": "left out of the full recipe", "full": "base and full"}[role]
    until = "" if horizon is None else f", means up to {horizon:g}"
    heads = ("ingredient", "n", "reached", "pinned", "epochs saved")
    return Table(f"epochs to {target:g} saved, {told}{until}", heads, tuple(rows), tuple(data))


def _cells(saving: attribution.Saving, *, pinned: int) -> tuple[str, ...]:
    n = f"{saving.n[0]} pairs" if saving.paired else f"{saving.n[0]} and {saving.n[1]}"
    saved = comparison_console.estimate(saving.saved.model_dump(), by="epochs")
    reached = f"{saving.reached[0]} and {saving.reached[1]}"
    return n, reached, str(pinned), saved if saving.saved.value is not None else saving.saved.reason or "-"


def _numbers(saving: attribution.Saving, *, pinned: int) -> dict[str, Any]:
    return {
        "n_before": saving.n[0],
        "n_after": saving.n[1],
        "reached_before": saving.reached[0],
        "reached_after": saving.reached[1],
        "paired": saving.paired,
        "pinned": pinned,
        "horizon": saving.horizon,
        **{name: getattr(saving.saved, name) for name in ("value", "low", "high", "reason")},
    }


def _notes(asked: Asked, matched: Mapping[str, matching.Matched], tables: Sequence[Table]) -> Iterable[str]:
    if not tables:
        yield "No target was asked; --target 0.92 asks one."
    for table in tables:
        known = [row["value"] for row in table.data if row.get("value") is not None]
        if len(known) == len(table.data) > 1:
            what = table.title.split(", means")[0]
            yield f"{what}: one by one {sum(known[:-1]):.1f} in sum, all together {known[-1]:.1f}."
    budgets = asked.base.budget.epochs, asked.full.budget.epochs
    if budgets[0] != budgets[1]:
        yield (
            f"The budgets differ ({budgets[0]} and {budgets[1]}), so the budget is an ingredient, and means look no "
            "further than all runs went."
        )
    groups = [labels.Group(name, "", labels.label(one.runs)) for name, one in matched.items() if one.runs]
    yield from comparison.few(groups)
