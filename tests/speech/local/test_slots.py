from __future__ import annotations

from apps.speech.base import Message
from apps.speech.local.slots import Slots

INSTRUCTIONS = Message("system", "Answer in one sentence.")


def turns(topic: str, *, first: int = 0, count: int) -> list[Message]:
    """Return the messages to the model for the last of `count` turns, with the turns from `first` on."""
    spoken = [
        message
        for number in range(count)
        for message in (Message("user", f"{topic} {number}?"), Message("assistant", f"{topic} {number}."))
    ]
    return [INSTRUCTIONS, *spoken[2 * first : -1]]


def test_a_conversation_stays_in_its_slot() -> None:
    slots = Slots(3)
    first = {topic: slots.choose(turns(topic, count=1)) for topic in ("Tea", "Rain", "Cats")}
    assert set(first.values()) == {0, 1, 2}
    for count in (2, 3, 4):
        for topic, slot in first.items():
            assert slots.choose(turns(topic, count=count)) == slot
    assert slots.choose(turns("Tea", first=2, count=5)) == first["Tea"]


def test_a_new_conversation_takes_the_slot_that_was_used_least_recently() -> None:
    slots = Slots(2)
    tea, rain = slots.choose(turns("Tea", count=1)), slots.choose(turns("Rain", count=1))
    slots.choose(turns("Tea", count=2))
    assert slots.choose(turns("Cats", count=1)) == rain
    assert slots.choose(turns("Tea", count=3)) == tea


def test_the_same_first_question_does_not_take_the_slot_of_another_conversation() -> None:
    slots = Slots(2)
    slots.choose(turns("Tea", count=1))
    slots.choose(turns("Rain", count=1))
    tea = slots.choose(turns("Tea", count=2))
    assert slots.choose([INSTRUCTIONS, Message("user", "Tea 0?")]) != tea
