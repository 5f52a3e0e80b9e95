"""OpenAI's wire format, through OpenAI's own package: it gets an address and a token, and nothing else."""

from __future__ import annotations

import base64
import json
import math
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
from tests.audio_samples import clip, silence, to_wav
from tests.client import LONG_REPLY, QUESTION, bearer
from tests.conftest import serve
from tests.factories import make_voice
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

    @pytest.mark.parametrize("response_format", ["mp3", "wav", "flac", "opus", "aac"])
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
            provider.behaviour.audio_speed = 0
            assert sum(map(len, chunks)) > 48_000

    def test_it_streams_as_events(self, client: OpenAI, voice: VoiceProfile) -> None:
        create = client.audio.speech.with_streaming_response.create
        with create(model="gpt-4o-mini-tts", voice="Jane", input=LONG_REPLY, stream_format="sse") as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["X-AI-Generated"] == "true"
            events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
        *deltas, done = events
        assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
        file = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
        assert decode(file, sample_rate=24_000, max_seconds=60).seconds == pytest.approx(SECONDS, abs=0.3)
        tokens = math.ceil(len(LONG_REPLY) / 4)
        usage = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
        assert done == {"type": "speech.audio.done", "usage": usage}

    @pytest.mark.parametrize(("speed", "spoken"), [(1.1, 1.1), (0.25, 0.7), (4.0, 1.2)])
    def test_its_speed_is_limited_to_what_the_voice_can_do(
        self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile, speed: float, spoken: float
    ) -> None:
        client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.", speed=speed)
        assert provider.last_request.json["voice_settings"] == {"speed": spoken}

    def test_null_is_the_same_as_nothing(self, client: OpenAI, provider: FakeProvider, voice: VoiceProfile) -> None:
        nothing = dict.fromkeys(["speed", "instructions", "response_format", "stream_format", "model"])
        speech = client.audio.speech.create(model="tts-1", voice="Jane", input="Good morning.", extra_body=nothing)
        assert speech.response.headers["Content-Type"] == "audio/mpeg"
        assert "voice_settings" not in provider.last_request.json

    def test_a_voice_of_openais_is_the_default_voice(
        self, client: OpenAI, alice: User, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        make_voice(alice, provider.add_voice("June"), name="June")
        client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.", instructions="Speak calmly.")
        client.audio.speech.create(model="tts-1", voice={"id": "Marin"}, input="Good morning.")
        assert len(provider.requests_to(f"{SPEECH}/{voice.voice_id}")) == 2

    def test_unless_a_voice_of_ones_own_is_called_so(
        self, client: OpenAI, alice: User, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        nova = make_voice(alice, provider.add_voice("Nova"), name="Nova")
        client.audio.speech.create(model="tts-1", voice="nova", input="Good morning.")
        assert provider.last_request.path.startswith(f"{SPEECH}/{nova.voice_id}")

    @pytest.mark.parametrize(
        ("values", "code", "param"),
        [
            ({"response_format": "ogg"}, "unsupported_format", "response_format"),
            ({"stream_format": "websocket"}, "unsupported_format", "stream_format"),
            ({"speed": 4.1}, "invalid", "speed"),
            ({"speed": 0.2}, "invalid", "speed"),
            ({"input": ""}, "invalid", "input"),
            ({"input": "😀"}, "nothing_to_speak", "input"),
            ({"voice": {}}, "invalid", "voice"),
            ({"voice": None}, "invalid", "voice"),
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
            client.audio.speech.create(model="tts-1", voice="Nobody", input="Good morning.")
        assert (raised.value.code, raised.value.param) == ("voice_not_found", "voice")

    def test_without_a_voice_there_is_no_default_one(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):
            client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.")

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

    def test_without_times_there_is_one_segment(self, client: OpenAI, provider: FakeProvider) -> None:
        provider.behaviour.languages = ["de"]
        heard = client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format="verbose_json")
        seconds = clip("austen-0930.wav").seconds
        assert (heard.text, heard.language) == (provider.behaviour.transcript, "german")
        assert heard.duration == pytest.approx(seconds, abs=0.01)
        assert heard.model_extra == {"task": "transcribe"}
        assert heard.words is None
        (segment,) = heard.segments or []
        assert segment.to_dict() == {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": pytest.approx(seconds, abs=0.01),
            "text": provider.behaviour.transcript,
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": 0.0,
            "compression_ratio": pytest.approx(0.8, abs=0.2),
            "no_speech_prob": 0.0,
        }

    def test_silence_has_no_segment(self, client: OpenAI) -> None:
        file = ("silence.wav", to_wav(silence(2)))
        heard = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="verbose_json")
        assert (heard.text, heard.segments) == ("", [])

    @pytest.mark.parametrize(("language", "code"), [("German", "de"), ("de-DE", "de"), ("de_DE", "de"), ("auto", None)])
    def test_the_language_may_be_a_name_or_a_region(
        self, client: OpenAI, provider: FakeProvider, language: str, code: str | None
    ) -> None:
        client.audio.transcriptions.create(model="whisper-1", file=FILE, language=language)
        assert provider.last_request.form.get("language") == code

    @pytest.mark.parametrize("response_format", ["srt", "vtt", "diarized_json"])
    def test_a_format_that_the_engine_cannot_fill_is_a_bad_request(
        self, client: OpenAI, provider: FakeProvider, response_format: Any
    ) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format=response_format)
        assert (raised.value.code, raised.value.param) == ("unsupported_format", "response_format")
        assert not provider.requests_to(TRANSCRIPTIONS)

    @pytest.mark.parametrize("response_format", ["json", "verbose_json"])
    def test_words_have_no_times(self, client: OpenAI, provider: FakeProvider, response_format: Any) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(
                model="whisper-1", file=FILE, response_format=response_format, timestamp_granularities=["word"]
            )
        assert (raised.value.code, raised.value.param) == ("unsupported_format", "timestamp_granularities[]")
        assert not provider.requests_to(TRANSCRIPTIONS)

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

    def test_a_file_without_sound_is_a_bad_request(self, client: OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"text"))
        assert (raised.value.code, raised.value.param) == ("audio_format_unknown", "file")
        assert raised.value.type == "invalid_request_error"

    def test_subtitles_are_valid_srt_and_vtt(self) -> None:
        srt, vtt = (transcript_response(name, HEARD, 3663.0) for name in ("srt", "vtt"))
        assert srt.content.decode() == (  # type: ignore[attr-defined]
            "1\n00:00:00,500 --> 00:00:01,250\nIt is a truth.\n\n2\n01:01:01,000 --> 01:01:02,500\nUniversally so.\n"
        )
        assert vtt.content.decode() == (  # type: ignore[attr-defined]
            "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nIt is a truth.\n\n"
            "01:01:01.000 --> 01:01:02.500\nUniversally so.\n"
        )


class TestWhisper:
    """A server with a Whisper model, as OpenAI's own for now, tells when words are said."""

    @pytest.fixture
    def client(
        self, transactional_db: None, remote_engines: FakeProvider, settings: Settings, alice_token: str
    ) -> Iterator[OpenAI]:
        settings.STT_MODEL = "whisper-1"
        with serve() as server, OpenAI(base_url=f"{server.url}/v1", api_key=alice_token, max_retries=0) as client:
            yield client

    def test_words_have_times(self, client: OpenAI, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Good morning."
        create = client.audio.transcriptions.create
        both = create(model="w", file=FILE, response_format="verbose_json", timestamp_granularities=["word", "segment"])
        words = [("Good", 0.0, 0.5), ("morning.", 0.5, 1.0)]
        assert [(word.word, word.start, word.end) for word in both.words or []] == words
        assert [(each.text, each.end, each.tokens) for each in both.segments or []] == [
            ("Good morning.", 1.0, [50364, 3])
        ]
        assert both.language == "english"
        alone = create(model="w", file=FILE, response_format="verbose_json", timestamp_granularities=["word"])
        assert (alone.words, alone.segments) == (both.words, None)

    def test_subtitles_have_times(self, client: OpenAI, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Good morning."
        srt = client.audio.transcriptions.create(model="w", file=FILE, response_format="srt")
        assert srt == "1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n"


class TestVoices:
    def test_those_that_can_speak_are_listed(
        self, client: OpenAI, alice: User, bob: User, provider: FakeProvider, voice: VoiceProfile
    ) -> None:
        june = make_voice(alice, provider.add_voice("June"), name="June")
        make_voice(alice, "", status=VoiceProfile.Status.FAILED)
        make_voice(bob, provider.add_voice("Bob"), name="Bob")
        voices = client.get("/audio/voices", cast_to=dict[str, Any])
        assert voices == {"voices": [{"id": str(each.pk), "name": each.name} for each in (voice, june)]}
        client.audio.speech.create(model="tts-1", voice=voices["voices"][1]["id"], input="Good morning.")
        assert provider.last_request.path.startswith(f"{SPEECH}/{june.voice_id}")


class TestModels:
    def test_the_speech_models_are_listed(self, client: OpenAI) -> None:
        models = client.models.list().data
        assert [model.owned_by for model in models] == ["openai", "elevenlabs"]
        assert client.models.retrieve(models[0].id) == models[0]

    @pytest.mark.parametrize("name", ["tts-1", "whisper-1", "Systran/faster-whisper-small"])
    def test_each_name_that_a_request_may_have_is_a_model(self, client: OpenAI, name: str) -> None:
        model = client.models.retrieve(name)
        assert (model.id, model.object) == (name, "model")


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

    def test_a_body_that_is_no_object_has_no_wrong_field(self, server: Server, alice_token: str) -> None:
        response = requests.post(f"{server.url}/v1/audio/speech", json=[1], headers=bearer(alice_token), timeout=10)
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["type"]) == (400, None, "invalid_request_error")

    def test_a_wrong_method_is_told_in_the_same_format(self, server: Server, alice_token: str) -> None:
        response = requests.get(f"{server.url}/v1/audio/speech", headers=bearer(alice_token), timeout=10)
        assert response.status_code == 405
        assert response.json()["error"].keys() == {"message", "type", "param", "code"}
