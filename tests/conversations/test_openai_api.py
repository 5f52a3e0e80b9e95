"""OpenAI's wire format, through OpenAI's own package: it gets an address and a token, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
import requests
from django.conf import settings as django_settings
from openai import OpenAI

from apps.accounts.models import ApiToken
from apps.accounts.services import create_api_token
from apps.conversations.transcript_formats import transcript_response
from apps.speech.audio.decoding import decode
from apps.speech.base import Transcript, TranscriptSegment
from apps.voices.models import VoiceProfile
from tests.audio_samples import clip
from tests.client import LONG_REPLY, QUESTION, bearer
from tests.fakes.elevenlabs import CHARACTERS_PER_SECOND, SPEECH
from tests.fakes.openai import TRANSCRIPTIONS

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

SECONDS = len(LONG_REPLY) / CHARACTERS_PER_SECOND
FILE = ("question.wav", QUESTION, "audio/wav")
HEARD = Transcript(
    "It is a truth. Universally so.",
    "en",
    (TranscriptSegment(0.5, 1.25, "It is a truth."), TranscriptSegment(3661.0, 3662.5, "Universally so.")),
)


@pytest.fixture
def client(server: Server, alice_token: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=alice_token, max_retries=0) as client:
        yield client


class TestSpeech:
    def test_a_voice_speaks_by_its_name(self, client: OpenAI, voice: VoiceProfile) -> None:
        speech = client.audio.speech.create(model="tts-1", voice="Jane", input=LONG_REPLY)
        assert speech.response.headers["Content-Type"] == "audio/mpeg"
        assert speech.response.headers["X-AI-Generated"] == "true"
        sound = decode(speech.content, sample_rate=24_000, max_seconds=60)
        assert sound.seconds == pytest.approx(SECONDS, abs=0.3)

    def test_a_voice_speaks_by_its_id(self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile) -> None:
        client.audio.speech.create(model="tts-1", voice=str(voice.pk), input="Good morning.")
        client.audio.speech.create(model="tts-1", voice={"id": str(voice.pk)}, input="Good morning.")
        assert len(provider.requests_to(f"{SPEECH}/{voice.voice_id}")) == 2

    @pytest.mark.parametrize("response_format", ["mp3", "wav", "flac", "opus"])
    def test_it_has_the_requested_format(self, client: OpenAI, voice: VoiceProfile, response_format: Any) -> None:
        speech = client.audio.speech.create(
            model="tts-1", voice="Jane", input=LONG_REPLY, response_format=response_format
        )
        sound = decode(speech.content, sample_rate=24_000, max_seconds=60)
        assert sound.seconds == pytest.approx(SECONDS, abs=0.3)

    def test_it_streams(self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile) -> None:
        provider.behaviour.audio_speed = 4
        create = client.audio.speech.with_streaming_response.create
        with create(model="tts-1", voice="Jane", input=LONG_REPLY, response_format="pcm") as response:
            chunks = response.iter_bytes(1000)
            assert next(chunks)
            assert not all(request.finished.is_set() for request in provider.requests_to(SPEECH))
            assert sum(map(len, chunks)) > 48_000

    def test_its_speed_can_be_changed(self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile) -> None:
        client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.", speed=1.1)
        assert provider.last_request.json["voice_settings"] == {"speed": 1.1}

    @pytest.mark.parametrize(
        ("values", "code", "param"),
        [
            ({"response_format": "aac"}, "unsupported_format", None),
            ({"stream_format": "sse"}, "unsupported_format", None),
            ({"speed": 4}, "invalid", "speed"),
            ({"input": ""}, "invalid", "input"),
            ({"voice": {}}, "invalid", "voice"),
        ],
    )
    def test_an_unsupported_value_is_a_bad_request(
        self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile, values: Any, code: str, param: str | None
    ) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.speech.create(**{"model": "tts-1", "voice": "Jane", "input": "Good morning."} | values)
        assert (raised.value.code, raised.value.param) == (code, param)
        assert raised.value.type == "invalid_request_error"
        assert not provider.requests_to(SPEECH)

    def test_an_unknown_voice_is_not_found(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as raised:
            client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.")
        assert raised.value.code == "voice_not_found"

    def test_a_provider_that_is_busy_is_an_internal_server_error(
        self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        provider.fail_next(SPEECH, status=503, times=20)
        with pytest.raises(openai.InternalServerError) as raised:
            client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.")
        assert raised.value.type == "server_error"


class TestTranscriptions:
    def test_it_transcribes(self, client: OpenAI, provider: FakeProvider) -> None:
        heard = client.audio.transcriptions.create(model="whisper-1", file=FILE)
        assert heard.text == provider.behaviour.transcript
        assert heard.usage is not None
        assert heard.usage.type == "duration"
        assert heard.usage.seconds == pytest.approx(clip("austen-0930.wav").seconds, abs=1)

    def test_it_answers_in_text(self, client: OpenAI, provider: FakeProvider) -> None:
        heard = client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format="text")
        assert str(heard) == f"{provider.behaviour.transcript}\n"

    def test_it_streams(self, client: OpenAI, provider: FakeProvider) -> None:
        events = list(client.audio.transcriptions.create(model="gpt-transcribe", file=FILE, stream=True))
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert events[-1].text == provider.behaviour.transcript  # type: ignore[union-attr]

    @pytest.mark.parametrize("response_format", ["verbose_json", "srt", "vtt", "diarized_json"])
    def test_a_format_that_the_engine_cannot_fill_is_a_bad_request(
        self, client: OpenAI, provider: FakeProvider, response_format: Any
    ) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format=response_format)
        assert raised.value.code == "unsupported_format"
        assert not provider.requests_to(TRANSCRIPTIONS)

    def test_words_have_no_times(self, client: OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=FILE, timestamp_granularities=["word"])
        assert raised.value.code == "unsupported_format"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("model", ""), ("model", "  "), ("temperature", ""), ("temperature", "warm"), ("temperature", "nan")],
    )
    def test_unused_fields_are_validated_too(
        self, server: Server, alice_token: str, provider: FakeProvider, name: str, value: str
    ) -> None:
        url, form = f"{server.url}/v1/audio/transcriptions", {"model": "whisper-1", name: value}
        response = requests.post(url, data=form, files={"file": FILE}, headers=bearer(alice_token), timeout=60)
        error = response.json()["error"]
        assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", name)
        assert not provider.requests_to(TRANSCRIPTIONS)

    def test_a_file_without_sound_is_unprocessable(self, client: OpenAI) -> None:
        with pytest.raises(openai.UnprocessableEntityError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"text"))
        assert raised.value.code == "audio_format_unknown"

    def test_subtitles_are_valid_srt_and_vtt(self) -> None:
        srt, vtt = (transcript_response(name, HEARD, 3663.0) for name in ("srt", "vtt"))
        assert srt.content.decode() == (  # type: ignore[attr-defined]
            "1\n00:00:00,500 --> 00:00:01,250\nIt is a truth.\n\n2\n01:01:01,000 --> 01:01:02,500\nUniversally so.\n"
        )
        assert vtt.content.decode() == (  # type: ignore[attr-defined]
            "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nIt is a truth.\n\n"
            "01:01:01.000 --> 01:01:02.500\nUniversally so.\n"
        )


class TestModels:
    def test_the_speech_models_are_listed(self, client: OpenAI) -> None:
        models = client.models.list().data
        assert [model.owned_by for model in models] == ["openai", "elevenlabs"]
        assert client.models.retrieve(models[0].id) == models[0]

    def test_an_unknown_model_is_not_found(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve("gpt-0")
        assert raised.value.code == "model_not_found"


class TestRefusals:
    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.models.list(),
            lambda client: client.audio.speech.create(model="tts-1", voice="Jane", input="Hello."),
            lambda client: client.audio.transcriptions.create(model="whisper-1", file=FILE),
        ],
        ids=["models", "speech", "transcriptions"],
    )
    def test_a_wrong_token_is_an_authentication_error(self, server: Server, call: Callable[[OpenAI], object]) -> None:
        with OpenAI(base_url=f"{server.url}/v1", api_key="vc_wrong") as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                call(client)
            assert raised.value.code == "invalid_api_key"

    def test_without_a_token_the_answer_is_an_authentication_error(self, server: Server) -> None:
        response = requests.get(f"{server.url}/v1/models", timeout=10)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_a_token_without_the_scope_is_denied(self, server: Server, alice: User) -> None:
        token = create_api_token(owner=alice, name="reads", scopes=["read"])
        with OpenAI(base_url=f"{server.url}/v1", api_key=token) as client:
            assert client.models.list().data
            with pytest.raises(openai.PermissionDeniedError) as raised:
                client.audio.speech.create(model="tts-1", voice="Jane", input="Hello.")
        assert raised.value.code == "insufficient_scope"
        assert ApiToken.objects.exists()

    def test_an_unknown_address_is_not_found(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as raised:
            client.chat.completions.create(model="gpt-6-luna", messages=[{"role": "user", "content": "Hello?"}])
        assert raised.value.type == "invalid_request_error"

    def test_a_too_large_upload_is_a_413(self, client: OpenAI) -> None:
        too_much = bytes(django_settings.MAX_UPLOAD_BYTES + 1)
        with pytest.raises(openai.APIStatusError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", too_much))
        assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")

    def test_a_limit_is_a_rate_limit_error(
        self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile, settings: Settings
    ) -> None:
        settings.LIMITS = True
        settings.LIMIT_REQUESTS_PER_DAY = 1
        client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.")
        calls = len(provider.requests)
        with pytest.raises(openai.RateLimitError) as raised:
            client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.")
        assert raised.value.type == "rate_limit_error"
        assert raised.value.response.headers["Retry-After"]
        assert len(provider.requests) == calls

    def test_a_wrong_body_is_a_bad_request(self, server: Server, alice_token: str) -> None:
        response = requests.post(f"{server.url}/v1/audio/speech", data="{", headers=bearer(alice_token), timeout=10)
        assert response.status_code in {400, 415}
        assert response.json()["error"].keys() == {"message", "type", "param", "code"}
