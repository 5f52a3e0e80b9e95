from __future__ import annotations

from apps.speech.local.pieces import FIXED_CHARACTERS, MIN_PART, Pace, end_of_part, in_time
from apps.speech.local.processor import Playback

SENTENCE = "Bread is baked in a hot oven until the crust turns brown and the kitchen smells."


def parts(text: str, *, seconds_left: float, seconds_per_character: float) -> list[str]:
    """Return the parts of `text`, of which each adds a long sound."""
    playback, pace = Playback(), Pace()
    pace.note("a" * 80, seconds_per_character * (80 + FIXED_CHARACTERS))
    if seconds_left:
        playback.add(seconds_left)
    found = []
    for part in in_time([text], playback, pace):
        found.append(part)
        playback.add(60)
    return found


def test_the_first_segment_is_never_divided() -> None:
    assert parts(SENTENCE, seconds_left=0, seconds_per_character=1) == [SENTENCE]


def test_a_segment_that_comes_in_time_is_not_divided() -> None:
    assert parts(SENTENCE, seconds_left=2, seconds_per_character=0.02) == [SENTENCE]


def test_a_segment_that_would_come_too_late_is_divided_at_a_phrase() -> None:
    assert parts(SENTENCE, seconds_left=2, seconds_per_character=0.05) == [
        "Bread is baked in a hot oven",
        "until the crust turns brown and the kitchen smells.",
    ]


def test_the_end_of_a_clause_is_better_than_that_of_a_phrase() -> None:
    text = "First you mix the flour, then add some water and salt to it, and let it rest."
    assert parts(text, seconds_left=2, seconds_per_character=0.05)[0] == "First you mix the flour,"


def test_what_comes_too_late_anyway_is_divided_as_early_as_possible() -> None:
    first, _rest = parts(SENTENCE, seconds_left=0.01, seconds_per_character=0.1)
    assert first == "Bread is baked in a hot oven"


def test_nothing_is_divided_before_anything_was_measured() -> None:
    playback = Playback()
    playback.add(0.1)
    assert list(in_time([SENTENCE], playback, Pace())) == [SENTENCE]


def test_no_part_is_short() -> None:
    for room in range(100):
        end = end_of_part(SENTENCE, room)
        assert MIN_PART <= end <= len(SENTENCE) - MIN_PART
        assert end <= room or end == end_of_part(SENTENCE, 0)


def test_digits_take_longer_than_letters() -> None:
    with_digits = "The moon is very far away from us, 384,401 kilometers or 239,795 miles."
    with_letters = "The moon is very far away from us, abc,abc kilometers or abc,abc miles."
    assert parts(with_letters, seconds_left=4.5, seconds_per_character=0.05) == [with_letters]
    assert parts(with_digits, seconds_left=4.5, seconds_per_character=0.05) == [
        "The moon is very far away from us,",
        "384,401 kilometers or 239,795 miles.",
    ]
