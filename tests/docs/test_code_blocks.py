"""What the pages show is true: every code block is run, or says why not and is checked as far as it can be.

A page's blocks share a folder: files that it shows lie there, Python is executed in one namespace, commands go through
a real shell. Blocks that take long are run with `-m hours`, together with all others of their page.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import code_blocks
import pytest
import shell_lines
from code_blocks import Block, Command

import command_line
from fewepochs import recipe as recipes
from fewepochs.study import files

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("reference/*.md"))]
BLOCKS = {page: code_blocks.blocks(page) for page in PAGES}
ALL = [block for page in PAGES for block in BLOCKS[page]]
SESSIONS = [block for block in ALL if block.language == "console"]
LANGUAGES = {"console", "python", "toml", "text", ""}
WORD = r"'[^']*'|[\w./,:=*\[\]-]+"
PLAIN = re.compile(rf"fewepochs(?P<words>(?: +(?:{WORD}|\\\n))*)(?: +> (?P<file>[\w./-]+))?(?: +#.*)?")
"""A command of ours in which a shell would only expand names of files, and put what is printed into a file."""
MENTION = re.compile(r"(?<!`)`(fewepochs [^`\n]+)`(?!`)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _run(page: Path, *, folder: Path, slow: bool) -> None:
    """Run the blocks of `page` in their order; the slow ones only if `slow`."""
    (folder / "studies").symlink_to(ROOT / "studies")  # commands are given in the repository's folder
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in BLOCKS[page]:
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        if block.not_run is not None or (block.slow and not slow):
            continue
        if block.language == "python":
            _execute(block, namespace)
        elif block.language == "console":
            _converse(block, folder=folder)


def _execute(block: Block, namespace: dict[str, Any]) -> None:
    if ">>> " in block.text:
        example = doctest.DocTestParser().get_doctest(block.text, namespace, block.place, str(block.page), block.line)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(example, clear_globs=False).failed == 0, block.place
        namespace.update(example.globs)
    else:
        exec(compile("\n" * block.line + block.text, str(block.page), "exec"), namespace)


def _converse(block: Block, *, folder: Path) -> None:
    commands = code_blocks.commands(block)
    code = 0
    for command, following in zip(commands, [*commands[1:], Command("")], strict=True):
        ended = _shell(command.text, before=code, folder=folder)
        code = ended.returncode
        told = f"{block.place}: $ {command.text}\n{ended.stderr}{ended.stdout}"
        assert code == 0 or following.shows_exit_code, f"{told}(exit code {code}, which the page does not show)"
        if command.output:  # what it prints, or that after its messages
            printed = (ended.stdout, ended.stderr + ended.stdout)
            assert any(code_blocks.agrees(command.output, one, numbers=not block.numbers_vary) for one in printed), told


def _shell(line: str, *, before: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return `line` run by a shell in `folder`, after a command that ended with the code `before`.

    A command of ours that asks nothing of a shell but names of files needs neither a shell nor imports.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "FORCE_COLOR")}
    environment = {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    if plain := PLAIN.fullmatch(line):
        words = _words(plain["words"], folder=folder)
        ended = command_line.forks().run(*words, folder=folder, environment=environment)
        if plain["file"]:
            (folder / plain["file"]).write_text(ended.stdout)
        told = "" if plain["file"] else ended.stdout
        return subprocess.CompletedProcess(["fewepochs", *words], ended.returncode, told, ended.stderr)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"(exit {before})\n{line}"],
        cwd=folder,
        env={**environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _words(text: str, *, folder: Path) -> list[str]:
    """Return the words of a command in `folder`; one with a star stands for the files that it fits, if any."""
    found: list[str] = []
    for word in re.findall(WORD, text):
        if word.startswith("'"):
            found.append(word[1:-1])
        else:
            fitting = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else []
            found += fitting or [word]
    return found


@pytest.fixture(autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages share a cache, as a user's commands do: kernels are compiled once."""
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCKS[page]], ids=_name)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run(page, folder=tmp_path, slow=False)


@pytest.mark.hours
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.slow for block in BLOCKS[page])], ids=_name)
def test_what_a_page_shows_is_what_happens_training_included(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _run(page, folder=tmp_path, slow=True)


@pytest.mark.parametrize("block", SESSIONS, ids=lambda block: block.place)
def test_every_command_that_is_shown_exists_with_its_options(block: Block) -> None:
    for command in code_blocks.commands(block):
        for arguments in shell_lines.calls(command.text):
            shell_lines.check(arguments)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_that_is_mentioned_exists_with_its_options(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for mention in MENTION.findall(text):
        for arguments in shell_lines.calls(mention):
            shell_lines.check(arguments, whole=False)


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "toml"], ids=lambda block: block.place)
def test_tables_that_are_shown_are_toml_and_whole_ones_are_recipes_or_studies(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = recipes.read_toml(block.text)
    if {"data", "network", "budget"} <= table.keys():
        recipes.parse(block.text, source=block.place)
    elif "base" in table and "halving" not in table:
        (tmp_path / "study.toml").write_text(block.text)
        files.load(tmp_path / "study.toml")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_is_of_a_kind_that_is_known(page: Path) -> None:
    assert {block.language for block in BLOCKS[page]} <= LANGUAGES
