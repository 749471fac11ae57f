"""What a run says while it goes: plain, rich, as JSON, and to a reader that has gone away."""

from __future__ import annotations

import errno
import io
import json
import os
from typing import TextIO

import pytest
from console_samples import RECIPE, Progress, cost, record
from rich.console import Console

from fewepochs.records import CostRecord, EpochRecord
from fewepochs.report import console

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
            view._screen._live.refresh()
        progress.phase = "evaluation"
        view._screen._live.refresh()
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
