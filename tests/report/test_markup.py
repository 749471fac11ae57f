"""Numbers as people read them, and data that no text in it can end."""

from __future__ import annotations

import json

import pytest

from fewepochs.report import markup


def test_no_text_can_end_the_data_block_that_holds_it() -> None:
    content = {"run": "</script><!-- & \u2028", "value": [0.1, 1]}
    block = str(markup.json_block(content))

    assert not set("<>&\u2028") & set(block)
    assert json.loads(block) == content


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 s"),
        (0.5214, "0.521 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (4095, "1 h 8 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, expected: str) -> None:
    assert markup._duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0 J"),
        (5.5, "5.5 J"),
        (999.4, "999 J"),
        (1000.0, "1 kJ"),
        (123_456.0, "123 kJ"),
        (1.5e13, "15,000 GJ"),
    ],
)
def test_joules_have_a_unit_that_keeps_them_short(value: float, expected: str) -> None:
    assert markup._scaled(value, 1000, ("J", "kJ", "MJ", "GJ")) == expected
