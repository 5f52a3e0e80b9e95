from __future__ import annotations

import hashlib
import io
import json

import httpx

from tests.fakes.elevenlabs import speech
from tests.fakes.provider import FakeProvider

BEARER = {"authorization": "Bearer test-key"}
KEY = {"xi-api-key": "test-key"}


def test_it_logs_each_request_in_a_line_without_keys_and_sound() -> None:
    log = io.StringIO()
    audio = bytes(range(256)) * 20 + b"\r\n--"
    with FakeProvider(log=log).running() as provider, httpx.Client(base_url=provider.url, headers=KEY) as client:
        files = {"files": ("a.mp3", audio, "audio/mpeg")}
        voice_id = client.post("/v1/voices/add", data={"name": "Alice"}, files=files).json()["voice_id"]
        path = f"/v1/text-to-speech/{voice_id}/stream?output_format=pcm_24000"
        sound = client.post(path, json={"text": "Hello there, you."}).content

    added, spoken = [json.loads(line) for line in log.getvalue().splitlines()]
    assert added["form"] == {"name": "Alice"}
    assert added["files"] == [
        {
            "field": "files",
            "name": "a.mp3",
            "content_type": "audio/mpeg",
            "size": len(audio),
            "sha256": hashlib.sha256(audio).hexdigest(),
        }
    ]
    assert spoken["json"] == {"text": "Hello there, you."}
    assert (spoken["bytes_sent"], spoken["left_early"]) == (len(sound), False)
    assert sound == speech("Hello there, you.", 24_000)
    assert "test-key" not in log.getvalue()


def test_it_lets_only_its_key_in(provider: FakeProvider) -> None:
    assert httpx.get(f"{provider.openai_url}/models", headers=BEARER).status_code == 200
    assert httpx.get(f"{provider.openai_url}/models").status_code == 401
    assert httpx.get(f"{provider.url}/v1/voices", headers=KEY).json() == {"voices": []}
    assert httpx.get(f"{provider.url}/v1/voices", headers={"xi-api-key": "another"}).status_code == 401


def test_a_client_that_has_left_does_not_count_towards_the_plan(provider: FakeProvider) -> None:
    provider.behaviour.speech_limit, provider.behaviour.audio_speed = 1, 4
    path = f"{provider.url}/v1/text-to-speech/{provider.add_voice('Jane')}/stream?output_format=pcm_24000"
    with httpx.Client(headers=KEY) as client:
        for _ in range(10):
            with client.stream("POST", path, json={"text": "Hello there, you."}) as sound:
                assert next(sound.iter_raw())
    assert not provider.over_limit


def test_it_replies_in_one_piece_to_who_does_not_stream(provider: FakeProvider) -> None:
    question = {"model": "mind-1", "messages": [{"role": "user", "content": "Hello?"}]}

    answer = httpx.post(f"{provider.openai_url}/chat/completions", headers=BEARER, json=question).json()

    assert answer["choices"][0]["message"]["content"] == provider.behaviour.reply
