"""The published claims as data: what was said, how it is known here, and which recipe puts it to the test.

A claim has items, each of them one number or one statement that runs can bear out or not; `claims.toml` holds them all.
An item's experiment is its recipe, else the claim's, with the claim's overrides and then its own. What `variation`
means, and which rule judges an item, stands in docs/claims.md and in `claims.rules`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, TypeAdapter, model_validator

from fewepochs import recipe as recipes
from fewepochs.errors import Problem, RecipeError
from fewepochs.specs import base

Mark = Literal["primary", "secondary", "unseen"]

MARKS: Mapping[Mark, str] = {
    "primary": "read in the source itself",
    "secondary": "quoted by another source",
    "unseen": "known from a summary in words only",
}

Quantity = Literal["epochs", "best-val-acc", "best-epoch", "train-acc", "seconds-per-epoch", "watts", "load"]
MACHINE_BOUND: tuple[Quantity, ...] = ("seconds-per-epoch", "watts", "load")
"""What depends on the hardware: tested on the claim's own alone."""

Relation = Literal["equals", "at-most", "more-than", "at-least"]
Strings = Annotated[tuple[str, ...], Strict(False)]


class _Item(base.Spec):
    """What all items may have: a recipe in place of the claim's, overrides beyond the claim's, FLOPs of their own."""

    kind: str
    recipe: str | None = None
    overrides: Strings = ()
    teraflop_per_epoch: base.Positive | None = None
    label: str | None = None


class Typical(_Item):
    """A number that a typical run has: `quantity` stands in `relation` to `value`.

    `target` belongs to "epochs" (the first epoch with that val_acc) and "train-acc" (the training accuracy of that
    epoch). `variation` is how far one run may lie from the typical one, by what was published of it; without it, the
    runs themselves must say.
    """

    kind: Literal["typical"] = "typical"
    quantity: Quantity
    target: recipes.Target | None = None
    relation: Relation = "equals"
    value: base.Positive
    variation: base.NonNegative | None = None

    @model_validator(mode="after")
    def _target_where_one_is_asked(self) -> Self:
        if (self.target is not None) != (self.quantity in ("epochs", "train-acc")):
            raise ValueError("a target belongs to epochs and to train-acc, and to them alone")
        if self.relation != "equals" and self.variation is None:
            raise ValueError("a bound needs a variation, 0 where it has none")
        return self


class Share(_Item):
    """How many runs reach `target` within `within` epochs: `reached` of `runs`, or at least the `share` of many."""

    kind: Literal["share"] = "share"
    target: recipes.Target
    within: base.PositiveInt
    reached: base.NonNegativeInt | None = None
    runs: base.PositiveInt | None = None
    share: base.Fraction | None = None

    @model_validator(mode="after")
    def _counted_or_a_share(self) -> Self:
        counted = self.reached is not None and self.runs is not None
        if counted == (self.share is not None) or (self.reached is None) != (self.runs is None):
            raise ValueError("give reached and runs, or a share")
        return self


class Spread(_Item):
    """How far the epochs to `target` lie apart: the range over five runs is between `low` and `high`."""

    kind: Literal["spread"] = "spread"
    target: recipes.Target
    low: base.Positive
    high: base.Positive


class Trend(_Item):
    """That the settled noise of val_loss at the schedule's first rate grows from each of `recipes` to the next."""

    kind: Literal["trend"] = "trend"
    recipes: Annotated[tuple[str, ...], Strict(False), Field(min_length=2)]


class Untestable(_Item):
    """What no recipe here can test, and why."""

    kind: Literal["untestable"] = "untestable"
    says: str
    reason: str


Item = Annotated[Typical | Share | Spread | Trend | Untestable, Field(discriminator="kind")]


class Claim(base.Spec):
    """A published claim. `reading` says in what our recipe is our reading of the source; None where all of it is given.

    `hardware` is part of a device's name; what depends on the machine is tested on that device alone.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    source: str
    text: str
    mark: Mark
    recipe: str | None = None
    overrides: Strings = ()
    reading: str | None = None
    hardware: str | None = None
    teraflop_per_epoch: base.Positive | None = None
    items: Annotated[tuple[Item, ...], Strict(False), Field(min_length=1)]

    @model_validator(mode="after")
    def _testable_with_a_recipe(self) -> Self:
        testable = any(not isinstance(item, Untestable) for item in self.items)
        if testable != (self.recipe is not None):
            raise ValueError("a recipe belongs to a claim of which something can be tested")
        return self


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return all claims, in the order of their file."""
    text = (resources.files("fewepochs") / "claims" / "claims.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = recipes.read_toml(text)
    return TypeAdapter(tuple[Claim, ...]).validate_python(tuple(table["claim"]))


def find(name: str) -> Claim:
    """Return the claim `name`. Raises RecipeError, with the nearest name, where there is none."""
    known = {claim.id: claim for claim in claims()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        problem = Problem("claim", "no such claim", repr(name), ", ".join(known), near[0] if near else None)
        raise RecipeError("replicate", (problem,))
    return known[name]


@dataclass(frozen=True)
class Experiment:
    """A recipe's name and the overrides laid over it; the FLOPs, in 10^12, of an epoch of its training."""

    recipe: str
    overrides: tuple[str, ...]
    teraflop_per_epoch: float

    def load(self) -> recipes.Recipe:
        """Return the recipe."""
        return recipes.load(self.recipe, overrides=self.overrides)


def experiments_of(claim: Claim, item: Item) -> tuple[Experiment, ...]:
    """Return the experiments that `item` needs, none where it cannot be tested."""
    if isinstance(item, Untestable) or claim.recipe is None:
        return ()
    names = item.recipes if isinstance(item, Trend) else (item.recipe or claim.recipe,)
    flops = item.teraflop_per_epoch or claim.teraflop_per_epoch or 0.0
    return tuple(Experiment(name, (*claim.overrides, *item.overrides), flops) for name in names)


def experiments(claim: Claim) -> tuple[Experiment, ...]:
    """Return the experiments of `claim`, each once, in the order of its items."""
    return tuple(dict.fromkeys(one for item in claim.items for one in experiments_of(claim, item)))
