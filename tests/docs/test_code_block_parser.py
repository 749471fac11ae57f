"""The parser of code blocks, and what it lets through."""

from __future__ import annotations

from pathlib import Path

import code_blocks
import pytest
import shell_lines
from code_blocks import Block, Command

PAGE = """
<!-- slow, numbers vary -->
```console
$ fewepochs train a \\
    --seed 1   # a comment
done
$ ls
```

<!-- not run: needs a cluster -->

```console
$ sbatch
```

```toml
# mine/a.toml
name = "a"
```
"""


@pytest.fixture
def found(tmp_path: Path) -> list[Block]:
    (tmp_path / "page.md").write_text(PAGE)
    return code_blocks.blocks(tmp_path / "page.md")


def test_blocks_have_their_marks_and_places(found: list[Block]) -> None:
    assert [(block.language, block.line) for block in found] == [("console", 3), ("console", 12), ("toml", 16)]
    assert [block.slow for block in found] == [True, False, False]
    assert [block.numbers_vary for block in found] == [True, False, False]
    assert [block.not_run for block in found] == [None, "needs a cluster", None]
    assert [block.file for block in found] == [None, None, "mine/a.toml"]


def test_a_command_has_its_further_lines_and_its_output(found: list[Block]) -> None:
    assert code_blocks.commands(found[0]) == [
        Command("fewepochs train a \\\n    --seed 1   # a comment", ("done",)),
        Command("ls"),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("a",), "a\n", True),
        (("a",), "a\nb\n", False),
        (("a", "..."), "a\nb\nc\n", True),
        (("a", "..."), "a\n", True),
        (("a ... c",), "a b c\n", True),
        (("a ... c",), "a b\nc\n", False),
        (("a",), "a  \n\n", True),
        ((" a",), "a\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(shown: tuple[str, ...], printed: str, same: bool) -> None:
    assert code_blocks.agrees(shown, printed) is same


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("best 0.98 of", "1,137"), "best 0.9733  of 36\n", True),
        (("best 0.98",), "worst 0.98\n", False),
        (("best 0.98", "..."), "best 0.1\nand more\n", True),
    ],
)
def test_where_numbers_vary_only_words_are_compared(shown: tuple[str, ...], printed: str, same: bool) -> None:
    assert code_blocks.agrees(shown, printed, numbers=False) is same


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("fewepochs train a --seed 1  # fewepochs b", [["train", "a", "--seed", "1"]]),
        ("X=1 fewepochs show runs | head && fewepochs recipes > a", [["show", "runs"], ["recipes"]]),
        (
            """fewepochs train a --set 'schedule={kind="cosine"}' \\\n -q""",
            [["train", "a", "--set", 'schedule={kind="cosine"}', "-q"]],
        ),
        ("sbatch --wrap 'fewepochs study run FILE'", []),
        ("ls fewepochs", []),
    ],
)
def test_calls_of_the_command_are_found_in_a_line(line: str, arguments: list[list[str]]) -> None:
    assert list(shell_lines.calls(line)) == arguments


@pytest.mark.parametrize(
    "arguments", ["train a --seeed 1", "trian a", "study rum a", "train", "train a --seed one", "train a b", "--nope"]
)
def test_a_command_that_does_not_exist_is_refused(arguments: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        shell_lines.check(arguments.split())


@pytest.mark.parametrize("arguments", ["train a --seed 1", "study run a", "recipes", "recipes show a", "--version"])
def test_a_command_that_exists_is_let_through_and_not_carried_out(arguments: str) -> None:
    shell_lines.check(arguments.split())


@pytest.mark.parametrize("arguments", ["train", "study run", "resume --strict", "study"])
def test_a_mention_may_leave_arguments_out(arguments: str) -> None:
    shell_lines.check(arguments.split(), whole=False)
