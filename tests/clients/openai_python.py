"""OpenAI's own package for Python."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import openai
from openai import OpenAI

from tests.clients.calls import BASE_URL, RECORDING, STARTS, TEXT, TOKEN, VOICE, WORDS, call, error_of, require_sound

if TYPE_CHECKING:
    from collections.abc import Callable

client = OpenAI(base_url=BASE_URL, api_key=TOKEN, max_retries=0)
speak, transcribe = client.audio.speech.create, client.audio.transcriptions.create
stream_speech = client.audio.speech.with_streaming_response.create


def list_models_and_voices() -> None:
    with call("models.list"):
        names = [model.id for model in client.models.list()]
        assert names
    for name in ("whisper-1", "gpt-4o-mini-tts", "Systran/faster-whisper-small"):
        with call(f"models.retrieve {name}"):
            assert client.models.retrieve(name).id == name
    with call("GET /audio/voices"):
        voices = client.get("/audio/voices", cast_to=dict[str, Any])["voices"]
        assert [voice["name"] for voice in voices] == [VOICE]


def hear() -> None:
    with call("transcription json"):
        assert transcribe(model="whisper-1", file=RECORDING).text == WORDS
    for language in ("en", "en-GB", "English", "auto"):
        with call(f"transcription language={language}"):
            assert transcribe(model="whisper-1", file=RECORDING, language=language).text == WORDS
    with call("transcription text"):
        assert str(transcribe(model="whisper-1", file=RECORDING, response_format="text")) == f"{WORDS}\n"
    with call("transcription verbose_json"):
        heard = transcribe(model="whisper-1", file=RECORDING, response_format="verbose_json")
        assert heard.segments
        assert [segment.text for segment in heard.segments] == [WORDS]
        assert heard.duration > 1
    with call("transcription srt"):
        assert "-->" in transcribe(model="whisper-1", file=RECORDING, response_format="srt")
    with call("transcription vtt"):
        assert transcribe(model="whisper-1", file=RECORDING, response_format="vtt").startswith("WEBVTT")
    with call("transcription words"):
        timed = transcribe(
            model="whisper-1", file=RECORDING, response_format="verbose_json", timestamp_granularities=["word"]
        )
        assert [word.word for word in timed.words or []] == WORDS.split()
    with call("transcription stream"):
        events = list(transcribe(model="gpt-transcribe", file=RECORDING, stream=True))
        assert events[-1].type == "transcript.text.done"
        assert events[-1].text == WORDS


def say() -> None:
    for audio_format in STARTS:
        with call(f"speech {audio_format}"):
            speech = speak(model="tts-1", voice=VOICE, input=TEXT, response_format=audio_format)  # type: ignore[arg-type]
            require_sound(speech.content, audio_format)
    with call("speech in a voice of OpenAI's, speed 4, instructions"):
        require_sound(speak(model="tts-1", voice="alloy", input=TEXT, speed=4, instructions="Whisper.").content, "mp3")
    with call("speech streamed"), stream_speech(model="tts-1", voice=VOICE, input=TEXT) as response:
        require_sound(b"".join(response.iter_bytes()), "mp3")
    with (
        call("speech sse"),
        stream_speech(model="gpt-4o-mini-tts", voice=VOICE, input=TEXT, stream_format="sse") as response,
    ):
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
        require_sound(b"".join(base64.b64decode(event["audio"]) for event in events[:-1]), "mp3")
        assert events[-1]["usage"]["total_tokens"] > 0


def fail() -> None:
    stranger = client.with_options(api_key="vc_wrong")
    refused("wrong key", openai.AuthenticationError, "invalid_api_key", None, stranger.models.list)
    nobody = partial(speak, model="tts-1", voice="Nobody", input=TEXT)
    refused("wrong voice", openai.NotFoundError, "voice_not_found", "voice", nobody)
    no_sound = partial(transcribe, model="whisper-1", file=("a.wav", b"no sound"))
    refused("wrong file", openai.BadRequestError, "audio_format_unknown", "file", no_sound)
    diarized = partial(transcribe, model="whisper-1", file=RECORDING, response_format="diarized_json")
    refused("wrong format", openai.BadRequestError, "unsupported_format", "response_format", diarized)
    chat = partial(client.chat.completions.create, model="gpt-5", messages=[{"role": "user", "content": TEXT}])
    refused("no such address", openai.NotFoundError, "not_found", None, chat)


def refused(
    name: str, kind: type[openai.APIStatusError], code: str, param: str | None, ask: Callable[[], object]
) -> None:
    with call(name):
        error = error_of(kind, ask)
        assert (error.code, error.param) == (code, param), (error.code, error.param)


if __name__ == "__main__":
    list_models_and_voices()
    hear()
    say()
    fail()
