"""An automatic listening test: dividing a reply into segments must not make its speech harder to understand."""

from __future__ import annotations

import asyncio

import jiwer
import pytest

from apps.conversations.sentences import SpeechChunker
from apps.speech.audio.resampling import resample
from apps.speech.base import Recording, VoiceSettings
from apps.speech.local.config import LocalConfig
from apps.speech.local.kokoro import LocalTextToSpeech
from apps.speech.local.whisper import LocalSpeechToText
from tests.speech.local.wording import plain_words

# Replies of a language model, sentence by sentence.
REPLIES = [
    [
        "Bread is baked in a hot oven until the crust turns brown.",
        "First you mix flour, water, salt and yeast, and let the dough rest for an hour.",
        "Then you shape it, wait again, and bake it.",
    ],
    [
        "Paris is the capital of France, and about two million people live there.",
        "It lies on the river Seine, which divides the city into two halves.",
    ],
    [
        "You could start with a short walk every morning before breakfast.",
        "After a week or two, add a few minutes each day, and you will notice that climbing stairs becomes easier.",
    ],
    [
        "Yes, of course.",
        "Cats sleep for most of the day because hunting takes a lot of energy.",
        "Even when they seem to be asleep, their ears keep listening for small sounds.",
    ],
    [
        "The moon has no light of its own; what we see is sunlight that its surface reflects.",
        "As it travels around the earth, we see a different part of its bright side each night.",
    ],
]


def segments_of(reply: str) -> list[str]:
    """Return the segments of a reply that arrives word by word."""
    chunker = SpeechChunker()
    segments = [segment for word in reply.split(" ") for segment in chunker.feed(f"{word} ")]
    return [*segments, *chunker.finish()]


def word_error(replies: list[list[str]], config: LocalConfig, voice_id: str) -> float:
    """Speak the segments of each reply, transcribe them, and return the word error rate."""
    text_to_speech, speech_to_text = LocalTextToSpeech(config), LocalSpeechToText(config)

    async def speak_and_transcribe(segments: list[str]) -> str:
        pcm = b""
        for segment in segments:
            chunks = text_to_speech.speak(segment, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
            pcm += b"".join([chunk async for chunk in chunks])
        recording = resample(Recording(pcm, text_to_speech.sample_rate), sample_rate=16_000)
        return plain_words((await speech_to_text.transcribe(recording, language="en")).text)

    async def transcribe_all() -> list[str]:
        return [await speak_and_transcribe(segments) for segments in replies]

    return float(jiwer.wer([plain_words(" ".join(segments)) for segments in replies], asyncio.run(transcribe_all())))


@pytest.mark.timeout(400)
def test_replies_spoken_in_segments_are_as_intelligible_as_in_sentences(config: LocalConfig, voice_id: str) -> None:
    in_segments = word_error([segments_of(" ".join(sentences)) for sentences in REPLIES], config, voice_id)
    in_sentences = word_error(REPLIES, config, voice_id)
    print(f"\nword error rate in segments {in_segments:.1%}, in sentences {in_sentences:.1%}")  # noqa: T201 - for the reader
    assert in_segments <= in_sentences + 0.01
