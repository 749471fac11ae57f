"""What a run says: lines that stand as written here, in a log, in a terminal, and to a reader that has gone away."""

from __future__ import annotations

import errno
import io
import json
import os
from dataclasses import dataclass
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import make_run
from rich.console import Console

from fewepochs.records import CostRecord, EpochRecord
from fewepochs.report import console, summary
from recipe_samples import FULL, parse

RECIPE = parse(FULL, "targets=[0.8, 0.9]", "budget.epochs=100")


@dataclass
class Progress:
    """A loop that stands still."""

    epoch: int = 2
    step: int = 3
    steps_per_epoch: int = 10
    phase: str = "training"


def record(epoch: int, *, val_acc: float = 0.75, test_acc: float | None = None) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        step=10 * epoch,
        loss=1.23456,
        acc=0.5,
        val_loss=0.98765,
        val_acc=val_acc,
        test_loss=None if test_acc is None else 1.0,
        test_acc=test_acc,
        penalty=0.0,
        lr_first=1e-3,
        lr_last=3.1622776601683795e-4,
        lr_logged=1e-3,
    )


def cost(epoch: int, *, joules: float | None = None, memory: int | None = None) -> CostRecord:
    return CostRecord(
        epoch=epoch,
        setup_seconds=0.0,
        train_seconds=212.4,
        evaluation_seconds=1.0,
        images_per_second=235.6,
        joules=joules,
        peak_memory_bytes=memory,
    )


# --- lines ------------------------------------------------------------------------------------------------------


def test_an_epochs_line_has_kerass_names_in_kerass_order() -> None:
    line = console.epoch_line(record(2), cost(2), recipe=RECIPE)
    assert line == (
        "epoch   2/100  loss 1.2346  acc 0.5000  val_loss 0.9877  val_acc 0.7500  lr 0.000316228  4 min  236 img/s"
    )


def test_an_epochs_line_has_the_test_accuracy_where_there_is_one_and_no_cost_where_there_is_none() -> None:
    line = console.epoch_line(record(100, test_acc=0.7), None, recipe=RECIPE)
    assert line == (
        "epoch 100/100  loss 1.2346  acc 0.5000  val_loss 0.9877  val_acc 0.7500  test_acc 0.7000  lr 0.000316228"
    )


def test_a_run_begins_with_what_decides_it() -> None:
    assert console.start_line(RECIPE, name="full-s3-abc", done=()) == (
        "full-s3-abc: training of 100, batch 32, float32, validated on 300 held-out training images (split seed 1); "
        "seeds: init 4 order 5 augmentation 6 dropout 7"
    )
    assert "full: resuming after epoch 2 of 100," in console.start_line(
        RECIPE, name="full", done=(record(1), record(2))
    )


@pytest.mark.parametrize(
    ("accuracies", "targets", "expected"),
    [
        ([], [0.9], ""),
        ([0.5], [], "best 0.5000 @1"),
        ([0.5, 0.75, 0.75, 0.6], [0.9, 0.8], "best 0.7500 @2, 0.0500 to 0.8"),
        ([0.5, 0.85], [0.9, 0.8], "best 0.8500 @2, 0.0500 to 0.9"),
        ([0.9], [0.9, 0.8], "best 0.9000 @1, all targets reached"),
    ],
)
def test_the_standing_is_the_best_and_the_way_to_the_next_target(
    accuracies: list[float], targets: list[float], expected: str
) -> None:
    records = [record(k, val_acc=accuracy) for k, accuracy in enumerate(accuracies, start=1)]
    assert console.standing(records, targets=targets) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ""),
        (cost(1), ""),
        (cost(1, memory=3 << 30), "3.0 GiB"),
        (cost(1, joules=12.6), "13 J"),
        (cost(1, joules=0.0, memory=1 << 29), "0.5 GiB  0 J"),
    ],
)
def test_needs_are_what_was_measured(given: CostRecord | None, expected: str) -> None:
    assert console.needs(given) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (93.4, "93 s"),
        (119, "119 s"),
        (120, "2 min"),
        (121, "3 min"),
        (3540, "59 min"),
        (3541, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (3725, "1 h 03 min"),
        (86_400, "24 h 00 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_a_duration_is_what_people_say(seconds: float, expected: str) -> None:
    assert console.duration(seconds) == expected


@given(st.floats(0, 1e9))
def test_a_duration_is_short_and_never_less_than_it_was(seconds: float) -> None:
    text = console.duration(seconds)
    assert len(text) <= 16
    number, _, rest = text.partition(" ")
    if rest == "min":
        assert int(number) * 60 >= seconds


# --- pace -------------------------------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    pace = console.Pace()
    pace.see(0, at=0.0)
    assert pace.text(left=10, batch_size=4) == "..."
    for second in range(1, 101):
        pace.see(min(second, 50) * 10 + max(second - 50, 0) * 2, at=float(second))
    assert pace.rate() == pytest.approx(2.0)
    assert pace.text(left=240, batch_size=4) == "8 img/s  2 min left"


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**6)), min_size=1, max_size=20),
    st.integers(0, 10**6),
    st.integers(1, 1000),
)
def test_the_time_left_is_never_negative(moves: list[tuple[float, int]], left: int, batch_size: int) -> None:
    """A monotonic clock never runs back; it may stand still, and so may the steps."""
    pace, clock, steps = console.Pace(), 0.0, 0
    for seconds, done in moves:
        clock, steps = clock + seconds, steps + done
        pace.see(steps, at=clock)
        text = pace.text(left=left, batch_size=batch_size)
        assert "-" not in text
        assert "nan" not in text
        assert text == "..." or text.endswith(" left")


# --- views ------------------------------------------------------------------------------------------------------


def watch(view: console.View, *, epochs: int = 2, done: int = 0) -> None:
    """Show a run."""
    with view:
        before = tuple(record(k) for k in range(1, done + 1))
        view.start(RECIPE, name="full-s3", done=before, progress=Progress())
        view.note("a note")
        for k in range(done + 1, done + epochs + 1):
            view.epoch(record(k), cost(k))


def test_a_plain_view_writes_a_line_an_epoch_and_flushes_it() -> None:
    class Log(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue().splitlines())

    log = Log()
    watch(console.PlainView(log), epochs=3)
    lines = log.getvalue().splitlines()
    assert [line[:12] for line in lines] == [
        "full-s3: tra",
        "a note",
        "epoch   1/10",
        "joules are n",
        "epoch   2/10",
        "epoch   3/10",
    ]
    assert log.flushed == len(lines)
    assert "\r" not in log.getvalue()
    assert "\x1b" not in log.getvalue()
    assert log.getvalue().endswith("\n")


def test_a_verbose_view_tells_what_was_done_before() -> None:
    quiet, verbose = io.StringIO(), io.StringIO()
    watch(console.PlainView(quiet), done=2)
    watch(console.PlainView(verbose, verbose=True), done=2)
    assert [line[:11] for line in verbose.getvalue().splitlines()[1:3]] == ["epoch   1/1", "epoch   2/1"]
    assert len(verbose.getvalue().splitlines()) == len(quiet.getvalue().splitlines()) + 2


def test_missing_joules_are_explained_once_and_measured_ones_are_not() -> None:
    log = io.StringIO()
    view = console.PlainView(log)
    view.start(RECIPE, name="full-s3", done=(), progress=Progress())
    view.epoch(record(1), cost(1, joules=12.0))
    assert "joules" not in log.getvalue()
    assert "12 J" in log.getvalue()
    for k in (2, 3):
        view.epoch(record(k), cost(k).model_copy(update={"joules_reason": "no sensor"}))
    assert log.getvalue().count("joules are not measured: no sensor\n") == 1


def test_a_message_cannot_command_the_terminal() -> None:
    log = io.StringIO()
    console.PlainView(log).note("\x1b[31mred\x07 \u202ecod")
    assert log.getvalue() == "\\x1b[31mred\\x07 \\u202ecod\n"


def closed_pipe() -> TextIO:
    """Return a stream whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=1)


def test_a_reader_that_has_gone_does_not_disturb_training() -> None:
    for kind in (console.PlainView, console.JsonView):
        stream = closed_pipe()
        watch(kind(stream))
        with pytest.raises(BrokenPipeError):
            stream.close()
        watch(kind(stream))  # closed altogether


def test_a_terminal_that_has_gone_does_not_disturb_training() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    watch(console.PlainView(Gone()))
    watch(console.JsonView(Gone()))


def test_a_json_view_writes_objects_that_repeat_the_records() -> None:
    log = io.StringIO()
    watch(console.JsonView(log), done=1)
    events = [json.loads(line, parse_constant=pytest.fail) for line in log.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["start", "note", "epoch", "epoch"]
    assert {event["run"] for event in events} == {"full-s3"}
    assert (events[0]["epochs_done"], events[0]["budget"]) == (1, 100)
    assert EpochRecord.model_validate(events[2]["record"]) == record(2)
    assert CostRecord.model_validate(events[3]["cost"]) == cost(3)


def test_the_silent_view_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    watch(console.view("off"))
    assert capfd.readouterr() == ("", "")


def test_json_goes_to_stdout_and_everything_else_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    watch(console.view("plain"))
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 5
    watch(console.view("json"))
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 4
    assert err == ""


# --- in a terminal ----------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal for stderr."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"TERM": "xterm"}, console.RichView),
        ({"TERM": "dumb"}, console.PlainView),
        ({"TERM": "xterm", "CI": "true"}, console.PlainView),
        ({"TERM": "xterm", "NO_COLOR": "1"}, console.RichView),
    ],
)
def test_auto_is_rich_only_on_a_terminal_that_can(
    variables: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert type(console.view("auto")) is kind
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(console.view("auto")) is console.PlainView


def terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Terminal:
    """Let rich believe in a terminal of 160 columns; return what is written to it."""
    screen = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", screen)
    return screen


def test_a_rich_view_draws_a_bar_under_lines_that_scroll(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    view = console.RichView()
    progress = Progress()
    with view:
        view.start(RECIPE, name="full-s3", done=(), progress=progress)
        view.epoch(record(1), cost(1, memory=1 << 30))
        for step in (3, 4, 9):
            progress.step = step
            view._live.refresh()
        progress.phase = "evaluation"
        view._live.refresh()
    text = screen.getvalue()
    assert "full-s3: training of 100" in text
    assert "epoch   1/100  loss 1.2346" in text
    assert "epoch 2/100" in text
    assert "step 9/10" in text
    assert "━" in text
    assert "left" in text
    assert "evaluation" in text
    assert "1.0 GiB" in text
    assert "best 0.7500 @1, 0.0500 to 0.8" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, NO_COLOR="1")
    watch(console.RichView())
    assert "epoch   2/100" in screen.getvalue()
    for code in ("\x1b[3", "\x1b[4", "\x1b[9", "\x1b[38"):
        assert code not in screen.getvalue().replace("\x1b[?25", "")


def test_the_live_line_fits_a_narrow_terminal_and_says_before_the_first_step_that_it_prepares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal(monkeypatch)
    view = console.RichView()
    paper = Console(file=io.StringIO(), width=40, force_terminal=True)
    paper.print(view._draw())
    assert "preparing" in paper.file.getvalue()  # type: ignore[attr-defined]
    view.start(RECIPE, name="full-s3", done=(), progress=Progress())
    for width in (10, 40, 80, 200):
        paper = Console(file=io.StringIO(), width=width)
        paper.print(view._draw())
        assert all(len(line) <= width for line in paper.file.getvalue().splitlines())  # type: ignore[attr-defined]


def test_a_rich_view_outlives_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError(errno.EIO, "gone"), BrokenPipeError()):
        screen = terminal(monkeypatch)

        def fail(_text: str, _error: OSError = error) -> int:
            raise _error

        with console.RichView() as view:
            view.start(RECIPE, name="full-s3", done=(), progress=Progress())
            screen.write = fail  # type: ignore[method-assign]
            view.note("nobody reads this")
            view.epoch(record(1), cost(1))


# --- after a run ------------------------------------------------------------------------------------------------


def test_the_summary_is_answers_then_a_table_then_caveats() -> None:
    runs = [make_run(seed=0), make_run(seed=1, plateau=0.93, joules=10.0)]
    lines = console.summary_lines(summary.build(runs, targets=(0.97,)))
    assert lines[:3] == [
        "digits-step reaches 0.97 after 15 epochs (1 of 2 runs); not reached in 1 of 2 runs within 20 epochs.",
        "  validated on the data set's test images",
        "",
    ]
    head, first, second = lines[3:6]
    assert head.split() == ["run", "state", "epochs", "best", "val_acc", "first/held", "training", "joules"]
    assert first.split()[1:] == ["finished", "20/20", "0.9817", "@19", "0.97:", "15/15", "53", "s", "not", "measured"]
    assert second.split()[5:7] == ["0.97:", ">20/>20"]
    assert second.endswith("200")
    assert all(line.startswith("note: ") for line in lines[7:])
    assert len(lines) > 7


def test_a_pinned_crossing_is_starred_and_a_run_without_epochs_has_dashes() -> None:
    runs = [make_run(drop_after=14), make_run(epochs=0, state="crashed", seed=1)]
    lines = console.summary_lines(summary.build(runs, targets=(0.97,)))
    pinned, empty = (next(line for line in lines if line.startswith(run.name)) for run in runs)
    assert "0.97: 15*/15*" in pinned
    assert empty.split()[1:] == ["crashed", "0/20", "-", "0.97:", ">0/>0", "-", "not", "measured"]
