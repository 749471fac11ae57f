"""What a search for the smallest budget found: a row for each budget tried, the answer in words, a picture.

    budget  reached  share              median crossing  training  verdict
    4       0 of 5   0% (0% to 52%)     -                9 s       not enough
    9       4 of 5   80% (28% to 99%)   9                16 s      enough

Beside the answer stands what a single look at the longest runs would have said, because that is the usual mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from fewepochs import records, store
from fewepochs.report import comparison, console, figures, picture, summary, table_text
from fewepochs.stats import budgets, estimates, survival
from fewepochs.stats import target as crossing_rules
from fewepochs.study import budgets as searches

KIND = "smallest budget"
HEADS = ("budget", "reached", "share", "median crossing", "training", "verdict")
HEIGHT = 220


@dataclass(frozen=True)
class Row:
    """A budget that was tried: what its runs did, when they crossed, what they cost."""

    tried: budgets.Tried
    runs: tuple[store.StoredRun, ...]
    crossings: tuple[records.Crossing, ...]
    median: estimates.Estimate

    @property
    def pinned(self) -> int:
        """How many crossings came within two epochs after a drop of the rate."""
        return sum(bool(one.pinned) for one in self.crossings)

    @property
    def seconds(self) -> float:
        """Seconds of training, of all its runs."""
        return sum(cost.train_seconds for run in self.runs for cost in run.costs)

    @property
    def epochs(self) -> int:
        """Epochs trained, of all its runs."""
        return sum(len(run.epochs) for run in self.runs)


def build(search: searches.Search) -> table_text.Page:
    """Return what `search` has found so far, as a table and sentences."""
    rows, found = _rows(search), search.answer()
    asked = search.question
    rule = "reach" if asked.rule == "first" else f"hold, for {asked.recipe.hold} evaluations,"
    title = (
        f"the smallest budget, from {asked.lowest} to {asked.highest} epochs, at which {asked.share:.0%} of the runs "
        f"of {asked.recipe.name} {rule} {asked.target:g}; intervals at {budgets.CONFIDENCE:.0%}"
    )
    table = table_text.Table(title, HEADS, tuple(map(_cells, rows)), tuple(map(_data, rows)))
    told = {"target": asked.target, "share": asked.share, "rule": asked.rule, "seeds": list(asked.seeds),
            "from": asked.lowest, "to": asked.highest, "recipe": asked.recipe.name,
            "answer": found.model_dump(mode="json")}  # fmt: skip
    notes = (_answer(search, found, rows), *_bounds(search, found), *_long_run(search, rows), *_caveats(search, rows))
    return table_text.Page(KIND, (table,), notes, asked=told)


def _rows(search: searches.Search) -> list[Row]:
    asked = search.question
    hold, found = asked.recipe.hold if asked.rule == "held" else 1, search.rows()
    rows = []
    for budget in sorted(found):
        runs = search.runs(budget)
        crossings = [crossing_rules.crossing(run.epochs, asked.target, rule=asked.rule, hold=hold) for run in runs]
        times = tuple(float(one.epoch or budget) for one in crossings)
        sample = survival.Sample(times, tuple(one.reached for one in crossings))
        median = estimates.bare_median(sample, confidence=budgets.CONFIDENCE)
        rows.append(Row(found[budget], runs, tuple(crossings), median))
    return rows


def _cells(row: Row) -> tuple[str, ...]:
    tried = row.tried
    median = "-" if row.median.value is None else f"{row.median.value:g}{'*' if row.pinned else ''}"
    return (
        str(tried.budget),
        f"{tried.reached} of {tried.n}",
        comparison.with_interval(tried.share, lambda value: f"{value:.0%}"),
        median,
        console.duration(row.seconds),
        "enough" if tried.enough else "not enough",
    )


def _data(row: Row) -> dict[str, Any]:
    tried = row.tried
    return {
        "budget": tried.budget,
        "n": tried.n,
        "reached": tried.reached,
        "share": tried.share.value,
        "share_low": tried.share.low,
        "share_high": tried.share.high,
        "median_crossing": row.median.value,
        "pinned": row.pinned,
        "epochs_trained": row.epochs,
        "train_seconds": row.seconds,
        "enough": tried.enough,
    }


# --- sentences --------------------------------------------------------------------------------------------------------


def _answer(search: searches.Search, found: budgets.Answer, rows: Sequence[Row]) -> str:
    asked, by_budget = search.question, {row.tried.budget: row.tried for row in rows}

    def told(budget: int) -> str:
        return f"{by_budget[budget].reached} of {by_budget[budget].n} runs reach {asked.target:g}"

    if not rows:
        return "No budget has been tried yet."
    if found.smallest is None:
        return f"More than {asked.highest} epochs: with {asked.highest}, {told(asked.highest)}."
    if found.not_enough is None:
        below = "" if found.complete else "; smaller ones are still open"
        return f"At most {found.smallest} epochs: with these, {told(found.smallest)}{below}."
    lead = (
        f"{found.smallest} epochs" if found.complete else f"{found.not_enough + 1} to {found.smallest} epochs, so far"
    )
    return f"{lead}: with {found.smallest}, {told(found.smallest)}; with {found.not_enough}, {told(found.not_enough)}."


def _bounds(search: searches.Search, found: budgets.Answer) -> Iterator[str]:
    """Yield what is more than a count: at which budgets the interval of the share lies on one side."""
    asked, n = search.question, len(search.question.seeds)
    if found.surely_not is not None:
        yield f"By its interval, {found.surely_not} epochs are not enough for {asked.share:.0%} of the runs."
    if found.surely is not None:
        yield f"By its interval, {found.surely} epochs are enough for {asked.share:.0%} of the runs."
    elif asked.share < 1:
        most, least = estimates.share(n, n, confidence=budgets.CONFIDENCE).low, budgets.seeds_for_certainty(asked.share)
        if n < least:
            yield (
                f"That {asked.share:.0%} of all runs would arrive is not shown by n = {n}: even {n} of {n} bear out "
                f"{most:.0%} at {budgets.CONFIDENCE:.0%}. It takes {least} runs that all arrive."
            )
    yield (
        "Which budgets were tried hangs on what was found: the interval of a share is that of its budget, not of the "
        "answer. The seeds are the same at each budget; other seeds may move the answer by some epochs."
    )


def _long_run(search: searches.Search, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what reading the crossing off the longest runs would have said, and why that is another question."""
    longest = next((row for row in rows if row.tried.budget == search.question.highest), None)
    if longest is None:
        return
    asked, n = search.question, longest.tried.n
    wanted = budgets.needed(n, asked.share)
    arrived = sorted(one.epoch for one in longest.crossings if one.epoch is not None)
    if len(arrived) < wanted:
        read = f"that {asked.share:.0%} of them do not arrive"
    else:
        read = f"{arrived[wanted - 1]} epochs, when {wanted} of {n} were there"
    yield (
        f"Read off the runs with {asked.highest} epochs, the answer would have been {read}. That is another "
        f"question: their schedule is stretched to {asked.highest} epochs, and a smaller budget anneals sooner."
    )


def _caveats(search: searches.Search, rows: Sequence[Row]) -> Iterator[str]:
    runs = [run for row in rows for run in row.runs]
    epochs, seconds = sum(row.epochs for row in rows), sum(row.seconds for row in rows)
    yield f"Cost: {len(runs)} runs, {epochs} epochs, {console.duration(seconds)} of training."
    yield f"{summary.validation(search.question.recipe.data).capitalize()}."
    if any(row.pinned for row in rows):
        yield "* Some of these crossings are pinned: they came within two epochs after a drop of the rate."
    diverged = sum(run.status.state == "diverged" for run in runs)
    if diverged:
        yield f"{diverged} of these runs diverged: they count as runs that do not arrive."


# --- the picture ------------------------------------------------------------------------------------------------------


def write(path: Path, search: searches.Search) -> None:
    """Draw the share of runs that arrive over the budget into `path`, in the format that its name ends in."""
    rows, page = _rows(search), build(search)
    figure = figures.Figure(
        name="budget",
        title=f"Runs that reach {search.question.target:g}, by budget",
        alternative=page.notes[0],
        chart=lambda ink: chart(search, rows, ink=ink),
    )
    picture.write(path, figure, numbers=table_text.lines(page, form="text"))


def chart(search: searches.Search, rows: Sequence[Row], *, ink: figures.Ink) -> alt.VConcatChart:
    """Return the picture: a dot and its interval for each budget, a line at the share asked for."""
    asked = search.question
    points = [{**_data(row), "verdict": "enough" if row.tried.enough else "not enough"} for row in rows]
    x = figures.epochs("budget", title="budget in epochs, the schedule stretched to each", last=asked.highest + 1)
    y = figures.vertical("share", title=f"share of runs that reach {asked.target:g}", span=(0.0, 1.0), numbers=".0%")
    low = y.copy()
    low.shorthand = "share_low:Q"
    words, verdicts = alt.Legend(orient="top", title=None), ["enough", "not enough"]
    inks = alt.Scale(domain=verdicts, range=[ink.validation, ink.training])
    colour = alt.Color("verdict:N", scale=inks, legend=words)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=["circle", "cross"]), legend=words)
    line = alt.Chart(alt.InlineData(values=[{"share": asked.share}]))
    data = alt.Chart(alt.InlineData(values=points))
    plot = alt.LayerChart(
        layer=[
            line.mark_rule(color=ink.line, strokeDash=[4, 3], aria=False).encode(y=y),
            data.mark_rule(strokeWidth=1.5, aria=False).encode(x=x, y=low, y2=alt.Y2("share_high:Q"), color=colour),
            data.mark_point(filled=True, size=70, opacity=1, aria=False).encode(x=x, y=y, color=colour, shape=shape),
        ],
        width=figures.WIDTH,
        height=HEIGHT,
    )
    return figures.finished(alt.VConcatChart(vconcat=[plot]), ink=ink)
