"""A command whose imports were done before it began ends as one that begins at the beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

import command_line
import fork_server
from command_line import TRAINING, run, run_afresh, tiny


@pytest.mark.parametrize("arguments", [("--version",), ("train", "digits-step", "--seeds=3..1"), ("show", "runs")])
def test_it_says_the_same_on_the_same_stream_with_the_same_code(arguments: tuple[str, ...], tmp_path: Path) -> None:
    forked, fresh = (begin(*arguments, folder=tmp_path) for begin in (run, run_afresh))

    assert (forked.args, forked.returncode) == (fresh.args, fresh.returncode)
    assert (forked.stdout, forked.stderr) == (fresh.stdout, fresh.stderr)


def test_it_trains_to_the_same_bits(tmp_path: Path) -> None:
    tiny(tmp_path)
    logs = []
    for name, begin in (("forked", run), ("fresh", run_afresh)):
        ended = begin("train", "tiny.toml", *TRAINING, "--set", "budget.epochs=2", "--out", name, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        logs.append([log.read_bytes() for log in tmp_path.glob(f"{name}/*/epochs.jsonl")])

    assert len(logs[0]) == 1
    assert logs[0] == logs[1]


def test_the_answer_to_a_wait_that_was_broken_off_is_not_the_next_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = fork_server.Forks(command_line.environment(tmp_path))
    asked = forks._process.stdin
    assert asked is not None

    def broken_off(request: str) -> str:
        print(request, file=asked, flush=True)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(forks, "_answer", broken_off)
        with pytest.raises(TimeoutError):
            forks.run("--version", folder=tmp_path)
    assert forks.run("show", "nothing", folder=tmp_path).returncode == 5
    forks.close()
