"""The page's switches, tables and downloads in Chromium, by pointer and by keyboard, and what axe-core finds in it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

import run_folders
from fewepochs import store
from fewepochs.api import serving
from fewepochs.report import comparison, comparison_figure, cost_figure, curves_figure, figures, labels, summary
from report_runs import make_run
from visits import Open, Visit

pytestmark = pytest.mark.browser

TARGETS = (0.9, 0.97)


def some_runs() -> list[store.StoredRun]:
    return [make_run(f"batch_size={size}", seed=seed, drop_after=9) for size in (32, 64) for seed in range(3)]


def settled(opened: Visit) -> Visit:
    """Wait until the first panel of curves is live."""
    opened.settle("[data-numbers]")
    return opened


def column(opened: Visit, table: str, number: int) -> list[str]:
    rows = opened.tab.locator(f"#{table} tbody tr:visible")
    return [rows.nth(k).locator("th, td").nth(number).inner_text() for k in range(rows.count())]


# --- switches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "stroke"), [("show_training", "var(--training)"), ("show_validation", "var(--validation)")]
)
def test_a_part_that_is_switched_off_is_not_drawn_and_comes_back(visit: Open, switch: str, stroke: str) -> None:
    opened = settled(visit(*some_runs()))
    lines = f"document.querySelectorAll('[data-numbers] > div .mark-line path[stroke=\"{stroke}\"]').length"
    before = opened.tab.evaluate(lines)
    opened.tab.locator(f"[data-switch={switch}]").uncheck()
    opened.tab.wait_for_function(f"{lines} === 0")
    opened.tab.locator(f"[data-switch={switch}]").check()
    opened.tab.wait_for_function(f"{lines} === {before}")

    assert before > 0
    assert opened.messages == []


def test_a_recipe_that_is_switched_off_leaves_the_figures_of_all_recipes(visit: Open) -> None:
    runs = some_runs()
    opened = visit(*runs)
    opened.settle("[data-figure=spec-survival]")
    first = f'.mark-line path[stroke="{figures.COLOURS[0]}"]'
    lines = f"document.querySelector('[data-figure=spec-survival] > div').querySelectorAll('{first}').length"
    before = opened.tab.evaluate(lines)
    opened.tab.locator("[data-arm]").first.uncheck()
    opened.tab.wait_for_function(f"{lines} === 0")
    opened.tab.locator("[data-arm]").first.check()
    opened.tab.wait_for_function(f"{lines} === {before}")

    assert before == len(TARGETS)
    assert opened.messages == []


def test_without_single_runs_the_medians_stay(visit: Open) -> None:
    opened = settled(visit(*some_runs()))
    blue = "querySelectorAll('.mark-line path[stroke=\"var(--validation)\"]').length"
    lines = f"document.querySelector('[data-numbers] > div').{blue}"
    assert opened.tab.evaluate(lines) == 2 * (3 + 1)
    opened.tab.locator("[data-switch=show_runs]").uncheck()
    opened.tab.wait_for_function(f"{lines} === 2")


def test_the_loss_can_be_seen_on_the_other_kind_of_axis(visit: Open) -> None:
    opened = settled(visit(*some_runs()))
    box = opened.tab.locator("[data-log]")
    ticks = (
        "[...document.querySelectorAll('[data-numbers] > div .role-axis-label text')].map(t => t.textContent).join(' ')"
    )
    before = opened.tab.evaluate(ticks)
    box.set_checked(not box.is_checked())
    opened.tab.wait_for_function(f"{ticks} !== {before!r}")

    assert opened.messages == []


def test_smoothing_is_off_until_it_is_chosen_and_then_a_running_median(visit: Open) -> None:
    opened = settled(visit(*some_runs()))
    line = "document.querySelector('[data-numbers] > div .mark-line path').getAttribute('d')"
    before = opened.tab.evaluate(line)
    assert opened.tab.locator("[data-smooth]").input_value() == "1"
    opened.tab.locator("[data-smooth]").select_option("5")
    opened.tab.wait_for_function(f"{line} !== {before!r}")
    opened.tab.locator("[data-smooth]").select_option("1")
    opened.tab.wait_for_function(f"{line} === {before!r}")


# --- tables ---------------------------------------------------------------------------------------------------------


def test_a_table_sorts_by_numbers_down_and_up_with_words_last(visit: Open) -> None:
    runs = [make_run(seed=0), make_run(seed=1, plateau=0.93), make_run(seed=2), make_run(seed=3, drop_after=13)]
    opened = visit(*runs)
    head = opened.tab.locator("#table-crossings thead button").nth(2)
    head.click()
    rising = column(opened, "table-crossings", 2)
    head.click()
    falling = column(opened, "table-crossings", 2)
    numbers = [int(text.split()[0]) for text in rising if text[0].isdigit()]

    assert numbers == sorted(numbers)
    assert [int(text.split()[0]) for text in falling if text[0].isdigit()] == sorted(numbers, reverse=True)
    assert rising[-1] == falling[-1] == "not within 20"
    assert opened.tab.locator("#table-crossings th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_recipes_sort_by_what_they_need_with_those_that_never_get_there_last(visit: Open) -> None:
    joules = {32: 90.0, 64: 250.0, 128: 20.0, 256: 1500.0}
    runs = [make_run(f"batch_size={size}", seed=s, joules=of) for size, of in joules.items() for s in range(2)]
    runs += [make_run("batch_size=512", seed=s, joules=1.0, plateau=0.5) for s in range(2)]
    found = comparison.build(runs, targets=(0.92,), by="joules")
    opened = visit(*runs, found=found)
    medians = {row["arm"]: row["median"]["value"] for row in found["rows"]}
    for falling in (False, True):
        opened.tab.locator("#table-together thead button").nth(3).click()
        *known, last = [medians[arm] for arm in column(opened, "table-together", 0)]

        assert last is None
        assert known == sorted(known, reverse=falling)


def test_a_table_is_sorted_by_keyboard(visit: Open) -> None:
    opened = visit(*some_runs())
    before = column(opened, "table-runs", 0)
    opened.tab.locator("#table-runs thead button").first.focus()
    opened.tab.keyboard.press("Enter")
    opened.tab.keyboard.press("Space")

    assert column(opened, "table-runs", 0) == sorted(before, reverse=True)


def test_a_table_shows_the_rows_that_hold_all_words(visit: Open) -> None:
    runs = some_runs()
    opened = visit(*runs)
    field = opened.tab.locator("p:has(+ .scroll #table-crossings) input")
    field.fill(f"  {runs[4].name.upper()}  finished")
    assert column(opened, "table-crossings", 0) == []
    field.fill(runs[4].name.upper())

    assert column(opened, "table-crossings", 0) == [runs[4].name] * 2
    assert opened.tab.locator("p:has(+ .scroll #table-crossings) [role=status]").inner_text() == "2 of 12 rows"
    field.fill("")
    assert len(column(opened, "table-crossings", 0)) == 12


# --- numbers, links, paper --------------------------------------------------------------------------------------------


def wanted(name: str, runs: list[store.StoredRun]) -> list[dict[str, Any]]:
    """Return the numbers of a figure as the other side, in Python, hands them on."""
    groups, found = labels.group(labels.label(runs)), comparison.build(runs, targets=TARGETS)
    if name == "numbers-1":
        return figures.rows(figures.specification(curves_figure.figure(groups[:1], targets=TARGETS)))
    data = summary.build(runs, targets=TARGETS)
    figure = comparison_figure.figure(found) if name == "spec-survival" else cost_figure.figure(data, found)
    assert figure is not None
    return figures.rows(figures.specification(figure))


@pytest.mark.parametrize("name", ["numbers-1", "spec-survival", "spec-cost"])
def test_a_figures_numbers_come_down_as_csv(visit: Open, tmp_path: Path, name: str) -> None:
    runs = [*some_runs(), make_run("batch_size=32", seed=9, folder='a "quoted", name')]
    opened = settled(visit(*runs))
    with opened.tab.expect_download() as coming:
        opened.tab.locator(f"[data-csv='{name}']").click()
    coming.value.save_as(tmp_path / "numbers.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "numbers.csv").read_text(encoding="utf-8"))))

    assert coming.value.suggested_filename == f"{name}.csv"
    assert [{k: read(v) for k, v in row.items()} for row in rows] == [
        {k: read(told(v)) for k, v in row.items()} for row in wanted(name, runs)
    ]
    assert opened.messages == []


def told(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def read(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def test_every_part_has_a_link_to_itself(visit: Open) -> None:
    opened = visit(*some_runs())
    parts = opened.tab.evaluate(
        "() => [...document.querySelectorAll('h2')].map(h => [h.id, h.querySelector('a').hash])"
    )

    assert len(parts) >= 9
    assert all(link == f"#{name}" for name, link in parts)
    links = opened.tab.evaluate("() => [...document.querySelectorAll('nav a')].map(a => a.hash)")
    assert [link for link in links if opened.tab.locator(link).count() != 1] == []


def test_paper_has_neither_switches_nor_buttons(visit: Open) -> None:
    opened = settled(visit(*some_runs()))
    opened.tab.emulate_media(media="print")

    assert opened.tab.locator("nav, .controls, .tools, .anchor").count() > 4
    assert opened.tab.locator("nav:visible, .controls:visible, .tools:visible, .anchor:visible").count() == 0
    assert opened.tab.locator("#together:visible").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    opened = settled(visit(*some_runs(), color_scheme=scheme, bypass_csp=True))
    for closed in opened.tab.locator("summary").all():
        closed.click()
    found = axe.Axe().run(opened.tab).response["violations"]

    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


def test_a_served_page_loads_itself_again_when_a_run_has_grown(chromium: Any, tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "runs" / "run", epochs=2)
    with serving.page([tmp_path / "runs"], out=tmp_path, targets=(), port=0) as address:
        tab = chromium.new_page()
        tab.goto(address)
        assert tab.locator("#table-runs tbody td").nth(2).inner_text().startswith("2 of")
        folder.append(run_folders.epoch(3), run_folders.cost(3))
        tab.wait_for_function(
            "() => document.querySelectorAll('#table-runs tbody td')[2].textContent.startsWith('3 of')"
        )
        tab.close()
