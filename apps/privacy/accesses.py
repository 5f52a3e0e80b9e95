"""The records of members of the staff who read or listened to private content of a person."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.core.content_access import Kind
from apps.privacy.models import ContentAccess

# A player requests a sound in parts, and again to seek in it: that is one listening.
ONE_ACCESS = timedelta(minutes=10)
ACCESS_RETENTION = timedelta(days=365)


def store(*, reader_id: int, owner_id: int, kind: Kind, object_id: str) -> None:
    """Store an access, unless it continues one that is stored."""
    access = {"reader_id": reader_id, "owner_id": owner_id, "kind": kind, "object_id": object_id}
    if not ContentAccess.objects.filter(**access, created_at__gt=timezone.now() - ONE_ACCESS).exists():
        ContentAccess.objects.create(**access)


def delete_old() -> None:
    """Delete the records after ACCESS_RETENTION."""
    ContentAccess.objects.filter(created_at__lt=timezone.now() - ACCESS_RETENTION).delete()
