"""The page in Chromium: draws under its own policy, asks for nothing, and shows text as text."""

from __future__ import annotations

import pytest

from fewepochs.report import page
from report_runs import make_run
from visits import LIVE, Open

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def test_figures_draw_under_the_policy_without_a_message_or_a_request(visit: Open) -> None:
    opened = visit(*(make_run(f"batch_size={size}", drop_after=9) for size in (32, 64)))
    opened.settle()
    opened.tab.wait_for_function("() => document.querySelectorAll('.picture > div svg').length >= 2")

    assert opened.messages == []
    assert [url for url in opened.requests if not url.endswith("/report.html")] == []
    assert len(opened.requests) == 1


def test_figures_of_many_runs_are_drawn_without_being_scrolled_to(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MANY", 3)
    opened = visit(*(make_run(f"batch_size={size}", seed=seed) for size in (32, 64, 128) for seed in range(2)))
    every = "[...document.querySelectorAll('[data-numbers], [data-figure]')].every(box => box.querySelector('div svg'))"
    opened.tab.wait_for_function(f"() => {every}")

    assert opened.tab.locator(LIVE).count() == 6
    assert opened.tab.locator("text=which has not run").count() == 0
    assert opened.messages == []
    assert opened.tab.evaluate("() => scrollY") == 0


def test_the_policy_is_in_force(visit: Open) -> None:
    opened = visit(make_run())
    opened.settle()
    opened.tab.evaluate(
        """() => {
          const script = document.createElement("script");
          script.text = "window.x = 1";
          document.body.append(script);
          new Image().src = "https://example.invalid/x.png";
        }"""
    )

    assert opened.tab.evaluate("() => window.x") is None
    assert sum("Content Security Policy" in message for message in opened.messages) == 2


def test_a_live_figure_has_a_line_for_each_run_and_part_and_their_medians(visit: Open) -> None:
    opened = visit(make_run(), make_run(seed=1), make_run(seed=2, epochs=0, state="crashed"))
    opened.settle("[data-numbers]")
    lines = "[...document.querySelectorAll('[data-numbers] > div .mark-line path')]"
    strokes = opened.tab.evaluate(f"() => {lines}.map(path => path.getAttribute('stroke'))")
    runs, medians = 2, 1

    assert strokes.count("var(--training)") == strokes.count("var(--validation)") == 2 * (runs + medians)


def test_a_pointer_shows_run_epoch_and_value(visit: Open) -> None:
    run = make_run()
    opened = visit(run)
    opened.settle()
    box = opened.tab.locator(LIVE).bounding_box()
    opened.tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.25 * box["height"])
    opened.tab.wait_for_selector("#vg-tooltip-element.visible")
    rows = opened.tab.locator("#vg-tooltip-element tr").all_inner_texts()
    said = dict(row.split("\t") for row in rows)
    record = run.epochs[int(said["epoch"]) - 1]

    assert said["run"] == run.name
    assert said["accuracy"] == f"{record.val_acc if said['part'] == 'validation' else record.acc:.4f}"
    assert opened.messages == []


def test_hostile_names_are_text_in_page_figure_and_tooltip(visit: Open) -> None:
    run = make_run(folder=HOSTILE.replace("/", "\u2215"), reason=HOSTILE, state="crashed")
    opened = visit(run)
    opened.settle()
    box = opened.tab.locator(LIVE).bounding_box()
    opened.tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.25 * box["height"])
    opened.tab.wait_for_selector("#vg-tooltip-element.visible")

    assert opened.tab.locator("#table-runs tbody th").inner_text() == run.name
    assert opened.tab.locator("#table-runs tbody td.text").inner_text() == f"crashed: {HOSTILE}"
    assert run.name in opened.tab.locator("#vg-tooltip-element").inner_text()
    assert opened.dialogs == opened.messages == []
    assert opened.tab.locator("img").count() == 0
    assert len(opened.requests) == 1


def test_light_and_dark_follow_the_reader_figures_included(visit: Open) -> None:
    light, dark = visit(make_run(), color_scheme="light"), visit(make_run(), color_scheme="dark")
    for opened in (light, dark):
        opened.settle()
    line = ".picture > div .mark-line path"

    assert light.style("body", "backgroundColor") == "rgb(253, 252, 250)"
    assert dark.style("body", "backgroundColor") == "rgb(23, 22, 21)"
    assert (light.style(line, "stroke"), dark.style(line, "stroke")) == ("rgb(179, 38, 30)", "rgb(255, 139, 128)")


def test_paper_is_white_for_a_reader_in_the_dark(visit: Open) -> None:
    opened = visit(make_run(), color_scheme="dark")
    opened.settle()
    opened.tab.emulate_media(media="print", color_scheme="dark")

    assert opened.style("body", "backgroundColor") == "rgb(255, 255, 255)"
    assert opened.style(".picture > div .mark-line path", "stroke") == "rgb(179, 38, 30)"
    assert opened.tab.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_every_table_fits_the_paper(visit: Open) -> None:
    between_margins = round((210 - 2 * 16) / 25.4 * 96)
    opened = visit(
        *(make_run(f"batch_size={size}", seed=s) for size in (32, 64) for s in (0, 1)), width=between_margins
    )
    opened.tab.emulate_media(media="print")
    ends = "[...document.querySelectorAll('table[data-sorted]')].map(t => [t.id, t.getBoundingClientRect().right])"

    assert [name for name, right in opened.tab.evaluate(f"() => {ends}") if right > between_margins] == []


@pytest.mark.parametrize("width", [320, 375, 768])
def test_narrow_windows_do_not_scroll_sideways(visit: Open, width: int) -> None:
    named = [make_run(f"name={'n' * 75}{size}", f"batch_size={size}") for size in (16, 32)]
    opened = visit(make_run(), make_run(folder="n" * 300, seed=1), *named, width=width)
    opened.settle()

    assert opened.tab.evaluate("() => document.documentElement.scrollWidth") <= width
    assert opened.tab.evaluate(f"() => document.querySelector('{LIVE}').getBoundingClientRect().right") <= width


@pytest.mark.parametrize("width", [768, 1280])
def test_a_legend_of_many_recipes_is_no_wider_than_its_figure(visit: Open, width: int) -> None:
    opened = visit(*(make_run(f"batch_size={2**k}", seed=s) for k in range(2, 8) for s in range(2)), width=width)
    opened.settle("[data-figure]")
    svg = opened.tab.locator("[data-figure] > div svg").first

    assert svg.evaluate("svg => svg.viewBox.baseVal.width <= svg.parentNode.clientWidth + 8")


def test_figures_follow_the_width_of_the_window(visit: Open) -> None:
    opened = visit(make_run())
    opened.settle()
    before = opened.tab.locator(LIVE).bounding_box()["width"]
    opened.tab.set_viewport_size({"width": 500, "height": 900})
    opened.tab.wait_for_function(f"() => document.querySelector('{LIVE}').viewBox.baseVal.width < 500")

    assert before > 800


def test_without_scripts_the_still_picture_stays(visit: Open) -> None:
    opened = visit(make_run(), java_script_enabled=False)

    assert opened.tab.locator(".picture > svg").first.is_visible()
    assert opened.tab.locator("[data-numbers] > svg .mark-line path").count() == 5
    assert opened.messages == []


def test_the_page_can_be_read_by_keyboard(visit: Open) -> None:
    opened = visit(make_run())
    opened.tab.keyboard.press("Tab")
    assert opened.tab.evaluate("() => document.activeElement.className") == "skip"
    summary = opened.tab.locator("summary").first
    summary.focus()
    opened.tab.keyboard.press("Enter")

    assert opened.tab.locator("pre.recipe").first.is_visible()
    regions = opened.tab.locator(".scroll")
    assert regions.count() == opened.tab.locator(".scroll[tabindex='0'][role=region][aria-label]").count() > 3
