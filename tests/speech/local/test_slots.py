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


def use(slots: Slots, messages: list[Message]) -> int:
    slot, _known = slots.choose(messages)
    slots.note(slot, messages)
    return slot


def test_a_conversation_stays_in_its_slot() -> None:
    slots = Slots(3)
    first = {topic: use(slots, turns(topic, count=1)) for topic in ("Tea", "Rain", "Cats")}
    assert set(first.values()) == {0, 1, 2}
    for count in (2, 3, 4):
        for topic, slot in first.items():
            assert use(slots, turns(topic, count=count)) == slot
    assert use(slots, turns("Tea", first=2, count=5)) == first["Tea"]


def test_it_tells_which_earlier_messages_a_slot_has_read() -> None:
    slots = Slots(2)
    before = turns("Tea", count=3)
    assert slots.choose(before) == (0, frozenset())
    slots.note(0, before)
    assert slots.choose(turns("Tea", count=4)) == (0, frozenset(before[1:]))
    assert slots.choose(turns("Tea", first=2, count=4)) == (0, frozenset(before[5:]))


def test_a_new_conversation_takes_the_slot_that_was_used_least_recently() -> None:
    slots = Slots(2)
    tea, rain = use(slots, turns("Tea", count=1)), use(slots, turns("Rain", count=1))
    use(slots, turns("Tea", count=2))
    assert use(slots, turns("Cats", count=1)) == rain
    assert use(slots, turns("Tea", count=3)) == tea


def test_the_same_first_question_does_not_take_the_slot_of_another_conversation() -> None:
    slots = Slots(2)
    use(slots, turns("Tea", count=1))
    use(slots, turns("Rain", count=1))
    tea = use(slots, turns("Tea", count=2))
    assert use(slots, [INSTRUCTIONS, Message("user", "Tea 0?")]) != tea
