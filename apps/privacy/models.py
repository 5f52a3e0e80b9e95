"""Exports of a person's data, erasures of accounts, and records of who read what people said."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.content_access import Kind
from apps.core.owned import OwnedQuerySet


def export_path(export: Export, _filename: str) -> str:
    return f"exports/{export.owner_id}/{uuid.uuid4().hex}.zip"


class Export(models.Model):
    """All data of a person as one file, which they can download for a day. Each person has at most one.

    A worker that builds it owns it until `lease_until`, and extends this lease. An expired lease means that the worker
    was killed.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being created")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    file = models.FileField(_("file"), upload_to=export_path, blank=True)
    size = models.BigIntegerField(_("bytes"), default=0)
    # Recordings that rows name, but whose files the server does not have.
    missing = models.PositiveIntegerField(_("missing recordings"), default=0)
    parts_done = models.PositiveIntegerField(_("parts done"), default=0)
    parts = models.PositiveIntegerField(_("parts"), default=0)
    starts = models.PositiveSmallIntegerField(_("starts"), default=0)
    lease_until = models.DateTimeField(_("restarted after"), default=timezone.now)
    created_at = models.DateTimeField(_("requested"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("deleted after"), null=True, blank=True)

    objects: ClassVar[OwnedQuerySet[Export]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("export")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_under_way(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}


class Erasure(models.Model):
    """The deletion of an account with all its data. This row stays, without data of the person.

    It can be cancelled until `due_at`. Then it is tried at each `next_try_at` until everything is deleted. `receipt`
    lists the deletions as `{"at", "what", "count"}`; `kept` lists the rows that the law requires to keep, as
    `{"what", "until", "reference"}`.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("can be cancelled")
        RUNNING = "running", _("being deleted")
        DONE = "done", _("deleted")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="erasure",
        verbose_name=_("account"),
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now, editable=False)
    due_at = models.DateTimeField(_("starts"))
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    error_code = models.CharField(_("error code of the last try"), max_length=50, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    receipt = models.JSONField(_("receipt"), default=list, blank=True)
    kept = models.JSONField(_("retained"), default=list, blank=True)

    class Meta:
        verbose_name = _("erasure")
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return str(self.pk)


class ContentAccess(models.Model):
    """A member of the staff read or listened to an item of the owner. It stays when the reader's account is deleted.

    `object_id` is the id of the item, which may be deleted before this row.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    # Without an index of its own: those below begin with it.
    reader = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("read by"),
    )
    kind = models.CharField(_("what"), max_length=20, choices=Kind.choices)
    object_id = models.CharField(_("id"), max_length=64)
    created_at = models.DateTimeField(_("time"), default=timezone.now, editable=False)

    objects: ClassVar[OwnedQuerySet[ContentAccess]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("access to content")
        verbose_name_plural = _("accesses to content")
        ordering = ["-created_at"]
        default_permissions = ["view"]
        permissions = [("read_content", _("Can read and listen to what people said, wrote and recorded"))]
        indexes = [
            models.Index(fields=["created_at", "id"], name="accesses_by_time"),
            models.Index(fields=["reader", "object_id", "created_at"], name="accesses_of_reader"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"

    @property
    def reader_name(self) -> str:
        """The user name of the reader; "" after the deletion of that account."""
        return self.reader.get_username() if self.reader else ""
