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
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django_tasks_db.models import DBTaskResult

from apps.core.storage import media

ROWS_PER_QUERY = 500
# The code of a NotYetError that is resolved in a moment.
IN_USE = "still_in_use"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one person for an export. `files` are the fields with files; the fields `without` are left out.

    `properties` are attributes of the rows that are no fields, to be written as well.
    """

    name: str
    about: str | Promise
    rows: QuerySet[Any]
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """A line of the receipt: `count` items of one kind were deleted."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Retained:
    """A line of the receipt: the row `reference` has to be kept until a day. It no longer names the person."""

    what: str
    until: datetime
    reference: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A line of the public retention schedule: the data, the purpose and the term."""

    what: str | Promise
    why: str | Promise
    until: str | Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Data whose term is over or ends soon. `act` announces the deletion to the owner, or deletes the data."""

    what: str
    since: datetime
    rows: list[str]
    owner_id: int | None = None
    is_announcement: bool = False
    act: Callable[[], None] = field(repr=False)


class NotYetError(Exception):
    """Something cannot be deleted now, but a later try can succeed. `code` names the obstacle."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PersonalData:
    """The personal data of one app. This base has none; each app overrides the methods that concern it."""

    def tables(self, _owner: AbstractUser) -> list[Table]:
        """Return all data of the owner."""
        return []

    def suspend(self, owner: AbstractUser) -> None:
        """Block the use of the owner's data from now on, without deleting it."""

    def resume(self, owner: AbstractUser) -> None:
        """Undo `suspend`."""

    def erase(self, _owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete all data of the owner. Yield each kind as soon as it is deleted, and each row that has to be kept.

        Can be called again after an interruption. Raises NotYetError after it has deleted everything else.
        """
        yield from ()

    def schedule(self) -> list[Kept]:
        """Return the kinds of data that the app keeps and their terms, by the current settings."""
        return []

    def due(self, _now: datetime) -> list[Due]:
        """Return the data whose term is over at `now`, or whose owner has to be told of its end."""
        return []


_registered: list[PersonalData] = []


def register(data: PersonalData) -> None:
    """Include `data` in exports, erasures and retention; an app calls this in `AppConfig.ready()`."""
    _registered.append(data)


def all_personal_data() -> list[PersonalData]:
    """Return the registered data in the order of INSTALLED_APPS: each app comes before those that it builds upon."""
    return list(_registered)


def erase_rows(what: str, rows: QuerySet[Any], *, files: Iterable[str] = ()) -> Iterator[Erased]:
    """Delete `rows`, the files in their fields `files`, and their entries in the admin's log."""
    count = rows.count()
    if count:
        if names := tuple(files):
            for row in rows.only(*names).iterator():
                _delete_files(row, names)
        _forget_in_admin_log(rows)
        rows.only("pk").delete()  # Django reads the rows that others point to.
        yield Erased(what, count)


def _delete_files(row: Model, names: Iterable[str]) -> None:
    for name in names:
        file = getattr(row, name)
        if file:
            file.storage.delete(file.name)


def _forget_in_admin_log(rows: QuerySet[Any]) -> None:
    """Delete the entries about `rows`: of all entries, which are few, those whose row is one of them."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(rows.model))
    pks = list(entries.order_by().values_list("object_id", flat=True).distinct())
    for start in range(0, len(pks), ROWS_PER_QUERY):
        about = rows.filter(pk__in=pks[start : start + ROWS_PER_QUERY]).values_list("pk", flat=True)
        entries.filter(object_id__in=[str(pk) for pk in about]).delete()


def delete_folder(path: str) -> None:
    """Delete a folder of the storage, including files that no row points to."""
    media().delete_folder(path)


def erase_tasks(what: str, pks: Iterable[object]) -> Iterator[Erased]:
    """Delete the background tasks whose first argument is one of `pks`."""
    yield from erase_rows(what, DBTaskResult.objects.filter(args_kwargs__args__0__in=[str(pk) for pk in pks]))
