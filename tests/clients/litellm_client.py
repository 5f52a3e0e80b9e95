"""LiteLLM, as it calls a server of OpenAI's format."""

from __future__ import annotations

from typing import Any

import litellm
import openai

from tests.clients.calls import BASE_URL, RECORDING, STARTS, TEXT, TOKEN, VOICE, WORDS, call, error_of, require_sound

SITE = {"api_base": BASE_URL, "api_key": TOKEN, "num_retries": 0}


def transcribe(**options: Any) -> Any:
    with RECORDING.open("rb") as file:
        return litellm.transcription(model="openai/whisper-1", **{"file": file} | SITE | options)


def speak(**options: Any) -> bytes:
    speech = litellm.speech(model="openai/tts-1", input=TEXT, **{"voice": VOICE} | SITE | options)
    return bytes(speech.content)


def hear() -> None:
    with call("transcription json"):
        assert transcribe(response_format="json").text == WORDS
    with call("transcription verbose_json"):
        heard = transcribe(response_format="verbose_json")
        assert (heard.text, heard["segments"][0]["text"]) == (WORDS, WORDS)
    with call("transcription srt"):
        assert "-->" in transcribe(response_format="srt").text
    with call("transcription words"):
        timed = transcribe(response_format="verbose_json", timestamp_granularities=["word"])
        assert [word["word"] for word in timed["words"]] == WORDS.split()


def say() -> None:
    for audio_format in STARTS:
        with call(f"speech {audio_format}"):
            require_sound(speak(response_format=audio_format), audio_format)
    with call("speech in a voice of OpenAI's"):
        require_sound(speak(voice="alloy", speed=2.0, instructions="Whisper."), "mp3")


def fail() -> None:
    with call("wrong key"):
        assert error_of(openai.AuthenticationError, lambda: transcribe(api_key="vc_wrong")).status_code == 401
    with call("wrong voice"):
        assert "voice" in str(error_of(openai.NotFoundError, lambda: speak(voice="Nobody")))
    with call("wrong file"):
        assert error_of(openai.BadRequestError, lambda: transcribe(file=("a.wav", b"no sound"))).status_code == 400


if __name__ == "__main__":
    hear()
    say()
    fail()
