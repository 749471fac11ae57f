"""Downloads: said first, verified, and never half there."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cifar_files
import pytest

from fewepochs.data import sources
from fewepochs.data.layouts import Family
from fewepochs.errors import DataError

FAMILY, MADE = cifar_files.published(cifar_files.MINI10)
ARCHIVE = MADE["python"]
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """A server that answers every request as `answer` says and counts the requests."""

    answer: Answer
    requests = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requests += 1
        self.server.answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def respond(body: bytes, *, status: int = 200, promise: int | None = None, length: bool = True) -> Answer:
    """Return an answer with `body` that promises `promise` bytes."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if length:
            handler.send_header("Content-Length", str(len(body) if promise is None else promise))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def family_at(server: Server) -> Family:
    layout = FAMILY.layouts[0]
    url = f"http://127.0.0.1:{server.server_port}/{layout.archive.name}"
    changed = dataclasses.replace(layout, archive=dataclasses.replace(layout.archive, url=url))
    return dataclasses.replace(FAMILY, layouts=(changed, *FAMILY.layouts[1:]))


def fetch(server: Server, say: Callable[[str], None] = lambda _: None) -> sources.DataSet:
    return sources._load("cifar10", where=None, download=True, say=say, families=(family_at(server),))


def names(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir()) if place.exists() else []


def test_url_size_and_hash_are_said_before_the_first_request(server: Server, tmp_path: Path) -> None:
    server.answer = respond(ARCHIVE)
    requests_when_said: list[tuple[str, int]] = []
    found = fetch(server, lambda line: requests_when_said.append((line, server.requests)))
    first, requests = requests_when_said[0]
    archive = family_at(server).layouts[0].archive
    assert first == f"cifar10: {archive.url} {len(ARCHIVE):,} bytes, SHA-256 {archive.sha256}"
    assert requests == 0
    assert names(tmp_path / "cache") == ["cifar-10-python.npz", "cifar-10-python.tar.gz"]
    assert (tmp_path / "cache" / "cifar-10-python.tar.gz").read_bytes() == ARCHIVE
    assert found.verified == "SHA-256 of the published archive"
    assert fetch(server).digest == found.digest
    assert server.requests == 1


def test_nothing_is_downloaded_unless_asked_for(server: Server) -> None:
    server.answer = respond(ARCHIVE)
    with pytest.raises(DataError, match="was not found"):
        sources._load("cifar10", where=None, download=False, say=lambda _: None, families=(family_at(server),))
    assert server.requests == 0


@pytest.mark.parametrize("sent", [0, 1, len(ARCHIVE) // 2, len(ARCHIVE) - 1])
def test_an_interrupted_download_leaves_nothing(sent: int, server: Server, tmp_path: Path) -> None:
    server.answer = respond(ARCHIVE[:sent], promise=len(ARCHIVE))
    with pytest.raises(DataError, match="could not be fetched") as raised:
        fetch(server)
    assert family_at(server).layouts[0].archive.url in str(raised.value)
    assert names(tmp_path / "cache") == []
    server.answer = respond(ARCHIVE)
    assert len(fetch(server).train.labels) == 100


def test_ctrl_c_in_a_download_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.answer = respond(ARCHIVE)

    def interrupt(line: str) -> None:
        if " of " in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, interrupt)
    assert names(tmp_path / "cache") == []


FLIPPED = bytes([*ARCHIVE[:-9], ARCHIVE[-9] ^ 1, *ARCHIVE[-8:]])


@pytest.mark.parametrize(
    ("body", "length"),
    [(FLIPPED, True), (b"<html>Please log in</html>", True), (ARCHIVE + bytes(9), True), (ARCHIVE[:-9], False)],
    ids=["one bit flipped", "a page", "longer", "shorter, without a length"],
)
def test_other_content_is_kept_as_bad_and_never_under_the_final_name(
    body: bytes, length: bool, server: Server, tmp_path: Path
) -> None:
    server.answer = respond(body, length=length)
    with pytest.raises(DataError, match=r"kept as .*cifar-10-python\.tar\.gz\.bad") as raised:
        fetch(server)
    assert FAMILY.layouts[0].archive.sha256 in str(raised.value)
    assert names(tmp_path / "cache") == ["cifar-10-python.tar.gz.bad"]
    kept = (tmp_path / "cache" / "cifar-10-python.tar.gz.bad").read_bytes()
    assert body.startswith(kept)


def test_an_endless_answer_does_not_fill_the_disk(server: Server, tmp_path: Path) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(64):
                handler.wfile.write(bytes(1 << 20))
        except OSError:
            pass  # the other side hung up, as it should

    server.answer = answer
    with pytest.raises(DataError, match="more than"):
        fetch(server)
    assert (tmp_path / "cache" / "cifar-10-python.tar.gz.bad").stat().st_size <= len(ARCHIVE)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_refusal_is_a_data_error_with_the_reason(status: int, server: Server, tmp_path: Path) -> None:
    server.answer = respond(b"no", status=status)
    with pytest.raises(DataError, match="could not be fetched"):
        fetch(server)
    assert names(tmp_path / "cache") == []


def test_no_server_is_a_data_error(server: Server, tmp_path: Path) -> None:
    family = family_at(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="could not be fetched"):
        sources._load("cifar10", where=None, download=True, say=lambda _: None, families=(family,))
    assert names(tmp_path / "cache") == []


def test_a_cache_folder_that_cannot_be_made_is_a_data_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = respond(ARCHIVE)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"could not be written.*\$FEWEPOCHS_CACHE"):
        fetch(server)
