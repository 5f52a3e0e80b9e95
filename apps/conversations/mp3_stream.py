"""Streams the answer of a turn as one MP3 while it is being spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from apps.conversations.marking import origin_of
from apps.conversations.models import Turn
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.turn import run_turn
from apps.conversations.turn_events import Failed, Spoken
from apps.speech.provenance.encoders import AudioFormat, Encoder, create_encoder
from apps.speech.registry import current_engines

_SILENCE_SAMPLE_RATE = 24_000
_SILENCE_SECONDS = 0.2


class BrokenAnswerError(Exception):
    """The voice failed in the middle of the answer. Only breaking off the body can still tell the client."""


async def mp3_of_turn(prepared: PreparedTurn) -> AsyncGenerator[bytes, None]:
    """Run the turn and yield its sound as MP3 as soon as its reply is complete; yield nothing if there is no sound.

    Raises BrokenAnswerError if the voice fails after the first bytes. Closing the generator interrupts the turn.
    """
    turn = prepared.turn
    encoder: Encoder | None = None
    mp3, has_begun = b"", False
    async with current_engines() as engines, aclosing(run_turn(prepared, engines)) as events:
        async for event in events:
            if isinstance(event, Spoken):
                encoder = encoder or create_encoder(AudioFormat.MP3, event.sample_rate, origin_of(turn))
                mp3 += await asyncio.to_thread(encoder.encode, event.pcm)
                if mp3 and turn.reply:
                    yield mp3
                    mp3, has_begun = b"", True
            elif isinstance(event, Failed) and has_begun:
                raise BrokenAnswerError(event.code)
    if encoder is not None and turn.status != Turn.Status.FAILED:
        yield mp3 + encoder.finish()


def silent_mp3(turn: Turn) -> bytes:
    """Return a moment of silence, for callers that expect sound, as the answer of a turn whose reply has no words."""
    encoder = create_encoder(AudioFormat.MP3, _SILENCE_SAMPLE_RATE, origin_of(turn))
    return encoder.encode(bytes(2 * int(_SILENCE_SECONDS * _SILENCE_SAMPLE_RATE))) + encoder.finish()
