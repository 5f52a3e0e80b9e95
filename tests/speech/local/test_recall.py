from __future__ import annotations

import pytest

from apps.speech.base import Message
from apps.speech.local.recall import (
    MEMORY_TOKENS,
    UNREAD_MEMORY_TOKENS,
    can_drop,
    drop_oldest,
    estimated_tokens,
    recall,
    without_repetitions,
)

INSTRUCTIONS = Message("system", "Answer in one sentence.")


def exchange(question: str, reply: str) -> list[Message]:
    return [Message("user", question), Message("assistant", reply)]


def test_the_oldest_exchange_is_dropped_first() -> None:
    conversation = [INSTRUCTIONS, *exchange("user1", "assistant1"), *exchange("user2", "assistant2")]
    question = Message("user", "user3")
    shorter = drop_oldest([*conversation, question])
    assert shorter == [INSTRUCTIONS, *conversation[3:], question]
    assert can_drop(shorter)
    assert drop_oldest(shorter) == [INSTRUCTIONS, question]
    assert not can_drop([INSTRUCTIONS, question])


def long_conversation(count: int) -> list[Message]:
    earlier = [message for number in range(count) for message in exchange(f"Why {number}?", f"Because of {number}.")]
    return [INSTRUCTIONS, *earlier, Message("user", "Why?")]


def test_what_the_engine_has_read_is_remembered_as_far_as_it_fits() -> None:
    conversation = long_conversation(5)
    assert recall(conversation, known=frozenset(conversation[1:-2])) == conversation
    conversation = long_conversation(200)
    remembered = recall(conversation, known=frozenset(conversation[1:-2]))
    assert MEMORY_TOKENS - 50 < estimated_tokens(remembered) <= MEMORY_TOKENS
    assert remembered == [INSTRUCTIONS, *conversation[-len(remembered) + 1 :]]


def test_of_a_conversation_that_the_engine_has_not_read_the_end_is_remembered() -> None:
    conversation = long_conversation(200)
    remembered = recall(conversation, known=frozenset())
    assert UNREAD_MEMORY_TOKENS - 50 < estimated_tokens(remembered) <= UNREAD_MEMORY_TOKENS
    assert remembered == [INSTRUCTIONS, *conversation[-len(remembered) + 1 :]]


def test_what_came_before_is_not_read_later() -> None:
    conversation = long_conversation(50)
    before = recall(conversation, known=frozenset())
    reply = Message("assistant", "Because I say so.")
    after = recall([*conversation, reply, Message("user", "Really?")], known=frozenset(before[1:]))
    assert after == [*before, reply, Message("user", "Really?")]


@pytest.mark.parametrize("known", [frozenset[Message](), frozenset(exchange("One?", "1."))])
def test_a_question_that_is_too_long_is_kept(known: frozenset[Message]) -> None:
    messages = [INSTRUCTIONS, *exchange("One?", "1."), Message("user", "word " * 1000)]
    assert recall(messages, known=known) == [INSTRUCTIONS, messages[-1]]


def test_an_exchange_whose_reply_was_given_before_is_forgotten() -> None:
    first, other = exchange("How are you?", "I am fine, thank you."), exchange("And now?", "A bit tired.")
    again = exchange("Where is Rome?", "I am fine - thank you!")
    question = Message("user", "Why?")
    assert without_repetitions([INSTRUCTIONS, *first, *again, *other, question]) == [
        INSTRUCTIONS,
        *first,
        *other,
        question,
    ]


def test_questions_without_replies_and_other_numbers_are_kept() -> None:
    messages = [INSTRUCTIONS, *exchange("2 + 2?", "4"), *exchange("2 + 3?", "5"), *[Message("user", "So?")] * 2]
    assert without_repetitions(messages) == messages
