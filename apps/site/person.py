"""What the admin shows of a person beside their account: voices, conversations, usage, tokens and how they sign in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import ApiToken, Session, User
from apps.conversations.models import Conversation
from apps.usage import limits
from apps.usage.limits import Allowance
from apps.usage.models import UsageDay
from apps.voices.models import VoiceProfile

ROWS = 10
TOKENS = 50
DAYS = 30


@dataclass(slots=True)
class Panels:
    """The latest rows of each kind, None for a kind that the reader may not see, and sums of the last DAYS."""

    voices: list[VoiceProfile] | None = None
    voice_count: int = 0
    conversations: list[Conversation] | None = None
    conversation_count: int = 0
    today: UsageDay | None = None
    allowances: list[Allowance] = field(default_factory=list)
    requests_at_once: int = 0
    month: dict[str, float] = field(default_factory=dict)
    tokens: list[ApiToken] | None = None
    sessions: list[Any] = field(default_factory=list)
    session_count: int = 0
    second_factors: list[Any] = field(default_factory=list)
    addresses: list[Any] = field(default_factory=list)


def person_panels(person: User, *, may: Callable[[str], bool]) -> Panels:
    """Return what staff may see of `person`; `may` tells about a permission by its name. Takes about ten queries."""
    panels = Panels()
    if may("voices.view_voiceprofile"):
        panels.voices, panels.voice_count = _latest(VoiceProfile.objects.for_user(person).order_by("-created_at"))
    if may("conversations.view_conversation"):
        mine = Conversation.objects.for_user(person).select_related("voice").order_by("-updated_at")
        panels.conversations, panels.conversation_count = _latest(mine)
    if may("usage.view_usageday"):
        _add_usage(panels, person)
    if may("accounts.view_apitoken"):
        panels.tokens = list(ApiToken.objects.for_user(person)[:TOKENS])
    _add_sign_in(panels, person)
    return panels


def _latest(rows: QuerySet[Any]) -> tuple[list[Any], int]:
    """Return the first ROWS, and the number of all."""
    latest = list(rows[:ROWS])
    return latest, len(latest) if len(latest) < ROWS else rows.count()


def _add_usage(panels: Panels, person: User) -> None:
    days = limits.days_of(owner_id=person.pk, count=DAYS)
    panels.today = days[-1]
    panels.allowances = limits.allowances(days[-1])
    panels.requests_at_once = limits.limits_of(person.pk).concurrent_requests
    panels.month = {
        "requests": sum(day.requests for day in days),
        "seconds": sum(day.heard_seconds for day in days),
        "characters": sum(day.spoken_characters for day in days),
        "cost": sum(day.cost_dollars for day in days),
    }


def _add_sign_in(panels: Panels, person: User) -> None:
    valid = Session.objects.filter(user_id=person.pk, expire_date__gt=timezone.now())
    panels.session_count = valid.count()
    devices = UserSession.objects.filter(user=person, session_key__in=valid.values("session_key"))
    panels.sessions = list(devices.order_by("-last_seen_at")[:ROWS])
    panels.second_factors = list(Authenticator.objects.filter(user=person).order_by("type"))
    panels.addresses = list(EmailAddress.objects.filter(user=person).order_by("-primary"))
