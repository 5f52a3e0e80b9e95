"""The contract for apps that keep personal data: how it is exported, suspended, erased and retained.

Each such app has a `personal_data.py` and registers it in `AppConfig.ready()`. So the privacy app exports and erases
all data of a person without importing the apps that hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django_tasks_db.models import DBTaskResult

ROWS_AT_ONCE = 500
# The code of what is over in a moment.
IN_USE = "still_in_use"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one person for an export. `files` are the fields with files, `without` those that are secrets of ours."""

    name: str
    about: str | Promise
    rows: QuerySet[Any]
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """A line of the receipt: so many of these are gone."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Retained:
    """A line of the receipt: this has to be kept until a day, as a row `reference` that names nobody any more."""

    what: str
    until: datetime
    reference: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A line of the public schedule: what is kept, what for, and how long."""

    what: str | Promise
    why: str | Promise
    until: str | Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Something whose term is over, or nearly: `act` announces that to its owner, or deletes it."""

    what: str
    since: datetime
    rows: list[str]
    owner_id: int | None = None
    is_announcement: bool = False
    act: Callable[[], None] = field(repr=False)


class NotYetError(Exception):
    """Something cannot be deleted now; a later try gets on. `code` says what is in the way."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PersonalData:
    """What an app keeps of people: here nothing. Each app says of its own what is other than that."""

    def tables(self, _owner: AbstractUser) -> list[Table]:
        """Return all that is kept of the owner."""
        return []

    def suspend(self, owner: AbstractUser) -> None:
        """Let nothing of the owner be used from now on; nothing is deleted."""

    def resume(self, owner: AbstractUser) -> None:
        """Take `suspend` back."""

    def erase(self, _owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete all that is kept of the owner, and yield what is gone as it goes, and what has to be kept.

        It can be called again after it was broken off. Raises NotYetError behind what could be deleted.
        """
        yield from ()

    def schedule(self) -> list[Kept]:
        """Return what is kept of anybody and how long, by the settings in force."""
        return []

    def due(self, _now: datetime) -> list[Due]:
        """Return whose term is over at `now`, or so near that its owner is to be told."""
        return []


_registered: list[PersonalData] = []


def register(data: PersonalData) -> None:
    """Include `data` in exports, erasures and retention; an app calls this in `AppConfig.ready()`."""
    _registered.append(data)


def all_personal_data() -> list[PersonalData]:
    """Return what the apps keep, in the order of INSTALLED_APPS: each app comes before those that it builds upon."""
    return list(_registered)


def erase_rows(what: str, rows: QuerySet[Any], *, files: Iterable[str] = ()) -> Iterator[Erased]:
    """Delete `rows`, the files that their fields `files` hold, and what the admin's log calls them."""
    count = rows.count()
    if count:
        for row in rows.iterator():
            _delete_files(row, files)
        _forget_in_admin_log(rows)
        rows.delete()
        yield Erased(what, count)


def _delete_files(row: Model, names: Iterable[str]) -> None:
    for name in names:
        file = getattr(row, name)
        if file:
            file.storage.delete(file.name)


def _forget_in_admin_log(rows: QuerySet[Any]) -> None:
    content_type = ContentType.objects.get_for_model(rows.model)
    pks = [str(pk) for pk in rows.values_list("pk", flat=True)]
    for start in range(0, len(pks), ROWS_AT_ONCE):
        some = pks[start : start + ROWS_AT_ONCE]
        LogEntry.objects.filter(content_type=content_type, object_id__in=some).delete()


def delete_folder(path: str) -> None:
    """Delete a folder of the storage, with files to which no row leads any more."""
    if not default_storage.exists(path):
        return
    _folders, files = default_storage.listdir(path)
    for name in files:
        default_storage.delete(f"{path}/{name}")
    default_storage.delete(path)


def erase_tasks(what: str, pks: Iterable[object]) -> Iterator[Erased]:
    """Delete the background tasks whose first argument is one of `pks`."""
    yield from erase_rows(what, DBTaskResult.objects.filter(args_kwargs__args__0__in=[str(pk) for pk in pks]))
