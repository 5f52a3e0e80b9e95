"""The database in a backup: a copy of SQLite's file, or a dump of PostgreSQL. Both are of one moment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from apps.background.backups.archive import BackupError

if TYPE_CHECKING:
    from apps.background.backups.archive import ArchiveReader, ArchiveWriter

MEMBERS = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
NO_OWNERS = ("--no-owner", "--no-acl")


def save(archive: ArchiveWriter, folder: Path) -> None:
    """Add the database, and describe it in the manifest. `folder` has room for a copy of it. Raises BackupError."""
    if connection.vendor == "sqlite":
        _save_sqlite(archive, folder)
    else:
        _save_postgresql(archive)


def _save_sqlite(archive: ArchiveWriter, folder: Path) -> None:
    connection.ensure_connection()
    with NamedTemporaryFile(dir=folder, prefix=".database-") as copied:  # Mode 0600.
        with _sqlite_errors(), closing(sqlite3.connect(copied.name)) as target:
            # In one step: it hinders no writer, and with several, each write in between would begin the copy again.
            connection.connection.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # A file without a journal beside it.
            archive.details["database"] = _described(target.cursor())
        with Path(copied.name).open("rb") as source:
            archive.add(MEMBERS["sqlite"], source, compress=True)


def _save_postgresql(archive: ArchiveWriter) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = cursor.fetchone()
        archive.details["database"] = _described(cursor)
        command, environment = _postgresql("pg_dump", "--format=custom", f"--snapshot={snapshot}", *NO_OWNERS)
        with subprocess.Popen(  # noqa: S603 - the operator's own settings
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            archive.add(MEMBERS["postgresql"], process.stdout)
            _check(process, "pg_dump")


def _described(cursor: Any) -> dict[str, Any]:
    """Return the vendor, the migrations, and the number of rows of each table that `cursor` sees."""
    cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
    migrations = [f"{app}.{name}" for app, name in cursor.fetchall()]
    return {"vendor": connection.vendor, "migrations": migrations, "rows": _row_counts(cursor)}


def _row_counts(cursor: Any) -> dict[str, int]:
    counts = {}
    for table in sorted(model._meta.db_table for model in apps.get_models(include_auto_created=True)):
        cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our tables # nosec B608
        (counts[table],) = cursor.fetchone()
    return counts


def is_empty() -> bool:
    """Whether the database has no row of this application but the identity that the first start leaves there."""
    tables = set(connection.introspection.table_names())
    models = (model for model in apps.get_models() if model._meta.app_label != "core")
    own = [model for model in models if model.__module__.startswith("apps.")]
    return not any(model._base_manager.exists() for model in own if model._meta.db_table in tables)


def check_fits(archive: ArchiveReader) -> None:
    """Raise BackupError if the database in the archive cannot be loaded into the one of the settings."""
    described = archive.manifest.get("database")
    if described is None:
        raise BackupError("This backup contains no database.")
    if described["vendor"] != connection.vendor:
        message = f"This backup is of {described['vendor']}, and DATABASE_URL names {connection.vendor}."
        raise BackupError(message)
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(described["migrations"]) - known):
        version = archive.manifest.get("version")
        message = f"This backup is of another version ({version}), with the migrations {', '.join(unknown)}."
        raise BackupError(message)
    if connection.vendor == "postgresql":
        _program("pg_restore")
        _require_no_other_tables(described["rows"])


def _require_no_other_tables(stored: dict[str, int]) -> None:
    """Raise BackupError if the database has tables of a newer version: `pg_restore` would leave them as they are."""
    if others := set(connection.introspection.table_names()) - {*stored, "django_migrations"}:
        message = f"The database has tables that the backup has not ({', '.join(sorted(others))}). Use an empty one."
        raise BackupError(message)


def load(archive: ArchiveReader, folder: Path) -> None:
    """Replace the database: all of it or nothing. `folder` has room for a copy. Raises BackupError."""
    with NamedTemporaryFile(dir=folder, prefix=".database-") as copied:
        archive.copy(MEMBERS[connection.vendor], copied)
        copied.flush()
        if connection.vendor == "sqlite":
            _load_sqlite(copied.name)
        else:
            _load_postgresql(copied.name)


def _load_sqlite(name: str) -> None:
    connection.ensure_connection()
    with _sqlite_errors(), closing(sqlite3.connect(name)) as source:
        source.backup(connection.connection)
    with connection.cursor() as cursor:  # Nothing of the old data stays in the journal.
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        message = f"SQLite cannot copy its database: {error}."
        raise BackupError(message) from error


def _load_postgresql(name: str) -> None:
    connection.close()
    options = ("--single-transaction", "--exit-on-error", "--clean", "--if-exists", *NO_OWNERS)
    command, environment = _postgresql("pg_restore", *options)
    with subprocess.Popen([*command, name], env=environment, stderr=subprocess.PIPE) as process:  # noqa: S603
        _check(process, "pg_restore")


def _postgresql(program: str, *options: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of a program that works on the database of the settings."""
    arguments, environment = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    *address, database = arguments[1:]
    return [_program(program), *address, f"--dbname={database}", *options], os.environ | (environment or {})


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed. It is one of PostgreSQL's client programs (postgresql-client)."
        raise BackupError(message)
    return path


def _check(process: subprocess.Popen[bytes], name: str) -> None:
    """Wait for the end of a program. Raises BackupError with what it printed if it failed."""
    _output, errors = process.communicate()
    if process.returncode:
        message = f"{name} failed: {errors.decode(errors='replace').strip()}"
        raise BackupError(message)
