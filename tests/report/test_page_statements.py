"""What the page states: what a careful reader would object, once, and each seed as one observation."""

from __future__ import annotations

import pytest
from page_reader import Document

from fewepochs import store
from fewepochs.report import page
from report_runs import make_run


@pytest.fixture(autouse=True)
def _without_still_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MANY", 0)


def read(*runs: store.StoredRun) -> Document:
    return Document(page.render(runs, targets=(0.97,)))


def test_what_the_comparison_objects_is_on_the_page_once() -> None:
    sizes = tuple(8 * k for k in range(1, 10))
    diverged = make_run("batch_size=8", seed=2, epochs=3, state="diverged", reason="loss is not finite")
    document = read(*(make_run(f"batch_size={size}", seed=s) for size in sizes for s in range(2)), diverged)
    told = " ".join(document.texts["li"])

    assert told.count("each is compared with the first, digits-step (batch_size = 8), alone") == 1
    assert told.count("1 run diverged: counted as not there by the end of the budget") == 1
    assert told.count("diverged after 3 of 20 epochs (loss is not finite)") == 1
    assert told.count("chosen on the test set") == told.count("n = 2 for ") == 1
    assert any("diverged or was given up" in text for text in document.texts["p"])


def test_copies_of_one_seed_are_counted_once_all_over_the_page() -> None:
    document = read(*(make_run(seed=seed, folder=f"{where}-{seed}") for where in ("a", "b") for seed in range(2)))
    told = " ".join(document.texts["li"])

    assert "(2 of 2 runs)" in document.texts["li"][0]
    assert "of 4 runs" not in told
    assert told.count("b-0 has the recipe and seeds of a-0: one observation, counted once.") == 1
    assert document.texts["figcaption"][0].startswith("2 runs:")
    assert len(document.rows("table-runs")) == 4
