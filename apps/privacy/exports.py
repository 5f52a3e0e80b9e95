"""Exports all data of a person as one ZIP file. It is built in the background and stored as a stream."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from django.core.files.storage import default_storage
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import F, FileField, Model
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tasks import task

from apps.accounts.models import User
from apps.core.errors import RecordingMissingError, UserError
from apps.core.mail import mail
from apps.core.personal_data import Table, all_personal_data
from apps.core.recordings import opened
from apps.core.storage import media
from apps.privacy.models import Export, export_path

logger = logging.getLogger(__name__)

EXPORT_LIFETIME = timedelta(days=1)
# The worker extends it while it builds the file. No part of an export takes longer.
EXPORT_LEASE = timedelta(minutes=5)
PROGRESS_SECONDS = 1.0
MAX_EXPORT_STARTS = 5
MISSING_FILE = "MISSING.txt"
ENCODER = DjangoJSONEncoder(ensure_ascii=False, indent=2)


class _ExportGoneError(Exception):
    """The export was deleted while its file was being built."""


def start_export(*, owner: User) -> Export:
    """Start an export of all data of `owner`. It replaces an earlier one.

    Raises UserError while an export is being built.
    """
    earlier = Export.objects.for_user(owner).first()
    if earlier is not None and earlier.is_under_way:
        raise _under_way()
    if earlier is not None:
        delete_export(export=earlier)
    try:
        with transaction.atomic():
            export = Export.objects.create(owner=owner, lease_until=timezone.now() + EXPORT_LEASE)
            build_export.enqueue(str(export.pk))
    except IntegrityError:  # Another request was faster.
        raise _under_way() from None
    logger.info("Export requested", extra={"export": str(export.pk), "user": owner.pk})
    return export


def _under_way() -> UserError:
    text = _("Your data is already being exported. Wait until that file is ready.")
    return UserError("export_under_way", text, status=409)


def delete_export(*, export: Export) -> None:
    """Delete the file and then its row. A worker that is still building the file stops."""
    if export.file:
        export.file.storage.delete(str(export.file.name))
    export.delete()


def delete_expired() -> None:
    """Delete exports, finished or failed, after EXPORT_LIFETIME."""
    now = timezone.now()
    expired = Export.objects.filter(expires_at__lt=now)
    failed = Export.objects.filter(state=Export.State.FAILED, created_at__lt=now - EXPORT_LIFETIME)
    for export in (expired | failed).iterator():
        delete_export(export=export)


def restart_abandoned() -> None:
    """Restart the exports whose worker was killed. Give up an export after MAX_EXPORT_STARTS."""
    now = timezone.now()
    under_way = [Export.State.WAITING, Export.State.RUNNING]
    lost = Export.objects.filter(state__in=under_way, lease_until__lt=now)
    lost.filter(starts__gte=MAX_EXPORT_STARTS).update(state=Export.State.FAILED)
    for export in lost:
        with transaction.atomic():
            mine = Export.objects.filter(pk=export.pk, state__in=under_way, lease_until=export.lease_until)
            if mine.update(state=Export.State.WAITING, lease_until=now + EXPORT_LEASE):
                build_export.enqueue(str(export.pk))


@task()
def build_export(export_pk: str) -> None:
    """Build the file of a waiting export."""
    waiting = Export.objects.filter(pk=export_pk, state=Export.State.WAITING)
    claim = {"state": Export.State.RUNNING, "starts": F("starts") + 1, "parts_done": 0}
    if not waiting.update(**claim, lease_until=timezone.now() + EXPORT_LEASE):
        return
    export = Export.objects.select_related("owner").get(pk=export_pk)
    try:
        _build_file(export)
    except _ExportGoneError:
        return
    except Exception:
        Export.objects.filter(pk=export_pk).update(state=Export.State.FAILED)
        raise
    logger.info("Export ready", extra={"export": export_pk, "bytes": export.size})
    mail(
        to=export.owner.email, subject=_("Your data is ready"), template="privacy/email/export_ready.txt", export=export
    )


def _build_file(export: Export) -> None:
    tables = [table for data in all_personal_data() for table in data.tables(export.owner)]
    progress = _Progress(export, sum(1 + _file_count(table) for table in tables))
    with _file_of(export) as stream, ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        missing = _write_tables(archive, tables, progress)
        if missing:
            archive.writestr(_info(MISSING_FILE), _render("missing", {"names": missing}))
        archive.writestr(_info("README.txt"), _render("readme", {"export": export, "tables": tables}))
    export.size, export.missing = default_storage.size(str(export.file.name)), len(missing)
    ready = {
        "state": Export.State.READY,
        "size": export.size,
        "missing": export.missing,
        "expires_at": timezone.now() + EXPORT_LIFETIME,
    }
    if not Export.objects.filter(pk=export.pk, state=Export.State.RUNNING).update(**ready, parts_done=progress.parts):
        default_storage.delete(str(export.file.name))
        raise _ExportGoneError


def _write_tables(archive: ZipFile, tables: list[Table], progress: _Progress) -> list[str]:
    """Write all rows and files. Return the names in the archive of the files that are missing on the server."""
    missing = []
    for table in tables:
        _write_rows(archive, table)
        progress.step()
        for row, field in _rows_with_files(table):
            try:
                _write_file(archive, table, row, field)
            except RecordingMissingError:
                if _is_named(table, row, field):
                    missing.append(str(_name_in_archive(table, row, field)))
            progress.step()
    return missing


@contextmanager
def _file_of(export: Export) -> Iterator[IO[bytes]]:
    """Open the export's file. Its name is stored first, so that a killed worker leaves no file without a row."""
    name = str(export.file.name) if export.file else export_path(export, "")
    if not Export.objects.filter(pk=export.pk).update(file=name):
        raise _ExportGoneError
    export.file.name = name
    with media().writing(name) as stream:
        yield stream


@dataclass(slots=True)
class _Progress:
    """The progress of an export. It is stored at most once in PROGRESS_SECONDS, which also extends the lease."""

    export: Export
    parts: int
    done: int = 0
    stored_at: float = 0.0

    def step(self) -> None:
        self.done += 1
        if time.monotonic() - self.stored_at >= PROGRESS_SECONDS:
            self.stored_at = time.monotonic()
            mine = Export.objects.filter(pk=self.export.pk, state=Export.State.RUNNING)
            # Rows may have been added since the parts were counted.
            counts = {"parts_done": min(self.done, self.parts), "parts": self.parts}
            if not mine.update(**counts, lease_until=timezone.now() + EXPORT_LEASE):
                raise _ExportGoneError


def _file_count(table: Table) -> int:
    return sum(table.rows.exclude(**{field: ""}).count() for field in table.files)


def _rows_with_files(table: Table) -> Iterator[tuple[Model, str]]:
    if table.files:
        for row in table.rows.iterator():
            yield from ((row, field) for field in table.files if getattr(row, field))


def _write_rows(archive: ZipFile, table: Table) -> None:
    """Write the rows as a JSON array, one after the other."""
    with archive.open(_info(f"{table.name}.json"), "w", force_zip64=True) as member:
        separator = "[\n"
        for row in table.rows.iterator():
            member.write(f"{separator}{ENCODER.encode(_as_json(table, row))}".encode())
            separator = ",\n"
        member.write(b"[]\n" if separator == "[\n" else b"\n]\n")


def _as_json(table: Table, row: Model) -> dict[str, Any]:
    fields = {
        field.name: _name_in_archive(table, row, field.name)
        if isinstance(field, FileField)
        else getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.name not in table.without
    }
    return fields | {name: getattr(row, name) for name in table.properties}


def _name_in_archive(table: Table, row: Model, field: str) -> str | None:
    file = getattr(row, field)
    return f"{table.name}/{row.pk}-{field}{PurePath(file.name).suffix}" if file else None


def _write_file(archive: ZipFile, table: Table, row: Model, field: str) -> None:
    """Copy a file into the archive. Raises RecordingMissingError."""
    info = _info(str(_name_in_archive(table, row, field)), ZIP_STORED)
    with opened(getattr(row, field)) as source, archive.open(info, "w", force_zip64=True) as member:
        shutil.copyfileobj(source, member)


def _is_named(table: Table, row: Model, field: str) -> bool:
    """Whether the row still names the file: otherwise the file was deleted since the row was read."""
    return table.rows.filter(pk=row.pk, **{field: getattr(row, field).name}).exists()


def _info(name: str, compression: int = ZIP_DEFLATED) -> ZipInfo:
    info = ZipInfo(name, timezone.now().timetuple()[:6])
    info.compress_type = compression
    info.external_attr = 0o600 << 16
    return info


def _render(name: str, context: dict[str, Any]) -> str:
    return render_to_string(f"privacy/export_{name}.txt", context)
