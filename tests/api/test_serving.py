"""The served page is that of now, for this machine alone."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import socketserver
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import probe_samples
import run_folders
from fewepochs import store
from fewepochs.api import results, serving, showing
from fewepochs.errors import StorageError
from fewepochs.report import page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run_folders.make(tmp_path / "runs" / "run", epochs=2)
    return tmp_path / "runs"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with serving.page([folder], out=folder, targets=(), port=0) as found:
        yield found


def ask(address: str, path: str = "/", *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_the_page_is_the_reports_and_knows_its_version(address: str, folder: Path) -> None:
    status, text = ask(address)
    version = ask(address, "/version")[1]
    runs = showing.load([folder], out=folder).runs

    assert status == 200
    assert f'data-live="{version}"' in text
    assert text == results.page(runs, version=version)
    assert "connect-src" in text


def test_an_epoch_more_makes_another_version_and_page(address: str, folder: Path) -> None:
    before = ask(address)[1], ask(address, "/version")[1]
    store.RunFolder(folder / "run").append(run_folders.epoch(3), run_folders.cost(3))
    after = ask(address)[1], ask(address, "/version")[1]

    assert before[1] != after[1]
    assert before[0] != after[0]
    assert ask(address)[1] == after[0]


def test_what_a_probe_found_is_shown_and_read_again_when_it_has_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MANY", 0)  # still pictures take long
    [run] = showing.load([folder], out=folder).runs
    file = tmp_path / "split.json"
    pages = serving.Pages([folder], out=folder, targets=(), probes=[file])
    seen = []
    for moving in ((1.0, 0.5), (1.0, 1.5)):
        file.write_text(json.dumps(probe_samples.split(run, moving=moving, recomputed=(0.25, 0.25)).as_dict()))
        seen.append((pages.version(), "with moving ones at 1." in pages.page()))
    file.write_text("{")

    assert seen[0][0] != seen[1][0]
    assert [rises for _, rises in seen] == [False, True]
    assert "with moving ones at 1." in pages.page()  # the former one, while the file is being replaced


def test_a_run_that_cannot_be_read_just_now_leaves_the_page_that_was(address: str, folder: Path) -> None:
    before = ask(address)
    log = folder / "run" / "epochs.jsonl"
    log.write_bytes(b"{\n" + log.read_bytes())

    assert ask(address) == before


def test_a_study_file_that_is_being_written_leaves_page_and_version_that_were(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(run_folders.STUDY)
    run_folders.make(tmp_path / "runs" / "pair" / "run", epochs=2)
    with serving.page([file], out=tmp_path / "runs", targets=(), port=0) as address:
        before = ask(address), ask(address, "/version")
        file.write_text(run_folders.STUDY[:20])
        assert (ask(address), ask(address, "/version")) == before
    with serving.page([file], out=tmp_path / "runs", targets=(), port=0) as address:
        for path in ("/", "/version"):
            status, text = ask(address, path)
            assert (status, str(file) in text) == (503, True)


def test_a_browser_that_goes_away_in_mid_page_is_no_news(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: queue.Queue[str] = queue.Queue()
    real = socketserver.TCPServer.shutdown_request

    def closed(self: Any, request: Any) -> None:
        real(self, request)
        happened.put("closed")

    monkeypatch.setattr(socketserver.TCPServer, "shutdown_request", closed)
    monkeypatch.setattr(socketserver.TCPServer, "handle_error", lambda *_: happened.put("an error was told"))
    monkeypatch.setattr(serving.Pages, "page", lambda self: "x" * 50_000_000)  # more than a connection holds
    parts = urlsplit(address)
    with socket.create_connection((serving.HOST, parts.port or 0)) as browser:
        browser.sendall(f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        browser.recv(1)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone at once
    assert happened.get(timeout=600) == "closed"


def test_a_page_that_cannot_be_made_says_why(address: str, folder: Path) -> None:
    log = folder / "run" / "epochs.jsonl"
    log.write_bytes(b"{\n" + log.read_bytes())
    status, text = ask(address)

    assert status == 503
    assert str(folder / "run") in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_question_to_another_host_is_refused(address: str, host: str) -> None:
    for path in ("/", "/version"):
        status, text = ask(address, path, host=host)
        assert status == 403
        assert "<html" not in text


def test_localhost_is_this_machine(address: str) -> None:
    assert ask(address, "/version", host=f"localhost:{urlsplit(address).port}")[0] == 200


@pytest.mark.parametrize("path", ["/../etc/passwd", "/version/", "/?x", "/runs"])
def test_there_is_one_page(address: str, path: str) -> None:
    assert ask(address, path)[0] == 404


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 501), ("PUT", 501), ("DELETE", 501)])
def test_only_questions_are_answered(address: str, method: str, status: int) -> None:
    assert ask(address, "/version", method=method)[0] == status


def test_a_port_that_is_taken_says_what_to_do(address: str, folder: Path) -> None:
    port = urlsplit(address).port
    assert port is not None

    with (
        pytest.raises(StorageError, match="choose another with --port"),
        serving.page([folder], out=folder, targets=(), port=port),
    ):
        pass


def test_it_listens_on_this_machine_alone(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
