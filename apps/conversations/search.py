"""Finds conversations by words: for their owner, and for staff among those of everybody."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.conversations.models import Conversation, ConversationQuerySet, Turn
from apps.core.owned import owner_is_like

# Each word is looked for in every text: with more of them, a search takes seconds.
MAX_WORDS = 8
MAX_CHARACTERS = 200
# A search of staff goes through the turns of everybody once, and keeps the newest ones that it finds.
MAX_FOUND = 1000


def words_of(search: str) -> list[str]:
    """Return the words to look for: the first MAX_WORDS in the first MAX_CHARACTERS."""
    return search[:MAX_CHARACTERS].replace("\0", " ").split()[:MAX_WORDS]  # PostgreSQL takes no NUL.


def search_conversations(*, owner: User, search: str) -> ConversationQuerySet:
    """Return the owner's conversations that contain all words of `search` in their title or turns."""
    conversations = Conversation.objects.for_user(owner).select_related("voice")
    for word in words_of(search):
        said = Turn.objects.for_user(owner).filter(_says(word))
        conversations = conversations.filter(Q(title__icontains=word) | Q(pk__in=said.values("conversation")))
    return conversations


def with_excerpts(conversations: QuerySet[Conversation], *, search: str) -> QuerySet[Conversation]:
    """Annotate each with `excerpt`, the id of the turn to show of it.

    That is the latest turn that contains all words of `search`, or else one of them, or else its latest turn.
    """
    turns = Turn.objects.filter(conversation=OuterRef("pk")).order_by("-created_at").values("pk")
    said = [_says(word) for word in words_of(search)]
    candidates = [turns.filter(reduce(join, said)) for join in (and_, or_) if said]
    first_of_each = [Subquery(rows[:1]) for rows in (*candidates, turns)]
    return conversations.annotate(excerpt=Coalesce(*first_of_each) if said else first_of_each[0])


def turn_counts() -> Coalesce:
    """Return the number of turns of a conversation, to annotate. A join would multiply the rows before they are cut."""
    turns = Turn.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
    return Coalesce(Subquery(turns.annotate(count=Count("pk")).values("count")), 0)


def found_by_staff(search: str) -> list[tuple[UUID, UUID]]:
    """Return the ids of the newest MAX_FOUND turns that contain all words of `search`, with their conversations.

    A word may also be in the name or the address of the owner.
    """
    turns = Turn.objects.all()
    for word in words_of(search):
        turns = turns.filter(_says(word) | owner_is_like(word))
    # SQLite would read the turns in the order of an index of their times, one by one all over the file: 206 ms for a
    # rare word among 100,000 turns instead of 48.
    time = Coalesce("created_at", "created_at") if connection.vendor == "sqlite" else F("created_at")
    return list(turns.order_by(time.desc()).values_list("pk", "conversation")[:MAX_FOUND])


def titled_for_staff(search: str) -> Q:
    """Return the condition that a conversation has all words of `search` in its title or its owner's name."""
    condition = Q()
    for word in words_of(search):
        condition &= Q(title__icontains=word) | owner_is_like(word)
    return condition


def _says(word: str) -> Q:
    return Q(transcript__icontains=word) | Q(reply__icontains=word)
