"""`python -m tests.lighthouse`: Lighthouse's scores of Home, My voices and Talk on a telephone. Run by hand.

It serves the site as `make run` does, on a database of its own with one person, one voice and one conversation. Needs
Node.js, Chromium and, for the first time, the network: npx installs Lighthouse, unless LIGHTHOUSE names its program.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LEAST = {"accessibility": 100, "best-practices": 95, "performance": 95}
COMMAND = os.environ.get("LIGHTHOUSE", "npx --yes lighthouse@13").split()
MANAGE = [sys.executable, "manage.py"]
CHROME_FLAGS = "--headless=new --no-sandbox"


def main() -> int:
    with TemporaryDirectory() as folder:
        _configure(Path(folder))
        for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--no-input", "--verbosity", "0"]):
            subprocess.run([*MANAGE, *command], check=True)  # noqa: S603 - our own commands
        cookie, talk = _fill()
        with _served() as url:
            pages = {"/": "", "/voices/": cookie, talk: cookie}
            misses = [miss for path, cookie in pages.items() for miss in _measure(url + path, cookie, Path(folder))]
    return 1 if misses else 0


def _configure(folder: Path) -> None:
    """Let nothing of this machine's site be used. The keys are never sent: the pages need no service to be shown."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "voiceclone.settings",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "MEDIA_ROOT": str(folder / "media"),
        "MARKS_DIR": str(folder / "marks"),
        "OPENAI_API_KEY": "unused",
        "ELEVENLABS_API_KEY": "unused",
        "FETCH_MODELS": "off",
        "CHROME_PATH": shutil.which("chromium") or shutil.which("chromium-browser") or "",
    }


def _fill() -> tuple[str, str]:
    """Create the rows. Return the cookie of a signed-in person, and the path of their conversation."""
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.factories import make_turn, make_voice

    person = User.objects.create_user("jane", "jane@example.org", secrets.token_urlsafe())
    voice = make_voice(person, "voice", is_default=True)
    conversation = Conversation.objects.create(owner=person, voice=voice, title="What is the capital of France?")
    make_turn(conversation, reply="The capital of France is Paris.", question_seconds=2.5, answer_seconds=2.5)
    client = Client()
    client.force_login(person)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}", f"/talk/{conversation.pk}/"


@contextmanager
def _served() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["-m", "uvicorn", "voiceclone.asgi:application", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen([sys.executable, *arguments])  # noqa: S603 - as above
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(f"{url}/healthz"):
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as response:  # noqa: S310 - our own server
            return bool(response.status == 200)
    except OSError:
        return False


def _measure(url: str, cookie: str, folder: Path) -> list[str]:
    """Print the scores of a page, and what costs. Return the categories below their least score."""
    report = folder / "report.json"
    options = [
        f"--only-categories={','.join(LEAST)}",
        f"--chrome-flags={CHROME_FLAGS}",
        "--output=json",
        f"--output-path={report}",
        "--quiet",
    ]
    if cookie:
        options.append(f"--extra-headers={json.dumps({'Cookie': cookie})}")
    subprocess.run([*COMMAND, url, *options], check=True)  # noqa: S603 - as above
    result: dict[str, Any] = json.loads(report.read_text())
    scores = {name: round(100 * category["score"]) for name, category in result["categories"].items()}
    print(result["requestedUrl"], scores)  # noqa: T201 - output for the developer
    for category in result["categories"].values():
        for part in category["auditRefs"]:
            audit = result["audits"][part["id"]]
            if audit["score"] not in (None, 1) and part["weight"]:
                print("   ", audit["title"], audit.get("displayValue", ""))  # noqa: T201 - as above
    return [name for name, least in LEAST.items() if scores[name] < least]


if __name__ == "__main__":
    sys.exit(main())
