"""What other tools call the columns of a curve, and what their cells say.

    val_accuracy, val_acc, valid_acc, validation/epoch_accuracy, Accuracy/val, eval_top1    ->  val_acc
    accuracy, acc, train_acc, train/epoch_accuracy                                          ->  acc
    learning_rate, lr                                                                       ->  lr_logged

A name is cut into words: one may say which images (train, val, test), the others what was measured. What fits nothing
is left alone; what fits twice is asked about. A cell that a 32-bit float printed in full is read as the shortest
decimal that gives the same 32-bit float: an accuracy of 9,000 of 10,000 images, which Keras writes as
0.8999999761581421, is 0.9, and reaches a target of 0.9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

import numpy as np

from fewepochs import problems
from fewepochs.errors import DataError

Ours = Literal["epoch", "step", "loss", "acc", "val_loss", "val_acc", "test_acc", "lr_logged"]
OURS: tuple[Ours, ...] = get_args(Ours)

MOST_PROBLEMS, MOST_NAMES = 10, 20

ACCURACIES: tuple[Ours, ...] = ("acc", "val_acc", "test_acc")
LOSSES: tuple[Ours, ...] = ("loss", "val_loss")
WHOLE: tuple[Ours, ...] = ("epoch", "step")

ASKED_AS: Mapping[str, Ours] = {"lr" if name == "lr_logged" else name: name for name in OURS}
"""Our columns by what the left side of `--column OURS=THEIRS` calls them."""

_IMAGES = {
    **dict.fromkeys(("train", "training"), ""),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation"), "val_"),
    "test": "test_",
}
_MEASURED = {
    **dict.fromkeys(("acc", "accuracy", "top1", "top_1", "categorical_accuracy", "sparse_categorical_accuracy"), "acc"),
    "loss": "loss",
    **dict.fromkeys(("lr", "learning_rate"), "lr_logged"),
    "global_step": "step",  # a bare "step" may count anything
}
_ABSENT = ("", "na", "n/a", "none", "null", "-")
_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


def meaning(name: str) -> Ours | None:
    """Return which of our columns `name` is, None where it is none.

    >>> meaning("val_sparse_categorical_accuracy"), meaning("Loss/train"), meaning("val_top5")
    ('val_acc', 'loss', None)
    """
    words = [word for word in re.split(r"[\s_./-]+", name.strip().lower()) if word]
    if words == ["epoch"]:
        return "epoch"
    images = [_IMAGES[word] for word in words if word in _IMAGES]
    measured = _MEASURED.get("_".join(word for word in words if word not in _IMAGES and word != "epoch"))
    if measured is None or len(images) > 1:
        return None
    found = f"{images[0] if images else ''}{measured}"
    return next((ours for ours in OURS if ours == found), None)


def choose(names: Sequence[str], *, asked: Mapping[str, str], source: str) -> dict[Ours, str]:
    """Return which of `names` is each of our columns; `asked` are the user's own words, theirs by ours.

    Raises DataError where a name that was asked for is not there, two fit, or none is the validation accuracy.
    """
    found: dict[Ours, str] = {}
    wrong: list[str] = []
    for word, theirs in asked.items():
        if theirs in names:
            found[ASKED_AS[word]] = theirs
        else:
            near = problems.nearest(theirs, names)
            hint = "" if near is None else f" - did you mean '{near}'?"
            wrong.append(f"--column {word}={theirs}: no such column; it has {listed(names)}{hint}")
    for ours in OURS:
        fitting = [name for name in names if meaning(name) == ours and name not in found.values()]
        if ours not in found and len(fitting) > 1:
            word = "lr" if ours == "lr_logged" else ours
            wrong.append(f"{word} may be any of {listed(fitting)}: say which, with --column {word}={fitting[0]}")
        elif ours not in found and fitting:
            found[ours] = fitting[0]
    if "val_acc" not in found and not wrong:
        wrong.append(
            "no column is called like a validation accuracy: say which it is, with --column val_acc=NAME; it has "
            + listed(names)
        )
    if wrong:
        raise DataError(told(source, wrong))
    return found


def told(source: str, wrong: Sequence[str]) -> str:
    """Return what is wrong with a file as one message."""
    count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
    more = [f"and {len(wrong) - MOST_PROBLEMS} problems more"] if len(wrong) > MOST_PROBLEMS else []
    return "\n  ".join([f"{source}: {count}", *wrong[:MOST_PROBLEMS], *more])


def listed(names: Sequence[str]) -> str:
    """Return names for a message: the first twenty, and how many more."""
    shown = ", ".join(names[:MOST_NAMES])
    return shown + (f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


# --- cells --------------------------------------------------------------------------------------------------------


def cell(text: str, *, ours: Ours, percent: bool, comma: bool = False) -> float | int | None:
    """Return what a cell says, None where it says nothing; an accuracy is a fraction, given in percent if so told.

    A loss may be nan or infinite. `comma` reads 0,93 as 0.93. Raises ValueError with what is wrong.
    """
    stripped = text.strip()
    if stripped.lower() in _ABSENT:
        return None
    if comma and _COMMA.fullmatch(stripped):
        stripped = stripped.replace(",", ".")
    try:
        number = Decimal(stripped)
    except InvalidOperation:
        raise ValueError(f"{ours} is not a number (got {problems.shown(text)})") from None
    if not number.is_finite():
        if ours in LOSSES:
            return float(number)
        raise ValueError(f"{ours} is not finite (got {problems.shown(text)})")
    if ours in WHOLE:
        if number != number.to_integral_value() or not 0 <= number < 2**63:
            raise ValueError(f"{ours} is not a whole number (got {problems.shown(text)})")
        return int(number)
    if ours in ACCURACIES:
        return _fraction(number, ours=ours, percent=percent)
    return _finite(number if ours in LOSSES else shortest(number), ours=ours)


def _fraction(number: Decimal, *, ours: Ours, percent: bool) -> float:
    value = shortest(number)
    fraction = value / 100 if percent else value
    if not 0 <= fraction <= 1:
        hint = "" if percent or not 1 < value <= 100 else "; if accuracies are in percent, say --percent"
        raise ValueError(f"{ours} is not a fraction of images (got {number}){hint}")
    return float(fraction)


def _finite(number: Decimal, *, ours: Ours) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{ours} is too large (got {number})")
    return value


def shortest(number: Decimal) -> Decimal:
    """Return the shortest decimal that is the same 32-bit float, where `number` is one printed in full.

    >>> shortest(Decimal("0.8999999761581421")), shortest(Decimal("0.89999"))
    (Decimal('0.9'), Decimal('0.89999'))
    """
    value = float(number)
    if abs(value) > float(np.finfo(np.float32).max):
        return number
    single = np.float32(value)
    return Decimal(str(single)) if float(single) == value else number
