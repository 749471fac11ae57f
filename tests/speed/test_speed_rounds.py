"""Rounds of the speed benchmark: whose turn it is, when they end, who drops out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programmes import Log, Told, begun, peer, programme

from benchmarks.speed import measuring, turns
from benchmarks.speed.measuring import FEWEST_ROUNDS, Measured, Wishes

LONG = 60.0


def silent(_message: str) -> None:
    """Say nothing."""


def clock(step: float) -> Callable[[], float]:
    """Return a clock that goes on by `step` seconds whenever it is looked at."""
    looks: Iterator[int] = iter(range(10**6))
    return lambda: step * next(looks)


def play(of: turns.Programme, *told: Told, wishes: Wishes, step: float = 0.0) -> Measured:
    measured = begun(of)
    asked = {one.name: one for one in told}
    measuring.take_turns(of, asked, measured=measured, wishes=wishes, passed=clock(step), say=silent)
    return measured


@given(peers=st.integers(1, 5), rounds=st.integers(1, 6), warm_up=st.integers(0, 2))
def test_every_round_holds_each_turn_once_in_the_same_order(peers: int, rounds: int, warm_up: int) -> None:
    names, log = [f"p{n}" for n in range(peers)], Log()
    wishes = Wishes(rounds=rounds, steps=2, warm_up=warm_up)
    measured = play(programme(*((n,) for n in names)), *(Told(n, log) for n in names), wishes=wishes)
    assert log == [(what, name) for _ in range(warm_up + rounds) for name in names for what in ("ask", "answer")]
    assert measured.rounds == rounds
    assert {name: len(answers) for name, answers in measured.answers.items()} == dict.fromkeys(names, rounds)


def test_nobody_is_asked_while_another_works_unless_they_take_a_turn_together() -> None:
    log = Log()
    play(programme(("a", "b"), ("a",)), Told("a", log), Told("b", log), wishes=Wishes(rounds=1, warm_up=0))
    assert log == [("ask", "a"), ("ask", "b"), ("answer", "a"), ("answer", "b"), ("ask", "a"), ("answer", "a")]


def test_the_slowest_of_those_who_work_at_once_says_how_long_it_took() -> None:
    slow, quick = Told("slow", [], seconds=5.0), Told("quick", [], seconds=2.0)
    measured = play(programme(("quick", "slow")), quick, slow, wishes=Wishes(rounds=3))
    assert [answer["seconds"] for answer in measured.answers["quick+slow"]] == [5.0, 5.0, 5.0]


def test_questions_say_how_many_steps_and_whether_images_are_augmented() -> None:
    one = peer("a")
    of = turns.Programme((turns.Turn("with", (one,)), turns.Turn("without", (one,), augmented=False)), {})
    told = Told("a", [])
    play(of, told, wishes=Wishes(rounds=1, steps=4, warm_up=0))
    assert told.asked == [{"steps": 4, "augmented": True}, {"steps": 4, "augmented": False}]


def test_memory_is_a_fact_of_the_process_not_of_the_round() -> None:
    measured = play(programme(("a",)), Told("a", []), wishes=Wishes(rounds=4, warm_up=1))
    assert measured.facts["a"]["peak_memory_bytes"] == 5 * 1024
    assert measured.answers["a"] == [{"seconds": 1.0}] * 4


def test_who_fails_is_ended_and_left_out_and_the_others_go_on() -> None:
    log = Log()
    a, b, c = Told("a", log), Told("b", log, fails_at=3), Told("c", log)
    measured = play(programme(("a",), ("b",), ("b", "c"), ("c",)), a, b, c, wishes=Wishes(rounds=4, warm_up=0))
    # b fails in the first turn of round 2 (its third answer); "b+c" of that round is not taken.
    assert {name: len(answers) for name, answers in measured.answers.items()} == {"a": 4, "b": 1, "b+c": 1, "c": 4}
    assert measured.failed == {"b": "it has ended (exit status -9)"}
    assert (a.closed, b.closed, c.closed) == (False, True, False)


def test_an_answer_beside_one_that_failed_is_taken_and_not_left_for_the_next_question() -> None:
    log = Log()
    b, c = Told("b", log, fails_at=1), Told("c", log)
    measured = play(programme(("b", "c"), ("c",)), b, c, wishes=Wishes(rounds=1, warm_up=0))
    assert log == [("ask", "b"), ("ask", "c"), ("answer", "b"), ("answer", "c"), ("ask", "c"), ("answer", "c")]
    assert list(measured.answers) == ["c"]


def test_an_interruption_leaves_whole_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, of = Told("a", []), Told("b", []), programme(("a",), ("b",))
    measured = begun(of)

    def interrupted(question: Mapping[str, Any]) -> None:
        b.asked.append(question)
        if len(b.asked) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(b, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measuring.take_turns(
            of, {"a": a, "b": b}, measured=measured, wishes=Wishes(warm_up=0), passed=clock(0.0), say=silent
        )
    assert (measured.rounds, len(a.asked)) == (2, 3)
    assert {name: len(answers) for name, answers in measured.answers.items()} == {"a": 2, "b": 2}


def test_nobody_left_ends_it() -> None:
    measured = play(programme(("a",)), Told("a", [], fails_at=1), wishes=Wishes(rounds=9))
    assert (measured.rounds, measured.answers) == (0, {})


@pytest.mark.parametrize(
    ("minutes", "rounds"),
    [
        (10.0, 20),  # 20 rounds of 10 s: all
        (1.0, 6),  # a round of 10 s is begun up to 50 s
        (0.0, FEWEST_ROUNDS),
    ],
)
def test_rounds_end_where_another_would_not_end_in_time(minutes: float, rounds: int) -> None:
    """The clock goes on by 10 s a round, in which it is looked at before and after, and for the message."""
    looks = iter([seconds for n in range(40) for seconds in (10.0 * n, 10.0 * n + 10.0, 10.0 * n + 10.0)])
    measured, of = begun(programme(("a",))), programme(("a",))
    measuring.take_turns(
        of,
        {"a": Told("a", [])},
        measured=measured,
        wishes=Wishes(rounds=20, warm_up=0, minutes=minutes),
        passed=lambda: next(looks),
        say=silent,
    )
    assert measured.rounds == rounds


def test_whoever_has_another_network_takes_no_part() -> None:
    of = turns.Programme((turns.Turn("a", (peer("a", "ours"),)), turns.Turn("b", (peer("b", "keras"),))), {})
    measured = begun(of)
    measured.facts["b"]["trainable_parameters"] = 8
    measuring.refuse_other_networks(of, measured)
    assert measured.failed == {"b": "8 trainable parameters, ours has 7"}
    of = turns.Programme((of.turns[0], turns.Turn("b", (peer("b", "keras", depth=20),))), {})
    measured.failed.clear()
    measuring.refuse_other_networks(of, measured)
    assert measured.failed == {}, "of another depth: nothing to compare with"
