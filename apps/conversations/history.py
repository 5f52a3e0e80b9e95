"""The history: pages of a person's conversations, the pinned ones first, or those that a search finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations.highlights import highlighted, snippet
from apps.conversations.models import Conversation, Turn
from apps.conversations.search import MAX_FOUND, search_conversations, turn_counts, with_excerpts, words_of
from apps.core.times import DAY

CONVERSATIONS_PER_PAGE = 20


class Row:
    """A conversation as the history shows it: with an excerpt of the turn that was found, or of its latest turn."""

    def __init__(self, conversation: Any, turn: Turn | None, words: Sequence[str]) -> None:
        self.conversation = conversation
        self.turn_count: int = conversation.turn_count
        self._turn = turn
        self._words = words

    @property
    def address(self) -> str:
        """The page of the conversation; of one that was found, at the turn."""
        address = reverse("conversations:detail", args=[self.conversation.pk])
        return f"{address}?turn={self._turn.pk}#turn-{self._turn.pk}" if self._turn and self._words else address

    @property
    def name(self) -> str:
        """The title, or else what was asked."""
        return self.conversation.title or self._asked or _("Conversation")

    @property
    def title(self) -> SafeString:
        return highlighted(self.name, self._words)

    @property
    def question(self) -> SafeString:
        """What was asked, if the title does not say it."""
        return highlighted("" if self._asked == self.name else self._asked, self._words)

    @property
    def reply(self) -> SafeString:
        return highlighted(snippet(self._turn.reply, self._words) if self._turn else "", self._words)

    @property
    def _asked(self) -> str:
        return snippet(self._turn.transcript, self._words) if self._turn else ""


def history_page(owner: User, search: str, number: str | None) -> tuple[list[Row], Page[Row]]:
    """Return the pinned conversations, for the first page only, and a page of the others, by their latest turn.

    A search finds the newest MAX_FOUND, and pinned ones among the others. A `number` that does not exist is the first
    or the last page.
    """
    found = search_conversations(owner=owner, search=search)
    others = found if search else found.filter(pinned_at=None)
    pks = others.order_by("-updated_at").values_list("pk", flat=True)
    # A search reads all turns of the person: not once to count what it finds, and once more for the page.
    pages: Paginator[Any] = Paginator(list(pks[:MAX_FOUND]) if search else pks, CONVERSATIONS_PER_PAGE)
    page = pages.get_page(number)
    has_pinned = not search and page.number == 1
    pinned = list(Conversation.objects.for_user(owner).pinned().values_list("pk", flat=True)) if has_pinned else []
    rows = rows_of(owner, [*pinned, *page.object_list], search)
    page.object_list = [rows[pk] for pk in page.object_list if pk in rows]
    return [rows[pk] for pk in pinned if pk in rows], page


def rows_of(owner: User, pks: Iterable[UUID], search: str = "") -> dict[UUID, Row]:
    """Return the rows of these conversations of the owner's. Excerpts and counts are computed for them only."""
    shown = Conversation.objects.for_user(owner).filter(pk__in=list(pks)).select_related("voice")
    counted: list[Any] = list(with_excerpts(shown.annotate(turn_count=turn_counts()), search=search))
    turns = Turn.objects.only("transcript", "reply").in_bulk([each.excerpt for each in counted if each.excerpt])
    words = words_of(search)
    return {each.pk: Row(each, turns.get(each.excerpt), words) for each in counted}


def by_day(rows: Iterable[Row], now: datetime | None = None) -> list[tuple[str, list[Row]]]:
    """Return the rows of each day, in UTC, with the name of the day."""
    today = (now or timezone.now()).astimezone(UTC).date()
    days = groupby(rows, key=lambda row: row.conversation.updated_at.astimezone(UTC).date())
    return [(_day_name(day, today), list(those)) for day, those in days]


def _day_name(day: date, today: date) -> str:
    if day == today:
        return _("Today (UTC)")
    if day == today - timedelta(days=1):
        return _("Yesterday (UTC)")
    return f"{date_format(day, DAY)} UTC"
