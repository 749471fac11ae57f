"""What the machine has for a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewepochs import runtime


@pytest.mark.parametrize(
    ("flags", "there"), [("avx512f avx512_bf16 vaes", True), ("amx_bf16", True), ("avx2 fma", False), ("", False)]
)
def test_bfloat16_is_there_where_the_processor_says_it_has_it(flags: str, there: bool, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"model name : one\nflags\t\t: fpu {flags}\n")
    reason = runtime.bfloat16_missing(file)
    assert (reason is None) == there
    assert reason is None or reason.startswith("this processor has no bfloat16 instructions")


def test_where_the_processor_says_nothing_that_is_the_reason(tmp_path: Path) -> None:
    reason = runtime.bfloat16_missing(tmp_path / "cpuinfo")
    assert reason is not None
    assert reason.startswith("whether this processor has bfloat16 is unknown")
