"""The search finds what a plain comparison of the texts finds, whatever the way to look for a word."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.conversations import search as searching
from apps.conversations.models import Conversation, Turn
from apps.conversations.search import search_conversations

if TYPE_CHECKING:
    from apps.accounts.models import User

# With characters that mean something in a pattern, and words that are together another one.
WORDS = ["harbour", "Har", "bour", "100%", "100", "a_b", "axb", "back\\slash", "backslash", "été", "'quoted'", "rare"]
TITLES = ["", "", "Harbour", "har", "100% a_b", "axb back\\slash 'quoted'"]


def text(random: Random) -> str:
    return " ".join(random.choices(WORDS[:-1], k=random.randint(0, 4)))


def fill(owner: User, random: Random) -> None:
    """Give `owner` 40 conversations of up to four turns each. One word is in one turn only."""
    for number in range(40):
        conversation = Conversation.objects.create(owner=owner, title=random.choice(TITLES))
        turns = [
            Turn(owner=owner, conversation=conversation, transcript=text(random), reply=text(random))
            for _turn in range(number % 5)
        ]
        Turn.objects.bulk_create(turns)
    latest = Conversation.objects.for_user(owner)[0]
    Turn.objects.create(owner=owner, conversation=latest, reply="A RARE harbour, 100%")


def plainly_found(owner: User, words: list[str]) -> set[Conversation]:
    """Return what the search has to find: each word is in the title, or in one of the owner's turns."""
    found = set()
    for conversation in Conversation.objects.for_user(owner):
        turns = Turn.objects.filter(conversation=conversation, owner=owner).values_list("transcript", "reply")
        texts = [conversation.title, *(each for turn in turns for each in turn)]
        if all(any(word.upper() in each.upper() for each in texts) for word in words):
            found.add(conversation)
    return found


@pytest.mark.parametrize("sample", [1, 10, 1000])
def test_it_finds_each_word_in_the_title_or_in_any_turn(
    alice: User, bob: User, sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SAMPLE_TURNS", sample)  # With few turns, most words count as rare.
    random = Random(sample)  # noqa: S311
    for owner in (alice, bob):
        fill(owner, random)
    foreign = Conversation.objects.for_user(alice)[1]
    Turn.objects.create(owner=bob, conversation=foreign, reply=" ".join(WORDS))
    Turn.objects.filter(pk__in=list(Turn.objects.for_user(alice).values_list("pk", flat=True)[::7])).delete()
    Conversation.objects.for_user(alice)[5].delete()
    searches = [random.sample(WORDS, k=random.randint(1, 5)) for _search in range(60)]
    answers = [plainly_found(alice, words) for words in searches]
    assert sum(map(bool, answers)) > 30
    for words, answer in zip(searches, answers, strict=True):
        found = list(search_conversations(owner=alice, search=" ".join(words)))
        assert (set(found), len(found)) == (answer, len(answer)), words


def test_titles_alone_are_enough(alice: User) -> None:
    titled = Conversation.objects.create(owner=alice, title="An island and its harbour")
    other = Conversation.objects.create(owner=alice, title="A harbour")
    Turn.objects.create(owner=alice, conversation=other, transcript="an island", reply="and more")
    assert list(search_conversations(owner=alice, search="an island harbour its")) == [titled]
    assert set(search_conversations(owner=alice, search="an island harbour and")) == {titled, other}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite looks for each word by itself")
def test_common_words_are_looked_for_together(alice: User) -> None:
    conversation = Conversation.objects.create(owner=alice)
    Turn.objects.create(owner=alice, conversation=conversation, reply="one two three four five six seven eight")
    with CaptureQueriesContext(connection) as queries:
        found = list(search_conversations(owner=alice, search="one two three four five six seven eight"))
    assert found == [conversation]
    assert queries.captured_queries[-1]["sql"].count('FROM "conversations_turn"') == 1
