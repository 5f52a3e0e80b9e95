"""A person to erase: the words of the person's data, the way to an erasure, and a search for the words."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import time_machine
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.privacy import erasures
from tests.storage import stored_files
from tests.worker import work

if TYPE_CHECKING:
    from django.test import Client

    from tests.client import Page

NAME, EMAIL = "Zerafina", "zerafina@example.net"
SAID, ANSWERED, VOICE_NAME = "Where is the treasure buried", "Beneath the crooked palm", "Goldfinch"
# Words of the person's data. "example" is not among them, because it also occurs elsewhere.
WORDS = [NAME, "zerafina", "treasure", "buried", "crooked", VOICE_NAME, "Kitchen speaker", "hook-of-"]


def ask_for_deletion(client: Client) -> Page:
    return client.post(reverse("privacy:delete-account"))


def run_due() -> None:
    """Do what the worker does each minute, and then the tasks that this has queued."""
    erasures.enqueue_due_tries()
    work()


def after(days: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(days=days), tick=False)


def dump() -> str:
    """Return the rows of all tables as text."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the tables' own names
            rows += [str(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def database_files() -> str:
    """Return the content of SQLite's files, including deleted data."""
    if connection.vendor != "sqlite":
        return ""
    path = Path(connection.settings_dict["NAME"])
    return "".join(file.read_bytes().decode("latin-1") for file in path.parent.glob(f"{path.name}*"))


def media() -> str:
    """Return the names and contents of all stored files, and the contents of ZIP files."""
    texts = []
    for path in stored_files():
        texts += [str(path), path.read_bytes().decode("latin-1")]
        if path.suffix == ".zip":
            with ZipFile(path) as archive:
                texts += [archive.read(name).decode("latin-1") for name in archive.namelist()]
    return "\n".join(texts)


def found(text: str) -> list[str]:
    return [word for word in WORDS if re.search(re.escape(word), text, re.IGNORECASE)]
