"""Finds conversations by words: for their owner, and for staff among those of everybody."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from uuid import UUID

from django.db import connection
from django.db.models import Aggregate, BooleanField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce, Concat, Upper

from apps.accounts.models import User
from apps.conversations.models import Conversation, ConversationQuerySet, Turn
from apps.core.owned import owner_is_like

# Each word is looked for in every text: with more of them, a search takes seconds.
MAX_WORDS = 8
MAX_CHARACTERS = 200
# A page that counts what is found keeps only the newest: a person can have tens of thousands of conversations with a
# common word, and a search of staff goes through the turns of everybody.
MAX_FOUND = 1000
# A word that none of these turns says is rare: it is in less than about one turn of a hundred.
SAMPLE_TURNS = 300


def words_of(search: str) -> list[str]:
    """Return the words to look for: the first MAX_WORDS in the first MAX_CHARACTERS."""
    return search[:MAX_CHARACTERS].replace("\0", " ").split()[:MAX_WORDS]  # PostgreSQL takes no NUL.


def search_conversations(*, owner: User, search: str) -> ConversationQuerySet:
    """Return the owner's conversations that contain all words of `search` in their title or turns.

    There are two ways to look for a word. The turns that say it can be found by themselves: an index has those of a
    rare word at once, but each common word goes through all turns of the person. Or the texts of a conversation can be
    read for several words at once: that goes through the turns once, whatever the words are, and stops as soon as a
    page is full. One or two words are looked for in the first way. Of more words, those that none of a few turns say
    are: they leave few conversations, if any, which are then read for the common ones.
    """
    conversations = Conversation.objects.for_user(owner).select_related("voice")
    words = words_of(search)
    common = _common(owner, words) if len(words) > 2 and connection.vendor == "postgresql" else []
    for word in words:
        if word not in common:
            said = Turn.objects.for_user(owner).filter(_says(word))
            conversations = conversations.filter(Q(title__icontains=word) | Q(pk__in=said.values("conversation")))
    return conversations.filter(_contains_all(owner, common)) if common else conversations


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


def _common(owner: User, words: list[str]) -> list[str]:
    """Return the words that some of SAMPLE_TURNS turns of the owner's say, without repetitions."""
    sample = Turn.objects.for_user(owner).order_by().values("pk")[:SAMPLE_TURNS]
    counts = {str(n): Count("pk", filter=_says(word)) for n, word in enumerate(words)}
    said = Turn.objects.filter(pk__in=sample).aggregate(**counts)
    return [word for n, word in enumerate(words) if said[str(n)]]


def _contains_all(owner: User, words: list[str]) -> Coalesce:
    """Return the condition, for PostgreSQL, that the title and the turns of a conversation together contain all words.

    Its texts are put into one, in capitals once and not once for each word. A line separates them, which no word has.
    """
    line = Value("\n", output_field=TextField())
    turns = Turn.objects.for_user(owner).filter(conversation=OuterRef("pk")).order_by().values("conversation")
    said = Upper(Concat("transcript", line, "reply"))
    joined = Aggregate(said, line, function="STRING_AGG", output_field=TextField())
    text = Concat(Upper("title"), line, Subquery(turns.annotate(text=joined).values("text")), output_field=TextField())
    patterns = [Upper(Value(f"%{connection.ops.prep_for_like_query(word)}%")) for word in words]
    array = Func(*patterns, template="(ARRAY[%(expressions)s])")
    said_all = Func(text, array, template="(%(expressions)s)", arg_joiner=" LIKE ALL ", output_field=BooleanField())
    # Within COALESCE, PostgreSQL expects that every other conversation is found, and reads the newest ones first until
    # a page is full. Else it expects none, and reads and sorts all of them.
    return Coalesce(said_all, Value(value=False))
