"""Code blocks of a Markdown page: where they are, what they are, and whether they are to be run.

A comment before a block says what a reader need not know:

    <!-- not run: needs CIFAR-10 -->     left out, with the reason
    <!-- slow -->                        run with `-m hours`, with all blocks of its page
    <!-- numbers vary -->                of what is printed, numbers and spacing may be others; also after "slow,"

A block whose first line is a comment with a file name and nothing else (`# mine.toml`) is that file: it lies in the
folder that the page's commands run in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?P<indent> *)```(?P<language>[\w-]*)\s*$")
MARK = re.compile(
    r"<!-- (?:not run: (?P<reason>\S.*)|(?P<slow>slow)|(?P<both>slow, numbers vary)|(?P<vary>numbers vary)) -->$"
)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
FILE = re.compile(r"# (?P<name>[\w./-]+\.\w+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: the `line` of its fence (1-based), its text, and what the comment before it says."""

    page: Path
    line: int
    language: str
    text: str
    slow: bool = False
    numbers_vary: bool = False
    not_run: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        found = FILE.match(self.text.partition("\n")[0])
        return None if found is None else found["name"]


@dataclass(frozen=True)
class Command:
    """A line of a session after its `$`, continuation lines included, and what it is shown to print."""

    text: str
    output: tuple[str, ...] = ()

    @property
    def shows_exit_code(self) -> bool:
        return "$?" in self.text


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of `page` in their order."""
    return list(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    number = 0
    before = ""
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if opened is None:
            before = lines[number].strip() or before
            number += 1
            continue
        end = next(k for k in range(number + 1, len(lines)) if lines[k].strip() == "```")
        text = "\n".join(line.removeprefix(opened["indent"]) for line in lines[number + 1 : end]) + "\n"
        said = found.groupdict() if (found := MARK.match(before)) else {}
        yield Block(
            page=page,
            line=number + 1,
            language=opened["language"],
            text=text,
            slow=bool(said.get("slow") or said.get("both")),
            numbers_vary=bool(said.get("vary") or said.get("both")),
            not_run=said.get("reason"),
        )
        before = ""
        number = end + 1


def commands(block: Block) -> list[Command]:
    """Return the commands of a `console` block; a line that ends in a backslash goes on in the next."""
    found: list[Command] = []
    open_line = False
    for line in block.text.splitlines():
        if open_line:
            found[-1] = Command(f"{found[-1].text}\n{line}")
        elif line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        else:
            assert found, f"{block.place}: output before any command"
            found[-1] = Command(found[-1].text, (*found[-1].output, line))
            continue
        open_line = line.endswith("\\")
    return found


def agrees(shown: tuple[str, ...], printed: str, *, numbers: bool = True) -> bool:
    r"""Return whether `printed` is what is `shown`; `...` stands for anything in a line, alone for any lines.

    Without `numbers` any number may stand for any other, and only words count, not how they are set in lines.

    >>> agrees(("runs/a-...", "...", "done"), "runs/a-1234\nmore\nand more\ndone\n")
    True
    >>> agrees(("after 12 epochs,", "best 0.98"), "after 7 epochs, best 0.9733\n", numbers=False)
    True
    """
    if not numbers:
        pattern = r".*?".join(re.escape(part) for part in re.split(r"\.\.\.", _words("\n".join(shown))))
        return re.fullmatch(pattern, _words(printed)) is not None
    while shown and not shown[-1].strip():
        shown = shown[:-1]
    parts = [r"(?:[^\n]*\n)*?" if line.strip() == "..." else _line(line) for line in shown]
    return re.fullmatch("".join(parts), _trimmed(printed)) is not None


def _line(shown: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in shown.rstrip().split("...")) + "\n"


def _trimmed(printed: str) -> str:
    lines = [line.rstrip() for line in printed.rstrip().split("\n")]
    return "".join(f"{line}\n" for line in lines)


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", NUMBER.sub("0", text)).strip()
