from __future__ import annotations

from apps.speech.base import Message
from apps.speech.local.recall import can_drop, drop_oldest, recall, without_repetitions

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


def test_a_conversation_that_fits_is_remembered_as_it_is() -> None:
    conversation = [INSTRUCTIONS, *exchange("One?", "1."), *exchange("Two?", "2."), Message("user", "Three?")]
    assert recall(conversation, max_tokens=200) == conversation


def test_a_question_that_is_too_long_is_kept() -> None:
    messages = [INSTRUCTIONS, *exchange("One?", "1."), Message("user", "word " * 1000)]
    assert recall(messages, max_tokens=100) == [INSTRUCTIONS, messages[-1]]


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
