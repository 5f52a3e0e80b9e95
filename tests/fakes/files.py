"""A web server with files, as a model hub: it honours ranges, redirects, and breaks connections when it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext


@dataclass
class FileServer:
    """`files` and `redirects` are by path, and so are `statuses` that are answered instead.

    `cuts` are the numbers of bytes after which the next responses break off. `paused` holds back the rest of a response
    after `pause_after` bytes. `requests` are the paths that were asked for, each with its Range header.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ignores_ranges: bool = False
    pause_after: int | None = None
    resume: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def serve_files(tls: SSLContext | None = None, port: int = 0) -> Iterator[FileServer]:
    """Serve on loopback, on a free port, until the block ends; over https with the certificate of `tls`."""
    server = FileServer()

    class Handler(_Handler):
        files = server

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as http:
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        server.url = f"{'https' if tls else 'http'}://localhost:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.resume.set()
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def do_GET(self) -> None:
        server = self.files
        wanted = self.headers.get("Range", "")
        server.requests.append((self.path, wanted))
        if self.path in server.redirects:
            self._head(302, {"Location": server.redirects[self.path]})
        elif self.path in server.statuses:
            self._head(server.statuses[self.path], {})
        elif self.path not in server.files:
            self._head(404, {})
        else:
            self._send(server.files[self.path], wanted)

    def _send(self, content: bytes, wanted: str) -> None:
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", wanted)) else 0
        if self.files.ignores_ranges or not start:
            rest, status, headers = content, 200, {}
        elif start < len(content):
            rest, status = content[start:], 206
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        else:
            self._head(416, {})
            return
        self._head(status, headers | {"Content-Length": str(len(rest))})
        if self.files.cuts:
            rest = rest[: self.files.cuts.pop(0)]
        pause = self.files.pause_after
        self.wfile.write(rest[:pause])
        if pause is not None:
            self.wfile.flush()
            self.files.resume.wait(60)
            self.wfile.write(rest[pause:])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class' name
        """Log nothing."""
