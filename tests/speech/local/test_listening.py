"""A listening test by machine: what the chunker does to a reply must not be heard."""

from __future__ import annotations

import asyncio

import jiwer
import pytest

from apps.conversations.pipeline.sentences import SpeechChunker
from apps.speech.audio.resampling import resample
from apps.speech.base import Recording, VoiceSettings
from apps.speech.local.config import LocalConfig
from apps.speech.local.kokoro import LocalTextToSpeech
from apps.speech.local.whisper import LocalSpeechToText
from tests.speech.local.wording import plain_words

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
"""Replies of a language model, sentence by sentence."""


def pieces_of(reply: str) -> list[str]:
    """Return the pieces in which a reply that comes word by word is spoken."""
    chunker = SpeechChunker()
    pieces = [piece for word in reply.split(" ") for piece in chunker.feed(f"{word} ")]
    return [*pieces, *chunker.finish()]


class Listener:
    """Speaks with a voice and hears itself. A text sounds the same each time, so it is spoken once."""

    def __init__(self, config: LocalConfig, voice_id: str) -> None:
        self._mouth, self._ear = LocalTextToSpeech(config), LocalSpeechToText(config)
        self._voice_id = voice_id
        self._spoken: dict[str, bytes] = {}

    async def word_error(self, replies: list[list[str]]) -> float:
        """Speak each reply in the pieces given, listen to it, and return the share of words that were misheard."""
        heard = [await self._speak_and_hear(pieces) for pieces in replies]
        return float(jiwer.wer([plain_words(" ".join(pieces)) for pieces in replies], heard))

    async def _speak_and_hear(self, pieces: list[str]) -> str:
        pcm = b"".join([await self._speak(piece) for piece in pieces])
        recording = resample(Recording(pcm, self._mouth.sample_rate), sample_rate=16_000)
        return plain_words((await self._ear.transcribe(recording, language="en")).text)

    async def _speak(self, text: str) -> bytes:
        if text not in self._spoken:
            chunks = self._mouth.speak(text, voice_id=self._voice_id, settings=VoiceSettings(), previous_text="")
            self._spoken[text] = b"".join([chunk async for chunk in chunks])
        return self._spoken[text]


@pytest.mark.timeout(400)
def test_replies_spoken_in_pieces_are_understood_as_well_as_in_whole_sentences(
    config: LocalConfig, voice_id: str
) -> None:
    cut = {tuple(sentences): pieces_of(" ".join(sentences)) for sentences in REPLIES}
    differing = [(list(sentences), pieces) for sentences, pieces in cut.items() if list(sentences) != pieces]
    assert len(differing) > 3

    async def listen() -> tuple[float, float]:
        listener = Listener(config, voice_id)
        in_sentences, in_pieces = ([pair[kind] for pair in differing] for kind in (0, 1))
        return await listener.word_error(in_pieces), await listener.word_error(in_sentences)

    in_pieces, in_sentences = asyncio.run(listen())
    print(f"\nword error in pieces {in_pieces:.1%}, in whole sentences {in_sentences:.1%}")  # noqa: T201 - to be read
    assert in_pieces <= in_sentences + 0.01
