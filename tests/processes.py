"""The site as an operator runs it: processes of its own with a database of their own, which get real signals."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import requests
from django.conf import settings

from tests.client import PATIENCE_SECONDS, wait_until
from tests.fakes.provider import FakeProvider
from tests.ports import free_port
from tests.settings import SCRATCH_DIR

OPERATED = {"DJANGO_SETTINGS_MODULE": "voiceclone.settings", "SECRET_KEY": "made-up" * 8}
PEOPLE = """
from apps.accounts.models import User
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation
from tests.factories import make_voice
alice = User.objects.create_user("alice", "alice@example.org", "a long password for tests")
voice = make_voice(alice, "{voice_id}")
conversation = Conversation.objects.create(owner=alice, voice=voice)
print(conversation.pk, create_api_token(owner=alice, name="tests"))
"""


@dataclass(frozen=True)
class Site:
    """A running site: its main process, what it logs, and where it is."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    url: str
    log: Path

    def manage(self, *arguments: str) -> str:
        """Run a management command on the site's database, and return what it prints."""
        return manage(self.environment, *arguments)

    def rows(self, query: str) -> list[Any]:
        """Return the rows that an SQL query finds in the site's database."""
        with closing(sqlite3.connect(self.environment["DATABASE_URL"].removeprefix("sqlite:///"))) as database:
            return database.execute(query).fetchall()

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "--command", code).strip()

    def add_conversation(self, voice_id: str) -> tuple[str, str]:
        """Add Alice with this voice of the provider's and a conversation; return its id, and a token of hers."""
        conversation, token = self.shell(PEOPLE.format(voice_id=voice_id)).split()[-2:]
        return conversation, token


def manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def remote(provider: FakeProvider) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "test-key",
        "ELEVENLABS_API_KEY": "test-key",
        "OPENAI_BASE_URL": provider.openai_url,
        "ELEVENLABS_BASE_URL": provider.url,
    }


@cache
def migrated_database() -> Path:
    """Return an empty database with all tables. To migrate one takes seconds, to copy it nothing."""
    path = SCRATCH_DIR / "migrated.sqlite3"
    manage(os.environ | OPERATED | {"DATABASE_URL": f"sqlite:///{path}"}, "migrate", "--verbosity", "0")
    return path


def site_environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a site with its data in `folder`."""
    own = {
        "MODELS_DIR": str(folder),
        "MEDIA_ROOT": str(folder / "media"),
        "MARKS_DIR": str(folder / "marks"),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
    }
    return os.environ | OPERATED | own | variables


@contextmanager
def running_site(
    module: list[str], folder: Path, port: int = 0, code: Path = settings.BASE_DIR, /, **variables: str
) -> Iterator[Site]:
    """Run `python -m MODULE…` until the block ends, on any free port if `port` is 0, with the code in this folder.

    Its database is the one in `folder`, an empty one if there is none, or another that is migrated.
    """
    environment = site_environment(folder, **variables)
    if not (folder / "db.sqlite3").exists():
        shutil.copy(migrated_database(), folder / "db.sqlite3")
    port = port or free_port()
    log = folder / "site.log"
    command = [sys.executable, "-m", *module, "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen(  # noqa: S603
            command, cwd=code, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        site = Site(process, environment, f"http://127.0.0.1:{port}", log)
        try:
            wait_until(lambda: answers(site.url))
            yield site
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False
