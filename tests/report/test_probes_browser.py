"""What probes found, in Chromium: figures of one panel and of many draw, at every width, and axe finds nothing."""

from __future__ import annotations

from typing import Any

import pytest

import probe_samples
from fewepochs.report import findings, page
from report_runs import make_run
from visits import Open, Visit

pytestmark = pytest.mark.browser

PART = "[aria-labelledby=probes]"
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def opened(visit: Open, **settings: Any) -> Visit:
    """Open a page of what every probe found, without still pictures, and wait until all of its figures are live."""
    found = [findings.of(one) for one in probe_samples.pages().values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "MANY", 0)
        seen = visit(make_run(), probes=found, **settings)
    boxes = seen.tab.locator(f"{PART} [data-figure]")
    for number in range(boxes.count()):
        boxes.nth(number).scroll_into_view_if_needed()
    every = f"[...document.querySelectorAll('{PART} [data-figure]')].every(box => box.querySelector('div svg'))"
    seen.tab.wait_for_function(f"() => {every}")
    return seen


def test_figures_draw_without_a_message_or_a_request_and_hold_every_panel(visit: Open) -> None:
    seen = opened(visit)
    assert seen.messages == []
    assert len(seen.requests) == 1
    assert seen.tab.locator(f"{PART} [data-figure]").count() == 5
    lines = "[data-figure=spec-probe-landscape] > div .mark-line path"
    assert seen.tab.locator(lines).count() == 2 * 2 + 2  # two curves on each of two lines, the path on either plane
    cells = "[data-figure=spec-probe-landscape] > div .mark-rect.role-mark path"
    assert seen.tab.locator(cells).count() == 2 * 4 * 4


@pytest.mark.parametrize("width", [320, 375, 768])
def test_narrow_windows_have_panels_below_one_another_and_do_not_scroll_sideways(visit: Open, width: int) -> None:
    seen = opened(visit, width=width)
    assert seen.tab.evaluate("() => document.documentElement.scrollWidth") <= width
    box = seen.tab.locator("[data-figure=spec-probe-landscape] > div svg").bounding_box()
    assert (box["height"] > 2 * box["width"]) is (width < 500)


def test_light_and_dark_follow_the_reader(visit: Open) -> None:
    line = "[data-figure=spec-probe-bn-split] > div .mark-line path"
    strokes = [opened(visit, color_scheme=scheme).style(line, "stroke") for scheme in ("light", "dark")]
    assert strokes == ["rgb(11, 87, 164)", "rgb(130, 182, 255)"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    seen = opened(visit, color_scheme=scheme, bypass_csp=True)
    for closed in seen.tab.locator("summary").all():
        closed.click()
    found = axe.Axe().run(seen.tab).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


def test_hostile_names_are_text(visit: Open) -> None:
    run = make_run(folder=HOSTILE.replace("/", "\u2215"))
    seen = visit(run, probes=[findings.of(make(run)) for make in (probe_samples.split, probe_samples.sharp)])
    seen.settle("[data-figure=spec-probe-sharpness]")
    assert run.name in seen.tab.locator(f"{PART} h3").first.inner_text()
    assert run.name in seen.tab.locator("[data-figure=spec-probe-sharpness] > div svg").text_content()
    assert seen.dialogs == seen.messages == []
    assert seen.tab.locator("img").count() == 0


def test_without_scripts_the_still_pictures_stay(visit: Open) -> None:
    found = [findings.of(probe_samples.slopes(make_run()))]
    seen = visit(make_run(), probes=found, java_script_enabled=False)
    assert seen.tab.locator("[data-figure=spec-probe-landscape] > svg").is_visible()
