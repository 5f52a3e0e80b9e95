"""The contract for private content, which is what people said, wrote and recorded: who of the staff may see it, and the
record of who did.

Metadata (ids, times, states, lengths, codes) is open to all staff. The privacy app stores the records, and registers
how in `AppConfig.ready()`, so that every app can write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

PERMISSION = "privacy.read_content"
PLACEHOLDER = _("Hidden: reading content needs a permission")
"""Shown in place of content to those who may not read it."""


class Kind(models.TextChoices):
    """What was read or listened to. The `object_id` of a record is the id of the named row."""

    CONVERSATION = "conversation", _("text of a conversation")
    TURN = "turn", _("text of a turn")
    QUESTION = "question", _("sound of a question (turn)")
    ANSWER = "answer", _("sound of an answer (turn)")
    SAMPLE = "sample", _("recording of a voice (sample)")
    CONSENT = "consent", _("text of a consent")
    CONSENT_CLIP = "consent_clip", _("recording of a consent")
    PREVIEW = "preview", _("preview of a voice")
    EXPORT = "export", _("export of conversations or turns, or of all data of a person")


class Recorder(Protocol):
    """Stores that the user `reader_id` read items: `owners` has the id of the owner by the id of the item."""

    def __call__(self, *, reader_id: int, kind: Kind, owners: Mapping[str, int]) -> None: ...


_recorders: list[Recorder] = []


def register(recorder: Recorder) -> None:
    """Store records with `recorder`; an app calls this in `AppConfig.ready()`."""
    _recorders.append(recorder)


def may_read_content(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether a member of the staff may hear and read private content."""
    # An AbstractBaseUser has no permissions; the site's users do.
    return bool(getattr(user, "is_staff", False)) and user.has_perm(PERMISSION)  # type: ignore[union-attr]


def record_access(
    *, reader: AbstractBaseUser | AnonymousUser, owner: AbstractBaseUser | int | None, kind: str, object_id: object
) -> None:
    """Record that `reader` reads or listens to an item of `owner`, before it is sent.

    `owner` is a user or the id of one. Nobody is told of an item without an owner, or of the owner's own reading.
    Repetitions within a few minutes, such as the parts of a sound file, count as one. Raises ValueError for an unknown
    kind.
    """
    owner_id = owner.pk if isinstance(owner, AbstractBaseUser) else owner
    record_accesses(reader=reader, kind=kind, owners={object_id: owner_id})


def record_accesses(*, reader: AbstractBaseUser | AnonymousUser, kind: str, owners: Mapping[Any, int | None]) -> None:
    """Record as `record_access` does, with few queries for many items: `owners` has ids of owners by ids of items."""
    others = {str(item): owner for item, owner in owners.items() if owner is not None and owner != reader.pk}
    if reader.pk is None or not others:
        return
    for recorder in _recorders:
        recorder(reader_id=reader.pk, kind=Kind(kind), owners=others)
