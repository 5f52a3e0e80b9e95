"""Runs a single stage of a turn: speech to text, or text to speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations.pipeline.cancellation import run_to_end
from apps.conversations.pipeline.hearing import QUESTION_SAMPLE_RATE, without_phantom
from apps.conversations.pipeline.sentences import SpeechChunker
from apps.conversations.pipeline.synthesis import Segment, synthesize_ahead
from apps.core.errors import UserError
from apps.speech import availability, registry
from apps.speech.audio.speech_presence import has_speech
from apps.speech.base import ProviderError, Stage, TextToSpeech, Transcript, VoiceSettings
from apps.speech.normalization.spoken_form import spoken_form
from apps.speech.provenance.encoders import AudioFormat, create_encoder
from apps.speech.provenance.marks import Origin
from apps.speech.spoken_language import likely_language
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile

MAX_SPEECH_CHARACTERS = 4096


def transcribe(
    *, owner: User, data: bytes, language: str = "", with_times: bool = False, with_words: bool = False
) -> tuple[Transcript, float]:
    """Return the transcript of a recording, empty if nobody speaks, and the length of the recording in seconds.

    `with_times` asks for segments with times, and `with_words` for words as well. An engine that has no times returns
    the text alone. Raises UserError, AudioError and ProviderError.
    """
    availability.require_working("hear")
    recording = registry.decode(
        data, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS, user_id=owner.pk
    )
    if not has_speech(recording):
        return Transcript(""), recording.seconds

    kind = UsageRecord.Kind.TRANSCRIPTION
    with metering.metered(owner_id=owner.pk, kind=kind, heard_seconds=recording.seconds) as used:

        async def hear(engines: registry.Engines) -> Transcript:
            engine = engines.speech_to_text
            if with_times and engine.supports_timestamps:
                heard = await engine.transcribe_with_times(recording, language=language, words=with_words)
            else:
                heard = await engine.transcribe(recording, language=language)
            used.hear(recording.seconds, engine=engine.name)
            return await without_phantom(heard, recording)

        transcript = registry.call(hear)
    return transcript, recording.seconds


def has_times() -> bool:
    """Whether the speech-to-text engine tells when segments and words are said."""

    async def ask(engines: registry.Engines) -> bool:
        return engines.speech_to_text.supports_timestamps

    return registry.call(ask)


@dataclass(frozen=True, slots=True)
class Speech:
    """A text to speak, cut into segments, with the voice and the format of the file."""

    segments: list[Segment]
    voice: VoiceProfile
    settings: VoiceSettings
    format: AudioFormat


def segments_to_speak(text: str, *, provider: str) -> list[Segment]:
    """Cut `text` into segments for a voice of `provider`, as a reply is cut in a conversation.

    Raises UserError (422) if there are none.
    """
    chunker = SpeechChunker()
    texts = [*chunker.feed(text), *chunker.finish()]
    if not texts:
        raise UserError("nothing_to_speak", _("Nothing in this text can be spoken. Send words."), status=422)
    language = likely_language(text)
    return [
        Segment(text, spoken_form(text, provider=provider, language=language, previous_text=before))
        for before, text in pairwise(["", *texts])
    ]


def reserve(speech: Speech) -> metering.Reservation:
    """Reserve the usage of `speech`. Raises UserError at a limit, and ProviderError if the voice's engine is down."""
    availability.require_working("speak", provider=speech.voice.provider)
    return metering.reserve(
        owner_id=speech.voice.owner_id, characters=sum(len(segment.spoken) for segment in speech.segments)
    )


async def speak(speech: Speech, reservation: metering.Reservation) -> AsyncGenerator[bytes, None]:
    """Yield the file while it is being synthesized, then settle its usage."""
    used = metering.Used(reference=speech.voice.pk)
    try:
        async with registry.current_engines() as engines:
            engine = engines.text_to_speech(speech.voice.provider)
            async with aclosing(_file(speech, engine, used)) as file:
                async for data in file:
                    yield data
    finally:
        await run_to_end(sync_to_async(metering.settle)(reservation, kind=UsageRecord.Kind.SPEECH, used=used))


async def _file(speech: Speech, engine: TextToSpeech, used: metering.Used) -> AsyncGenerator[bytes, None]:
    still_speaks = VoiceProfile.objects.that_speak().filter(pk=speech.voice.pk, owner__is_active=True)

    async def segments() -> AsyncGenerator[Segment, None]:
        for number, segment in enumerate(speech.segments):
            # The voice was checked just before the first segment. It, or its owner, may have been blocked since.
            if number and not await still_speaks.aexists():
                raise ProviderError("provider_voice_missing", stage="speak", retryable=False)
            yield segment

    def synthesize(text: str, previous: str) -> AsyncGenerator[bytes, None]:
        used.speak(len(text), engine=speech.voice.provider)
        voice_id = speech.voice.voice_id
        return engine.speak(text, voice_id=voice_id, settings=speech.settings, previous_text=previous)

    origin = Origin(speech.voice.provider, timezone.now())
    encoder = create_encoder(speech.format, engine.sample_rate, origin)
    is_silent = True
    async with aclosing(synthesize_ahead(segments(), synthesize, in_flight=settings.SPEECH_IN_FLIGHT)) as synthesized:
        async for _segment, chunks in synthesized:
            async for pcm in chunks:
                is_silent = False
                if data := await asyncio.to_thread(encoder.encode, pcm):
                    yield data
    if is_silent:
        raise ProviderError("provider_answer_invalid", stage="speak", retryable=True)
    yield encoder.finish()


def models() -> dict[str, str]:
    """Return the names of the speech-to-text and text-to-speech models, each with its provider."""
    engines: list[tuple[str, Stage]] = [(settings.SPEECH_TO_TEXT, "hear"), (settings.TEXT_TO_SPEECH, "speak")]
    return {availability.model_of(engine, stage): engine for engine, stage in engines}
