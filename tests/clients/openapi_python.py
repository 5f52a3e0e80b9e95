"""A client in Python that openapi-python-client makes from the API's description: `made_client` talks through it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import httpx

from tests.clients.calls import URL, call

FOLDER = Path(sys.prefix)
PACKAGE = "voiceclone_client"
PROGRAM = "tests.clients.made_client"
# What the generator does not know by itself: sound and archives are bytes.
BYTES = ["application/zip", "audio/aac", "audio/flac", "audio/mpeg", "audio/ogg", "audio/pcm", "audio/wav"]
CONFIG = f"content_type_overrides: {{{', '.join(f'{name}: application/octet-stream' for name in BYTES)}}}"
# The generator's own base class passes the arguments of `__exit__` on as mere objects.
STRICT = f"[mypy]\nstrict = true\n[mypy-{PACKAGE}.client]\ndisable_error_code = arg-type\n"


def run(*command: str) -> str:
    """Run a module in the client's folder and return what it prints."""
    search = {"PATH": f"{FOLDER / 'bin'}:{os.environ['PATH']}", "MYPYPATH": str(Path.cwd())}
    line = [sys.executable, "-m", *command]
    done = subprocess.run(  # noqa: S603 - all arguments are our own
        line, cwd=FOLDER, env=os.environ | search, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    description = httpx.get(f"{URL}/api/schema/", headers={"Accept": "application/json"})
    (FOLDER / "schema.json").write_bytes(description.raise_for_status().content)
    (FOLDER / "config.yaml").write_text(CONFIG)
    (FOLDER / "mypy.ini").write_text(STRICT)
    with call("openapi-python-client"):
        options = ["--path", "schema.json", "--config", "config.yaml", "--meta", "none", "--overwrite"]
        output = run("openapi_python_client", "generate", *options, "--output-path", PACKAGE)
        assert "WARNING" not in output, output
    with call("mypy --strict"):
        run("mypy", "--config-file", "mypy.ini", "-p", PACKAGE, "-m", PROGRAM)
    sys.path.append(str(FOLDER))
    import_module(PROGRAM).talk()
