"""Whose turn it is, in recorded speech. Times are in ms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.speech.audio import decoding
from apps.speech.audio.resampling import resample
from apps.speech.audio.turn_taking import (
    Ended,
    Event,
    FalseStart,
    MaybeEnded,
    SpeechResumed,
    SpeechStarted,
    TurnSettings,
    TurnTaking,
)
from tests.audio_samples import clip
from tests.disturbances import Samples, cough, noise

RATE = 24_000
SILENCE_DB = -62.0
SEMANTIC, SERVER = TurnSettings(), TurnSettings(mode="server_vad")
SENTENCES = Path("tests/data/sentences")


def sound_of(name: str) -> Samples:
    return np.frombuffer(resample(clip(name), sample_rate=RATE).pcm, "<i2") / 32768


def quiet(seconds: float) -> Samples:
    return noise(seconds, SILENCE_DB, sample_rate=RATE)


def pcm(*parts: Samples) -> bytes:
    sound = np.concatenate(parts)
    return bytes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def over(sound: Samples, other: Samples, *, seconds: float) -> Samples:
    """Return `sound` with `other` added after `seconds`."""
    result, start = sound.copy(), round(seconds * RATE)
    result[start : start + len(other)] += other[: len(sound) - start]
    return result


def feed(taking: TurnTaking, sound: bytes, *, piece_ms: int = 20) -> list[Event]:
    step = 2 * (RATE * piece_ms // 1000)
    return [event for start in range(0, len(sound), step) for event in taking.feed(sound[start : start + step])]


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


# "Unless to be rather cold hearted and rather selfish is to be ill disposed", whose speech lasts from 0.3 to 5.0 s.
WHOLE = sound_of("austen-0890.wav")
# A sentence of 3.5 s, cut between two words.
FIRST, REST = np.split(sound_of("austen-0920.wav"), [round(2.49 * RATE)])
NAMES = ["austen-0870.wav", "austen-0880.wav", "austen-0890.wav", "austen-0920.wav", "austen-0930.wav"]


@pytest.fixture
def taking() -> TurnTaking:
    """Turn taking with a model of turn ends, which the test plays."""
    return TurnTaking(SEMANTIC, sample_rate=RATE, asks=True)


@pytest.fixture
def after_answer() -> TurnTaking:
    """Turn taking after a question whose answer has been heard for four seconds."""
    taking = TurnTaking(SERVER, sample_rate=RATE, asks=False)
    feed(taking, pcm(quiet(0.5), WHOLE, quiet(1)))
    taking.answer_heard()
    feed(taking, pcm(quiet(4)))
    return taking


def test_silence_ends_a_turn_without_a_model() -> None:
    taking = TurnTaking(SERVER, sample_rate=RATE, asks=False)
    events = feed(taking, pcm(quiet(0.5), WHOLE, quiet(1)))
    assert kinds(events) == [SpeechStarted, MaybeEnded, Ended]
    started, maybe, ended = events
    assert isinstance(started, SpeechStarted)
    assert isinstance(maybe, MaybeEnded)
    assert started.start_ms == pytest.approx(750, abs=100)
    assert not started.interrupts
    assert ended == Ended(maybe.end_ms, "silence")
    assert maybe.end_ms == pytest.approx(5560, abs=150)


def test_the_silence_that_ends_a_turn_is_a_setting() -> None:
    taking = TurnTaking(replace(SERVER, silence_duration_ms=2000), sample_rate=RATE, asks=False)
    assert kinds(feed(taking, pcm(quiet(0.5), WHOLE, quiet(1)))) == [SpeechStarted, MaybeEnded]
    assert kinds(feed(taking, pcm(quiet(2)))) == [Ended]


@pytest.mark.parametrize("sample_rate", [16_000, 24_000])
def test_the_pieces_in_which_sound_comes_change_nothing(sample_rate: int) -> None:
    sound = pcm(quiet(0.5), WHOLE, quiet(0.4), FIRST, quiet(1))
    taken = []
    for piece_ms in (10, 20, 43, 100):
        taking = TurnTaking(SERVER, sample_rate=sample_rate, asks=False)
        taken.append((feed(taking, sound, piece_ms=piece_ms), taking.question_pcm()))
    assert len(taken[0][0]) > 2
    assert taken[1:] == taken[:1] * 3


def test_the_model_ends_a_turn_sooner_the_surer_it_is(taking: TurnTaking) -> None:
    needed = [SEMANTIC.silence_needed_ms(probability) for probability in (0.99, 0.8, 0.5, 0.3, 0.1)]
    assert needed == sorted(set(needed))
    _started, maybe = feed(taking, pcm(quiet(0.5), WHOLE, quiet(0.2)))
    assert isinstance(maybe, MaybeEnded)
    assert taking.judge(0.99, maybe) == []  # The silence is too short yet.
    assert feed(taking, pcm(quiet(0.5))) == [Ended(maybe.end_ms, "complete")]


def test_a_late_judgement_ends_a_turn_at_once(taking: TurnTaking) -> None:
    _started, maybe = feed(taking, pcm(quiet(0.5), WHOLE, quiet(1)))
    assert isinstance(maybe, MaybeEnded)
    assert taking.judge(0.99, maybe) == [Ended(maybe.end_ms, "complete")]
    assert taking.judge(0.99, maybe) == []


@pytest.mark.parametrize("is_judged", [True, False])
def test_the_longest_pause_ends_a_turn_that_the_model_does_not(taking: TurnTaking, is_judged: bool) -> None:
    _started, maybe = feed(taking, pcm(quiet(0.5), WHOLE, quiet(0.2)))
    assert isinstance(maybe, MaybeEnded)
    if is_judged:
        taking.judge(0.05, maybe)
    assert feed(taking, pcm(quiet(2))) == []
    assert feed(taking, pcm(quiet(0.5))) == [Ended(maybe.end_ms, "longest_pause")]


def test_eagerness_shortens_and_prolongs_pauses() -> None:
    high, medium, low = (replace(SEMANTIC, eagerness=each) for each in ("high", "medium", "low"))
    for probability in (0.0, 0.5, 1.0):
        needed = [settings.silence_needed_ms(probability) for settings in (high, medium, low)]
        assert needed == sorted(set(needed))
    assert medium == replace(SEMANTIC, eagerness="medium")
    assert low.silence_needed_ms(0) == 4000


def test_the_model_hears_little_of_the_silence(taking: TurnTaking) -> None:
    sound = pcm(quiet(0.5), WHOLE, quiet(1))
    _started, maybe = feed(taking, sound)
    assert isinstance(maybe, MaybeEnded)
    assert len(taking.recent_samples()) / 16 == pytest.approx(maybe.end_ms + 64, abs=32)
    feed(taking, pcm(quiet(1.2), WHOLE, WHOLE))
    assert taking.recent_samples().shape == (128_000,)


def test_a_judgement_of_an_earlier_pause_is_ignored(taking: TurnTaking) -> None:
    events = feed(taking, pcm(quiet(0.5), FIRST, quiet(0.4), REST, quiet(1)))
    assert kinds(events) == [SpeechStarted, MaybeEnded, SpeechResumed, MaybeEnded]
    earlier, later = events[1], events[3]
    assert isinstance(earlier, MaybeEnded)
    assert isinstance(later, MaybeEnded)
    assert taking.judge(0.99, earlier) == []
    assert kinds(taking.judge(0.99, later)) == [Ended]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("probability", [0.01, 0.99])
def test_a_pause_of_1_7_s_loses_nothing(name: str, probability: float) -> None:
    """Whether the model takes the pause for the end of the question or not: then the answer begins soon after."""
    sentence = sound_of(name)
    middle = len(sentence) // 2
    first, rest = pcm(quiet(0.5), sentence[:middle], quiet(1.7)), pcm(sentence[middle:], quiet(1))
    taking = TurnTaking(SEMANTIC, sample_rate=RATE, asks=True)
    events: list[Event] = []
    begins_ms = 0
    for start in range(0, len(first + rest), 960):
        for event in taking.feed((first + rest)[start : start + 960]):
            events.append(event)
            if isinstance(event, MaybeEnded):
                taking.judge(probability, event)
            begins_ms = taking.now_ms + 280 if isinstance(event, Ended) else 0
        if begins_ms and taking.now_ms >= begins_ms:
            taking.answer_heard()
    assert kinds(events).count(SpeechStarted) == 1
    started = events[0]
    assert isinstance(started, SpeechStarted)
    kept = taking.question_pcm()
    assert (first + rest).endswith(kept)
    assert len(kept) / 2 / RATE * 1000 == pytest.approx(taking.now_ms - started.start_ms + 300, abs=32)


def test_a_question_that_goes_on_after_its_end_is_one_question() -> None:
    taking = TurnTaking(SERVER, sample_rate=RATE, asks=False)
    sound = pcm(quiet(0.5), FIRST, quiet(0.8), REST, quiet(1))
    events = feed(taking, sound)
    assert kinds(events) == [SpeechStarted, MaybeEnded, Ended, SpeechResumed, MaybeEnded, Ended]
    resumed = events[3]
    assert isinstance(resumed, SpeechResumed)
    assert resumed.after_end
    assert len(taking.question_pcm()) > len(pcm(FIRST, quiet(0.8), REST))
    assert sound.endswith(taking.question_pcm())


def test_what_is_said_after_the_answer_is_a_new_question(after_answer: TurnTaking) -> None:
    assert kinds(feed(after_answer, pcm(REST, quiet(1)))) == [SpeechStarted, MaybeEnded, Ended]
    assert len(after_answer.question_pcm()) < len(pcm(REST, quiet(1.5)))


def test_a_turn_that_was_taken_in_another_way_is_forgotten(taking: TurnTaking) -> None:
    feed(taking, pcm(quiet(0.5), WHOLE))
    assert taking.question_pcm()
    taking.start_over()
    assert taking.question_pcm() == b""
    assert kinds(feed(taking, pcm(quiet(3), FIRST))) == [SpeechStarted]


def test_noise_and_music_are_no_turns(taking: TurnTaking) -> None:
    music = decoding.decode((SENTENCES / "music.flac").read_bytes(), sample_rate=RATE, max_seconds=60).pcm
    assert feed(taking, pcm(noise(3, -30, sample_rate=RATE)) + music) == []
    assert taking.question_pcm() == b""


@pytest.mark.parametrize("voiced", [0.0, 0.5, 1.0])
def test_a_cough_is_no_turn(after_answer: TurnTaking, voiced: float) -> None:
    sound = pcm(over(quiet(1.5), cough(sample_rate=RATE, voiced=voiced, seed=3), seconds=0.5))
    assert kinds(feed(after_answer, sound)) in ([], [SpeechStarted, FalseStart])
    assert after_answer.question_pcm() == b""


def test_words_make_a_short_sound_a_turn() -> None:
    taking = TurnTaking(SERVER, sample_rate=RATE, asks=False)
    burst = over(quiet(1.5), cough(sample_rate=RATE, voiced=1, seed=3), seconds=0.5)
    events: list[Event] = []
    for start in range(0, len(pcm(burst)), 960):
        new = taking.feed(pcm(burst)[start : start + 960])
        if SpeechStarted in kinds(new):
            taking.words_heard()
        events += new
    assert kinds(events) == [SpeechStarted, MaybeEnded, Ended]


def test_a_cough_in_the_first_second_of_an_answer_does_not_revise_the_question() -> None:
    taking = TurnTaking(replace(SERVER, false_start_ms=400), sample_rate=RATE, asks=False)
    feed(taking, pcm(quiet(0.5), WHOLE, quiet(1)))
    answer = quiet(4)
    taking.answer_sent(pcm(answer), sample_rate=RATE)
    harsh = cough(sample_rate=RATE, voiced=1, seed=3)[-round(0.25 * RATE) :]  # Without its burst.
    events = feed(taking, pcm(over(quiet(1), harsh, seconds=0.3)))
    assert kinds(events) == [SpeechResumed, FalseStart]
    events = feed(taking, pcm(FIRST))
    assert kinds(events)[0] is SpeechResumed
    assert len(taking.question_pcm()) > len(pcm(WHOLE, FIRST))


def test_the_answer_in_the_microphone_does_not_interrupt_itself(after_answer: TurnTaking) -> None:
    answer = np.concatenate([WHOLE, sound_of("austen-0870.wav")])
    after_answer.answer_sent(pcm(answer), sample_rate=RATE)
    echo = over(quiet(len(answer) / RATE + 1), answer / 10, seconds=0.15)
    assert feed(after_answer, pcm(echo)) == []


def test_without_the_answer_its_sound_in_the_microphone_is_speech(after_answer: TurnTaking) -> None:
    echo = over(quiet(3), WHOLE[: 2 * RATE] / 10, seconds=0.15)
    assert SpeechStarted in kinds(feed(after_answer, pcm(echo)))


def test_speech_over_the_answer_interrupts_it_soon(after_answer: TurnTaking) -> None:
    answer = np.concatenate([WHOLE, sound_of("austen-0870.wav")])
    after_answer.answer_sent(pcm(answer), sample_rate=RATE)
    echo = over(quiet(6), answer / 10, seconds=0.15)
    begins = after_answer.now_ms + 2500
    speech = sound_of("austen-0930.wav")[round(0.11 * RATE) :]
    sound = pcm(over(echo, speech, seconds=2.5))
    events: list[Event] = []
    while not events:
        events = after_answer.feed(sound[:960])
        sound = sound[960:]
    assert kinds(events) == [SpeechStarted]
    assert events == [SpeechStarted(events[0].start_ms, interrupts=True)]  # type: ignore[union-attr]
    assert after_answer.now_ms - begins < 400


def test_an_answer_that_was_stopped_is_soon_not_expected_any_more(after_answer: TurnTaking) -> None:
    after_answer.answer_sent(pcm(WHOLE), sample_rate=RATE)
    feed(after_answer, pcm(quiet(0.5)))
    after_answer.answer_stopped()
    feed(after_answer, pcm(quiet(1.5)))
    (started,) = feed(after_answer, pcm(FIRST))
    assert isinstance(started, SpeechStarted)
    assert not started.interrupts


def test_a_question_begins_before_its_first_word() -> None:
    sound = pcm(quiet(2), FIRST)
    taking = TurnTaking(replace(SERVER, prefix_padding_ms=1000), sample_rate=RATE, asks=False)
    (started,) = feed(taking, sound)
    assert isinstance(started, SpeechStarted)
    skipped_ms = (len(sound) - len(taking.question_pcm())) / 2 / RATE * 1000
    assert skipped_ms == pytest.approx(started.start_ms - 1000, abs=1)
