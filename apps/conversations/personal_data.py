"""Exports, erases and retains the personal data in conversations, turns and reports of abuse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.conversations.models import RUNNING, SOUND_FIELDS, AbuseReport, Conversation, Share, Turn
from apps.conversations.reports import REPORT_RETENTION, delete_report
from apps.core.owned import OwnedQuerySet
from apps.core.personal_data import (
    IN_USE,
    ROWS_PER_QUERY,
    Due,
    Erased,
    Kept,
    NotYetError,
    PersonalData,
    Retained,
    Table,
    delete_folder,
    erase_rows,
)

# No turn runs for longer than this.
MAX_TURN_DURATION = timedelta(minutes=10)


class ConversationsData(PersonalData):
    """Conversations with their turns, sound and links, and reports of abuse.

    The reports may come from people without an account.
    """

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [
            Table("conversations", _("Conversations: titles and settings"), Conversation.objects.for_user(owner)),
            Table(
                "turns",
                _("Turns: your questions and the answers by AI, as text and as sound"),
                Turn.objects.for_user(owner),
                files=SOUND_FIELDS,
            ),
            Table(
                "shares",
                _("Links with which you share answers, without their secret"),
                Share.objects.for_user(owner),
                without=("digest",),
            ),
        ]

    def suspend(self, owner: AbstractUser) -> None:
        _running(owner).update(stop_requested=True)

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete all of it once no turn is running: a running turn would store its sound again."""
        if _running(owner).filter(created_at__gt=timezone.now() - MAX_TURN_DURATION).exists():
            _running(owner).update(stop_requested=True)
            raise NotYetError(IN_USE)
        yield from erase_rows(_("Links that share answers"), Share.objects.for_user(owner))
        yield from erase_rows(_("Turns, with their sound"), Turn.objects.for_user(owner), files=SOUND_FIELDS)
        yield from erase_rows(_("Conversations"), Conversation.objects.for_user(owner))
        for folder in ("questions", "answers"):
            delete_folder(f"{folder}/{owner.pk}")
        _remove_addresses(owner)

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your questions and the answers, as text"),
                gettext_lazy("so that you can read and continue your conversations"),
                gettext_lazy("until you delete the conversation"),
            ),
            Kept(
                gettext_lazy("Your questions and the answers, as sound"),
                gettext_lazy("so that you can play them again"),
                _sound_retention(),
            ),
            Kept(
                gettext_lazy("Links with which you share answers"),
                gettext_lazy("so that those to whom you give a link can hear the answer without an account"),
                gettext_lazy("until you revoke the link, or until it expires, which you set to 1, 7 or 30 days"),
            ),
            Kept(
                gettext_lazy("Reports of abuse, with the email address of the sender, if given"),
                gettext_lazy("so that the operator can act on them"),
                _("%(days)d days") % {"days": REPORT_RETENTION.days},
            ),
        ]

    def due(self, now: datetime) -> list[Due]:
        old = AbuseReport.objects.filter(created_at__lt=now - REPORT_RETENTION)
        reports = [
            Due(
                what=_("report of abuse"),
                since=report.created_at,
                rows=[str(report.pk)],
                act=partial(delete_report, report),
            )
            for report in old
        ]
        return [*reports, *_shares_due(now), *(_sound_due(now) if settings.CONVERSATION_AUDIO_DAYS else [])]


def _running(owner: AbstractUser) -> OwnedQuerySet[Turn]:
    return Turn.objects.for_user(owner).filter(status__in=RUNNING)


def _remove_addresses(owner: AbstractUser) -> None:
    """Remove the owner's email addresses from reports of abuse, which have no owner."""
    by_owner = Q(contact__iexact=owner.email) if owner.email else Q(pk=None)
    for address in EmailAddress.objects.filter(user=owner).values_list("email", flat=True):
        by_owner |= Q(contact__iexact=address)
    AbuseReport.objects.filter(by_owner).update(contact="")


def _sound_retention() -> str:
    days = settings.CONVERSATION_AUDIO_DAYS
    if not days:
        return _("until you delete the conversation")
    return ngettext(
        "%(days)d day, or until you delete the conversation",
        "%(days)d days, or until you delete the conversation",
        days,
    ) % {"days": days}


def _shares_due(now: datetime) -> list[Due]:
    by_owner: dict[int, list[Share]] = defaultdict(list)
    for share in Share.objects.filter(expires_at__lt=now).order_by("expires_at"):
        by_owner[share.owner_id].append(share)
    return [
        Due(
            what=_("expired links"),
            since=expired[0].expires_at,
            rows=[str(share.pk) for share in expired],
            owner_id=owner_id,
            act=partial(_delete_shares, [share.pk for share in expired]),
        )
        for owner_id, expired in by_owner.items()
    ]


def _delete_shares(pks: list[UUID]) -> None:
    for start in range(0, len(pks), ROWS_PER_QUERY):
        Share.objects.filter(pk__in=pks[start : start + ROWS_PER_QUERY]).delete()


def _sound_due(now: datetime) -> list[Due]:
    old = Turn.objects.filter(created_at__lt=now - timedelta(days=settings.CONVERSATION_AUDIO_DAYS))
    with_sound = old.exclude(question="", answer="", answer_mp3="").order_by("created_at")
    by_owner: dict[int, list[tuple[UUID, datetime]]] = defaultdict(list)
    # Not the whole turns: the texts of a large site take more memory than it has.
    for pk, owner_id, created_at in with_sound.values_list("pk", "owner", "created_at").iterator():
        by_owner[owner_id].append((pk, created_at))
    return [
        Due(
            what=_("sound of conversations"),
            since=turns[0][1],
            rows=[str(pk) for pk, _created_at in turns],
            owner_id=owner_id,
            act=partial(_delete_sound, [pk for pk, _created_at in turns]),
        )
        for owner_id, turns in by_owner.items()
    ]


def _delete_sound(pks: list[UUID]) -> None:
    for start in range(0, len(pks), ROWS_PER_QUERY):
        turns = Turn.objects.filter(pk__in=pks[start : start + ROWS_PER_QUERY])
        for turn in turns.only(*SOUND_FIELDS):
            for file in turn.recordings:
                file.storage.delete(str(file.name))
        turns.update(**dict.fromkeys(SOUND_FIELDS, ""))
