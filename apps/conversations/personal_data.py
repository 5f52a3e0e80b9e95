"""What is kept of what people said, and when it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.conversations.models import RUNNING, AbuseReport, Conversation, Turn
from apps.conversations.reports import KEPT_FOR, delete_report
from apps.core.owned import OwnedQuerySet
from apps.core.personal_data import (
    IN_USE,
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

# Longer than any turn runs.
LONGEST_TURN = timedelta(minutes=10)
SOUND = ("question", "answer", "answer_mp3")


class ConversationsData(PersonalData):
    """Conversations with their turns and sound, and the reports of people who are not asked who they are."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [
            Table("conversations", _("Conversations: titles and settings"), Conversation.objects.for_user(owner)),
            Table(
                "turns",
                _("Turns: what you asked and what AI answered, in writing and in sound"),
                Turn.objects.for_user(owner),
                files=SOUND,
            ),
        ]

    def suspend(self, owner: AbstractUser) -> None:
        _running(owner).update(stop_requested=True)

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete all of it, when no turn runs any more: one that still ran would store its sound again."""
        if _running(owner).filter(created_at__gt=timezone.now() - LONGEST_TURN).exists():
            _running(owner).update(stop_requested=True)
            raise NotYetError(IN_USE)
        yield from erase_rows(_("Turns, with their sound"), Turn.objects.for_user(owner), files=SOUND)
        yield from erase_rows(_("Conversations"), Conversation.objects.for_user(owner))
        for folder in ("questions", "answers"):
            delete_folder(f"{folder}/{owner.pk}")
        _forget_address(owner)

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("What you said and what was answered, in writing"),
                gettext_lazy("so that you can look back and go on"),
                gettext_lazy("until you delete the conversation"),
            ),
            Kept(
                gettext_lazy("The sound of your questions and of the answers"),
                gettext_lazy("to be heard again"),
                _until_silent(),
            ),
            Kept(
                gettext_lazy("Reports of abuse, with the address of those who leave one"),
                gettext_lazy("to follow them up"),
                _("%(days)d days") % {"days": KEPT_FOR.days},
            ),
        ]

    def due(self, now: datetime) -> list[Due]:
        old = AbuseReport.objects.filter(created_at__lt=now - KEPT_FOR)
        reports = [
            Due(
                what=_("report of abuse"),
                since=report.created_at,
                rows=[str(report.pk)],
                act=partial(delete_report, report),
            )
            for report in old
        ]
        return [*reports, *(_sound_due(now) if settings.CONVERSATION_AUDIO_DAYS else [])]


def _running(owner: AbstractUser) -> OwnedQuerySet[Turn]:
    return Turn.objects.for_user(owner).filter(status__in=RUNNING)


def _forget_address(owner: AbstractUser) -> None:
    """Take the owner's addresses out of reports of theirs, which name nobody else."""
    theirs = Q(contact__iexact=owner.email) if owner.email else Q(pk=None)
    for address in EmailAddress.objects.filter(user=owner).values_list("email", flat=True):
        theirs |= Q(contact__iexact=address)
    AbuseReport.objects.filter(theirs).update(contact="")


def _until_silent() -> str:
    days = settings.CONVERSATION_AUDIO_DAYS
    if not days:
        return _("until you delete the conversation")
    return ngettext(
        "%(days)d day, or until you delete the conversation",
        "%(days)d days, or until you delete the conversation",
        days,
    ) % {"days": days}


def _sound_due(now: datetime) -> list[Due]:
    old = Turn.objects.filter(created_at__lt=now - timedelta(days=settings.CONVERSATION_AUDIO_DAYS))
    with_sound = old.exclude(question="", answer="", answer_mp3="").order_by("created_at")
    by_owner: dict[int, list[Turn]] = defaultdict(list)
    for turn in with_sound.iterator():
        by_owner[turn.owner_id].append(turn)
    return [
        Due(
            what=_("sound of conversations"),
            since=turns[0].created_at,
            rows=[str(turn.pk) for turn in turns],
            owner_id=owner_id,
            act=partial(_delete_sound, turns),
        )
        for owner_id, turns in by_owner.items()
    ]


def _delete_sound(turns: list[Turn]) -> None:
    for turn in turns:
        for file in turn.recordings:
            file.storage.delete(str(file.name))
        Turn.objects.filter(pk=turn.pk).update(**dict.fromkeys(SOUND, ""))
