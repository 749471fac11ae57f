"""What is told of a run: everything that is stored, nothing that is not, and never otherwise than before."""

from __future__ import annotations

from pathlib import Path

import pytest
import tracked_runs

import foreign_runs
import report_runs
from fewepochs import recipe as recipes
from fewepochs import store
from fewepochs.stats import target as crossing_rules
from fewepochs.trackers import story

RUNS = {
    "everything": tracked_runs.costly(),
    "no joules": report_runs.make_run(),
    "no costs": report_runs.make_run(costed=0),
    "foreign": foreign_runs.make(targets=(0.9,)),
    "foreign, accuracies alone": foreign_runs.make(full=False),
    "no epochs": report_runs.make_run(epochs=0, state="running"),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_all_numbers_that_are_stored_are_told_and_no_others(run: store.StoredRun) -> None:
    told: dict[str, dict[int, float]] = {}
    for point in story.build(run).points:
        for name, value in point.values.items():
            told.setdefault(name, {})[point.epoch] = value
    best = told.pop("best_val_acc", {})
    crossings = {name: told.pop(name) for name in list(told) if name.startswith("epochs_to")}
    assert told == tracked_runs.expected(run)
    assert best == {record.epoch: max(r.val_acc for r in run.epochs[: record.epoch]) for record in run.epochs}
    reached = crossing_rules.crossings(run.epochs, run.recipe.targets, hold=run.recipe.hold)
    assert len(crossings) == sum(one.reached for one in reached)


@pytest.mark.parametrize("run", [tracked_runs.costly(), foreign_runs.make(targets=(0.9,))], ids=["ours", "foreign"])
def test_the_story_of_n_epochs_is_the_beginning_of_that_of_more(run: store.StoredRun) -> None:
    whole = story.build(run)
    for epochs in range(len(run.epochs)):
        part = story.build(tracked_runs.beginning(run, epochs))
        assert part.points == whole.points[:epochs]
        assert part.last_notes == {}
        assert (part.name, part.digest, part.parameters, part.text) == (
            whole.name,
            whole.digest,
            whole.parameters,
            whole.text,
        )


def test_a_crossing_is_told_from_the_epoch_at_which_it_is_known() -> None:
    run = tracked_runs.costly()
    first, held = crossing_rules.crossings(run.epochs, (0.9,), hold=run.recipe.hold)
    assert first.epoch is not None
    assert held.epoch is not None
    found = {name: point.epoch for point in story.build(run).points for name in point.values if "0.9" in name}
    assert found["epochs_to/0.9"] == first.epoch
    assert found["epochs_to_held/0.9"] == held.epoch + 2


def test_a_crossing_that_is_pinned_is_told_so_and_one_that_is_not_reached_too() -> None:
    run = tracked_runs.costly()
    pinned = [one for one in crossing_rules.crossings(run.epochs, run.recipe.targets) if one.pinned]
    assert pinned
    tags = story.build(run).tags
    for one in pinned:
        assert tags[f"crossing.{one.target!r}.{one.rule}"].startswith(f"{one.epoch}, pinned")
    short = story.build(tracked_runs.beginning(run, 3))
    assert short.tags["crossing.0.97.first"] == "not within 3 epochs"
    assert not any("0.97" in name for point in short.points for name in point.values)


def test_what_is_said_of_a_crossing_at_the_very_end_waits_for_the_run_to_end() -> None:
    run = tracked_runs.costly()
    epoch = crossing_rules.crossing(run.epochs, 0.9).epoch
    assert epoch is not None
    running = tracked_runs.beginning(run, epoch)
    ended = store.StoredRun(
        run.path,
        run.recipe,
        running.status.model_copy(update={"state": "interrupted"}),
        running.epochs,
        running.costs,
        run.environment,
    )
    assert "crossing.0.9.first" not in {**story.build(running).last_notes, **story.build(running).points[-1].notes}
    assert "crossing.0.9.first" in story.build(ended).last_notes


def test_the_recipe_is_told_field_by_field() -> None:
    run = report_runs.make_run(
        "schedule={kind='piecewise-constant', boundaries=[2.0], factors=[1.0, 0.1], unit='epochs'}"
    )
    told = story.build(run)
    assert told.parameters["network.depth"] == 8
    assert told.parameters["schedule.boundaries"] == "[2.0]"
    assert told.parameters["optimizer.lr"] == 0.001
    assert recipes.parse(told.text, source="told") == run.recipe
    assert told.tags["digest"] == run.digest
    assert told.tags["digest_without_seeds"] == run.digest_without_seeds
    assert "foreign" not in told.tags


def test_a_foreign_run_is_marked() -> None:
    told = story.build(foreign_runs.make())
    assert told.tags["foreign"] == "true"
    assert told.parameters["source.file"] == "log.csv"


@pytest.mark.parametrize(
    "name",
    ["a b", "x\x1b[31m", "a\udce9", "..x", "%2f?#'\"`", "n" * 255, "täglich", "ä" * 127],
    ids=lambda name: ascii(name)[:20],
)
def test_a_name_from_outside_is_text_short_and_no_two_are_alike(name: str) -> None:
    told = story.build(report_runs.make_run(folder=name))
    other = story.build(report_runs.make_run(folder=name, seed=1))
    assert told.name.isprintable()
    assert told.name.encode()
    assert len(told.name.encode()) < 250
    assert told.name.endswith(told.digest[:8])
    assert told.name != other.name


# --- where a run lies -----------------------------------------------------------------------------------------------


def test_runs_are_filed_under_the_folder_that_they_lie_in(tmp_path: Path) -> None:
    path = tracked_runs.write(report_runs.make_run(epochs=1), out=tmp_path / "my-study")
    assert story.build(store.read(path)).group == "my-study"
    assert story.build(report_runs.make_run()).group == "fewepochs"
