"""The report's page, served on this machine alone, and made anew when runs have changed.

    /          the page as it is now
    /version   what changes when the page does: the page itself asks, and loads itself again

The server listens on the loopback interface. A page of another site that has talked a browser into asking here names
another host: such a question is refused, as is every method that is not a question.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fewepochs.api import results, showing
from fewepochs.errors import FewEpochsError, StorageError

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Pages:
    """The page of a subject, made once for each of its versions, and the port at which it is served."""

    def __init__(
        self, subject: Sequence[Path], *, out: Path, targets: Sequence[float], probes: Sequence[Path] = ()
    ) -> None:
        self._subject, self._out, self._targets, self._probes = subject, out, targets, probes
        self._lock = threading.Lock()
        self._page: tuple[str, str] | None = None
        self.port = 0

    def version(self) -> str:
        """Return the mark of what is stored now, or of the former page while that cannot be read.

        Raises FewEpochsError where there is no former one.
        """
        try:
            return showing.version(self._subject, out=self._out, others=self._probes)
        except FewEpochsError:
            if self._page is None:
                raise
            return self._page[0]

    def page(self) -> str:
        """Return the page. What cannot be read now, while a file is being replaced, leaves the former one.

        Raises FewEpochsError where there is no former one.
        """
        with self._lock:
            version = self.version()
            if self._page is None or self._page[0] != version:
                try:
                    self._page = (version, self._make(version))
                except FewEpochsError:
                    if self._page is None:
                        raise
            return self._page[1]

    def _make(self, version: str) -> str:
        seen = showing.load(self._subject, out=self._out)
        return results.page(
            seen.runs,
            targets=self._targets,
            title=seen.title,
            question=seen.question,
            found=seen.found,
            probes=self._probes,
            version=version,
        )


@contextmanager
def page(
    subject: Sequence[Path], *, out: Path, targets: Sequence[float], port: int, probes: Sequence[Path] = ()
) -> Iterator[str]:
    """Serve the page of `subject` while inside; yield its address. Raises StorageError for a port that is taken.

    `probes` are files of what probes found; they are read again when they change.
    """
    pages = Pages(subject, out=out, targets=targets, probes=probes)
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(pages))
    except OSError as error:
        raise StorageError(
            f"port {port} on {HOST}: {error.strerror or error}; choose another with --port, or --port 0 for a free one"
        ) from None
    server.daemon_threads = True
    pages.port = server.server_port
    looks = {"poll_interval": 0.05}  # seconds between its looks for the end: Ctrl-C waits for one
    thread = threading.Thread(target=server.serve_forever, kwargs=looks, name="report", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(pages: Pages) -> type[BaseHTTPRequestHandler]:
    """Return what answers questions about `pages`."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "fewepochs", ""

        def handle(self) -> None:
            with suppress(ConnectionError):  # a browser that has gone is no news
                super().handle()

        def do_GET(self) -> None:
            status, kind, content = self._answer()
            body = content.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self) -> tuple[int, str, str]:
            port = pages.port
            if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
                return 403, "text/plain", f"This page is for this machine: http://{HOST}:{port}/\n"
            try:
                match self.path:
                    case "/":
                        return 200, "text/html", pages.page()
                    case "/version":
                        return 200, "text/plain", pages.version()
                    case _:
                        return 404, "text/plain", "There is one page here: /\n"
            except FewEpochsError as error:
                return 503, "text/plain", f"{error}\n"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a page that asks for its version every two seconds is no news."""

    return Handler
