"""nginx as deploy/nginx.conf sets it up, in front of web servers of a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port, listens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DEPLOY = Path(__file__).parent.parent / "deploy"
AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{deployed}
}}
"""


def write_configuration(folder: Path, changes: dict[str, str]) -> list[str]:
    """Write the files of deploy/ with these replacements, and what is around them; return the command that runs nginx.

    Skips the test where there is no nginx.
    """
    if NGINX is None:
        (pytest.fail if os.environ.get("REQUIRE_NGINX") else pytest.skip)("nginx is not installed")
    deployed = "".join((DEPLOY / name).read_text() for name in ("nginx-upstream.conf", "nginx.conf"))
    for old, new in changes.items():
        assert old in deployed
        deployed = deployed.replace(old, new)
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(AROUND.format(folder=folder, deployed=deployed, user=user))
    return [NGINX, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(configuration)]


@contextmanager
def running_nginx(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """Run nginx, but without TLS, in front of these ports; yield its address."""
    port = free_port()
    changes = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port};",
        "    ssl_": "    # ssl_",
        "    server 127.0.0.1:8001 max_fails=0;\n": "",
        "    server 127.0.0.1:8000 max_fails=0;\n": "".join(
            f"    server 127.0.0.1:{each} max_fails=0;\n" for each in ports
        ),
    }
    with subprocess.Popen(write_configuration(folder, changes)) as process:  # noqa: S603
        try:
            while not listens(port):
                assert process.poll() is None, (folder / "error.log").read_text()
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
