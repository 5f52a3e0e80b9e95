"""Static files of two releases: whichever process is asked, nginx finds the one that has the file."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import requests

from tests.nginx import running_nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Serve the files of `folder`; yield the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_file_that_only_one_process_has_is_always_found(tmp_path: Path) -> None:
    for release in ("old", "new"):
        (tmp_path / release / "static").mkdir(parents=True)
        (tmp_path / release / "static" / f"app.{release}.css").write_text(release)
        (tmp_path / release / f"page.{release}").write_text(release)
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(tmp_path / release)) for release in ("old", "new")]
        url = stack.enter_context(running_nginx(tmp_path, (ports[0], ports[1])))
        for release in ("old", "new"):
            for _ in range(4):  # nginx asks them in turn.
                assert requests.get(f"{url}/static/app.{release}.css", timeout=5).text == release
        assert requests.get(f"{url}/static/app.none.css", timeout=5).status_code == 404
        # Elsewhere, "not found" is the answer.
        assert {requests.get(f"{url}/page.old", timeout=5).status_code for _ in range(4)} == {200, 404}
