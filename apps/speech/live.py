"""The engines of live conversations: one that hears while it is spoken, and one that knows who has finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.speech import configs
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.base import ELEVENLABS, OPENAI
from apps.speech.providers.whole_file import WholeFileSpeechToText

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.speech.base import LiveSpeechToText, SpeechToText


def create_live_speech_to_text(create_whole_file_engine: Callable[[], SpeechToText]) -> LiveSpeechToText:
    """Return the engine that the settings name. `create_whole_file_engine` returns one for one call."""
    engine = configs.live_engine()
    if engine == ELEVENLABS:
        from apps.speech.providers import elevenlabs_live

        return elevenlabs_live.create_live_speech_to_text(configs.elevenlabs_live_config())
    if engine == OPENAI:
        from apps.speech.providers import openai_live

        return openai_live.create_live_speech_to_text(configs.openai_live_config())
    return WholeFileSpeechToText(create_whole_file_engine, max_seconds=configs.max_question_seconds())


def turn_end() -> TurnEnd | None:
    """Return the model of turn ends of the process, or None as long as its weights are missing.

    The first call loads it: call it in a thread.
    """
    try:
        return TurnEnd(configs.local_config().turn_ends_path)
    except FileNotFoundError:
        return None
