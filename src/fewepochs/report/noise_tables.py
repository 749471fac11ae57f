"""Noise in tables: each phase of each recipe, and by which law the noise of a family goes with rate and batch size.

phases   rate, batch size, g, and the noise of val_loss, val_acc and the training loss: mean over runs (interval)
law      the powers b of the rate and c of the batch size, and what they say of g, which has b = 1 and c = -1
length   the power d of the measured length of a step's random part, where it was measured
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewepochs.foreign import run as foreign_runs
from fewepochs.report import noise_law_figure, noise_lengths, probed, summary, tables
from fewepochs.report.noise_form import Noise
from fewepochs.report.noise_phases import MEASURES, Found, Measure, Phase
from fewepochs.report.table_text import Page, Table
from fewepochs.stats import estimates, noise, noise_law

NONE = "-"
TOO_SHORT = "too short"
G_SAYS = {"rate": 1.0, "batch": -1.0}
CANNOT = "cannot tell"

_TAKEN = ("batch_size", "optimizer", "schedule", "budget")
"""Fields that make a phase what it is: that recipes differ in these is the question."""


def build(found: Found, *, lengths: noise_lengths.Lengths | None = None) -> Page:
    """Return the tables of what `noise_phases.find` found, one more against `lengths` where these were measured."""
    laws = [
        (family, measure, noise_law.fit(found.points(family, measure)))
        for family in found.families
        for measure in MEASURES
    ]
    notes = (*_said(laws), *_notes(found), *found.caveats)
    own = {family: law for family, measure, law in laws if measure == "val_loss"}
    asked = {
        **probed.header("noise", *_runs(found)),
        "by": found.by,
        "points": [point.model_dump() for point in noise_law_figure.points(found)],
        "lines": [end.model_dump() for end in noise_law_figure.lines(found, own)],
    }
    against = () if lengths is None else (_length_laws(found, lengths),)
    return Page("noise", (_phases(found), _laws(laws), *against), notes, asked=asked)


def _runs(found: Found) -> Iterator[probed.Run]:
    looked_at = {phase.run for phase in found.phases}
    for run in (run for group in found.groups for run in group.runs):
        if run.label in looked_at:
            yield probed.Run(name=run.label, digest=run.stored.digest)


# --- phases ---------------------------------------------------------------------------------------------------------


def _phases(found: Found) -> Table:
    rows: dict[tuple[str, int, float | None], list[Phase]] = {}
    for phase in found.phases:
        rows.setdefault((phase.group, phase.number, phase.stretch.rate), []).append(phase)
    data = [_numbers(phases) for phases in rows.values()]
    what = "epochs" if found.by == "epochs" else "evaluations"
    return Table(
        f"noise by phase, mean over runs (interval at 95%), of the values after {what}; spikes of val_loss, all runs",
        ("recipe", "epochs", "n", "rate", "batch", "g", "lr/B", *(f"{name} noise" for name in MEASURES), "spikes",
         "highest"),
        tuple(_cells(row) for row in data),
        tuple(data),
        keys=2,
    )  # fmt: skip


def _numbers(phases: Sequence[Phase]) -> dict[str, Any]:
    first, losses = phases[0], [phase.noise["val_loss"] for phase in phases]
    told: dict[str, Any] = {
        "recipe": first.group,
        "optimizer": first.family,
        "first": first.stretch.epochs[0].epoch,
        "last": max(phase.stretch.epochs[-1].epoch for phase in phases),
        "n": len(phases),
        "rate": first.stretch.rate,
        "batch": first.batch,
        "momentum": first.momentum,
        "images": first.images,
        "g": first.g,
        "lr_over_batch": first.rate_over_batch,
        "values": sum(one.n for one in losses),
    }
    for name in MEASURES:
        told |= _measured(name, phases)
    spikes, highest = [one.spikes for one in losses], [one.largest for one in losses if one.largest is not None]
    told["spikes"] = None if None in spikes else sum(spike or 0 for spike in spikes)
    told["highest_above"] = max(highest, default=None)
    return told


def _measured(name: Measure, phases: Sequence[Phase]) -> dict[str, Any]:
    """Return the mean level and noise of a curve over the runs that are long enough."""
    known = [phase for phase in phases if phase.noise[name].spread is not None]
    spreads = [phase.noise[name].spread or 0.0 for phase in known]
    levels = [phase.noise[name].level or 0.0 for phase in known]
    seeds = estimates.seed_name([phase.seeds for phase in known])
    level, spread = (
        estimates.mean(values, name=seeds, confidence=noise_law.CONFIDENCE, absent=TOO_SHORT)
        for values in (levels, spreads)
    )
    return {
        f"{name}_level": level.value,
        f"{name}_noise": spread.value,
        f"{name}_noise_low": spread.low,
        f"{name}_noise_high": spread.high,
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["recipe"],
        f"{row['first']}-{row['last']}",
        str(row["n"]),
        "moves" if row["rate"] is None else f"{row['rate']:g}",
        "changes" if row["batch"] is None else f"{row['batch']}",
        _short(row["g"]),
        _short(row["lr_over_batch"]),
        *(_noise(row, name) for name in MEASURES),
        NONE if row["spikes"] is None else f"{row['spikes']} of {row['values']}",
        NONE if row["highest_above"] is None else f"+{row['highest_above']:.3g}",
    )


def _noise(row: Mapping[str, Any], name: Measure) -> str:
    value, low, high = (row[f"{name}_noise{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return TOO_SHORT
    return f"{value:.3g}" if low is None else f"{value:.3g} ({low:.3g}-{high:.3g})"


def _short(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"


# --- laws -----------------------------------------------------------------------------------------------------------


def _laws(laws: Sequence[tuple[str, Measure, noise_law.Law]]) -> Table:
    data = [_law(family, measure, law) for family, measure, law in laws]
    return Table(
        "noise = e^a rate^b batch^c, least squares on logarithms, 95% intervals over resamples of whole runs",
        ("optimizer", "noise of", "runs", "phases", "b (rate)", "c (batch)", "with the rate", "with the batch", "g"),
        tuple(
            (
                row["optimizer"],
                row["noise_of"],
                str(row["runs"]),
                str(row["phases"]),
                _power(row, "rate"),
                _power(row, "batch"),
                row["with_rate"],
                row["with_batch"],
                row["as_g_says"],
            )
            for row in data
        ),
        tuple(data),
        keys=2,
    )


def _law(family: str, measure: Measure, law: noise_law.Law) -> dict[str, Any]:
    told: dict[str, Any] = {"optimizer": family, "noise_of": measure, "runs": law.runs, "phases": law.points}
    told["a"] = law.intercept
    for name, power in (("rate", law.rate), ("batch", law.batch)):
        told |= {f"{name}_{field}": value for field, value in power.model_dump().items()}
        told[f"with_{name}"] = direction(power)
    told["as_g_says"] = as_g_says(law) if family == "sgd" else "not defined"
    return told


def _length_laws(found: Found, lengths: noise_lengths.Lengths) -> Table:
    data = []
    for family in found.families:
        for measure in MEASURES:
            law = noise_lengths.fit(found, lengths, family=family, measure=measure)
            told = {f"length_{field}": value for field, value in law.rate.model_dump().items()}
            told["length_reason"] = (law.rate.reason or "").replace("rate", "length") or None
            told["with_length"] = direction(law.rate)
            data.append({"optimizer": family, "noise_of": measure, "runs": law.runs, "phases": law.points, **told})
    return Table(
        "noise = e^a length^d, length of a step's random part as measured (d = 1: in proportion)",
        ("optimizer", "noise of", "runs", "phases", "d (length)", "with the length"),
        tuple(
            (
                row["optimizer"],
                row["noise_of"],
                str(row["runs"]),
                str(row["phases"]),
                _power(row, "length"),
                row["with_length"],
            )
            for row in data
        ),
        tuple(data),
        keys=2,
    )


def direction(power: noise_law.Exponent) -> str:
    """Return whether noise grows or falls with a quantity, as far as the interval tells."""
    if power.low is None or power.high is None:
        return CANNOT
    return "grows" if power.low > 0 else "falls" if power.high < 0 else CANNOT


def as_g_says(law: noise_law.Law) -> str:
    """Return whether b = 1 and c = -1: "no" where an interval leaves it out; "yes" asks for both directions, too."""
    powers = {"rate": law.rate, "batch": law.batch}
    ends = {name: (power.low, power.high) for name, power in powers.items()}
    held = [low <= G_SAYS[name] <= high for name, (low, high) in ends.items() if low is not None and high is not None]
    if not all(held):
        return "no"
    return "yes" if (direction(law.rate), direction(law.batch)) == ("grows", "falls") else CANNOT


def _power(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}_{end}"] for end in ("value", "low", "high"))
    if value is None:
        return NONE
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def sentences(found: Noise) -> Iterator[str]:
    """Yield the powers of the laws of val_loss with their intervals, and the direction that these tell."""
    for law in found.laws:
        if law.noise_of == "val_loss":
            powers = {"rate": law.rate, "batch size": law.batch}
            told = " and ".join(
                f"{name} ^ {_exponent(power)}" for name, power in powers.items() if power.value is not None
            )
            both = f"{_words(law.rate, 'the learning rate')}; {_words(law.batch, 'the batch size')}"
            yield f"{law.optimizer}: noise of val_loss goes as {told}: {both}." if told else f"{law.optimizer}: {both}."
    for against in found.length_laws:
        if against.noise_of == "val_loss" and against.length.value is not None:
            yield (
                f"{against.optimizer}: against the measured length of a step's random part it goes as length ^ "
                f"{_exponent(against.length)}; 1 is in proportion."
            )


def _exponent(power: noise_law.Exponent) -> str:
    ends = "no interval" if power.low is None or power.high is None else f"{power.low:.2f} to {power.high:.2f}"
    return f"{power.value:.2f} ({ends})"


# --- notes ----------------------------------------------------------------------------------------------------------


def _said(laws: Sequence[tuple[str, Measure, noise_law.Law]]) -> Iterator[str]:
    """Yield the verdict on the noise of val_loss in words, family by family."""
    for family, measure, law in laws:
        if measure != "val_loss":
            continue
        told = [f"{family}, noise of val_loss:"]
        told.append(f"{_words(law.rate, 'the learning rate')};")
        told.append(f"{_words(law.batch, 'the batch size')}.")
        if family == "sgd":
            told.append(_g_in_words(law))
        yield " ".join(told)


def _words(power: noise_law.Exponent, what: str) -> str:
    found = direction(power)
    if found == CANNOT:
        why = power.reason or "the interval holds growth and fall"
        return f"{CANNOT} whether it goes with {what}: {why}"
    return f"{found} with {what}"


def _g_in_words(law: noise_law.Law) -> str:
    match as_g_says(law):
        case "yes":
            return "So it does as g says, b = 1 and c = -1, as far as the intervals tell."
        case "no":
            return "g says b = 1 and c = -1: not so, an interval leaves it out."
        case _:
            return "g says b = 1 and c = -1: not refuted, not borne out."


def _notes(found: Found) -> Iterator[str]:
    if set(found.families) - {"sgd"}:
        yield "g is SGD's alone. The published claim part1-noise is of Adam: noise grows with the batch size, c > 0."
    if found.first:
        yield "The laws are of the first phases alone: their rates differ between runs only."
    elif len({phase.number for phase in found.phases if phase.stretch.rate is not None}) > 1:
        yield (
            "The rates of a run come one after the other: what the later epochs do to the noise counts as the rate's. "
            "Where runs begin at several rates, --first tells the two apart."
        )
    if any(phase.stretch.rate is None for phase in found.phases):
        yield "Where the rate moves, the spread is that around the running median, in no law."
    short = sum(phase.noise["val_loss"].spread is None for phase in found.phases)
    if short:
        least = 2 * noise.FEWEST_EPOCHS
        unit = "epochs" if found.by == "epochs" else "evaluations"
        yield f"{short} of {len(found.phases)} phases are too short: {least} {unit} of one rate are the fewest."
    still = sum(phase.noise["val_loss"].spread == 0 for phase in found.phases)
    if still:
        yield f"{still} phases have a noise of 0, which has no logarithm: no law sees these, the calmest."
    yield from _others(found)


def _others(found: Found) -> Iterator[str]:
    known = [foreign_runs.described(group.runs[0].stored.recipe) for group in found.groups]
    fields = tables.differing([recipe for recipe in known if recipe is not None])
    others = [field for field in fields if field.partition(".")[0] not in _TAKEN]
    if others:
        yield f"The recipes also differ in {', '.join(others)}: a law takes them as alike."
    sizes = [len(group.runs) for group in found.groups]
    if min(sizes, default=0) < summary.FEW_RUNS:
        many = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
        yield f"n = {many} runs a recipe: an interval over so few is a rough one."
