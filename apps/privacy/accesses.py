"""The records of members of the staff who read or listened to private content of a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone

from apps.core.content_access import Kind
from apps.privacy.models import ContentAccess

# A player requests a sound in parts, and again to seek in it: that is one listening.
ONE_ACCESS = timedelta(minutes=10)
ACCESS_RETENTION = timedelta(days=365)


def store(*, reader_id: int, kind: Kind, owners: Mapping[str, int]) -> None:
    """Store an access to each item, unless it continues one that is stored. `owners` has their owners by their ids."""
    since = timezone.now() - ONE_ACCESS
    stored = ContentAccess.objects.filter(reader_id=reader_id, kind=kind, object_id__in=owners, created_at__gt=since)
    continued = set(stored.values_list("object_id", "owner_id"))
    new = [access for access in owners.items() if access not in continued]
    ContentAccess.objects.bulk_create(
        ContentAccess(reader_id=reader_id, owner_id=owner_id, kind=kind, object_id=object_id)
        for object_id, owner_id in new
    )


def delete_old() -> None:
    """Delete the records after ACCESS_RETENTION."""
    ContentAccess.objects.filter(created_at__lt=timezone.now() - ACCESS_RETENTION).delete()
