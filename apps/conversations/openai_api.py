"""`/v1`: OpenAI's wire format, so that its clients can transcribe, and can speak in the caller's own voices.

Source: developers.openai.com/api/reference, and the `openai` package, which the tests use as the client.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import idempotent
from apps.conversations import single_stages
from apps.conversations.openai_base import STOCK_VOICES, OpenAISerializer, OpenAIView
from apps.conversations.single_stages_api import speech_response
from apps.conversations.transcript_formats import (
    SUBTITLES,
    TRANSCRIPT_FORMATS,
    WITH_TIMES,
    WITHOUT_TIMES,
    transcript_events,
    transcript_response,
)
from apps.core.api import EventStreamRenderer
from apps.core.errors import UserError
from apps.core.language_fields import LanguageField
from apps.speech.provenance.encoders import AudioFormat
from apps.usage.api import LimitedView
from apps.voices.services import named_voice, speaking_voices
from apps.voices.speech_settings import SPEED

MIN_SPEED, MAX_SPEED = 0.25, 4.0  # OpenAI's limits.
STREAM_FORMATS = ("audio", "sse")
GRANULARITIES = "timestamp_granularities[]"
OWN_NAME = "voiceclone"


def _unsupported(field: str, wanted: str, possible: Iterable[str]) -> UserError:
    text = _("“%(wanted)s” is not available here. Ask for one of these: %(possible)s.")
    values = {"wanted": wanted, "possible": ", ".join(possible)}
    return UserError("unsupported_format", text % values, field=field)


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object", "properties": {"id": {"type": "string"}}}]})
class VoiceField(serializers.Field[str, Any, str, Any]):
    """A voice by its id or its name; newer clients send `{"id": …}`."""

    def to_internal_value(self, data: Any) -> str:
        name = data.get("id") if isinstance(data, dict) else data
        if not isinstance(name, str) or not name:
            raise serializers.ValidationError(_("Name one of your voices, by its id or its name."))
        return name

    def to_representation(self, value: str) -> str:
        return value


class OpenAISpeech(LimitedView, OpenAIView):
    """`client.audio.speech.create(…)`. Any `model` is accepted: a voice speaks with the engine that created it."""

    token_scope = "talk"
    parser_classes = [JSONParser]
    content_field = "input"

    class Input(OpenAISerializer):
        input = serializers.CharField(max_length=single_stages.MAX_SPEECH_CHARACTERS)
        voice = VoiceField()
        model = serializers.CharField(required=False)
        response_format = serializers.CharField(default=AudioFormat.MP3.value)
        speed = serializers.FloatField(min_value=MIN_SPEED, max_value=MAX_SPEED, required=False)
        instructions = serializers.CharField(
            required=False, allow_blank=True, max_length=single_stages.MAX_SPEECH_CHARACTERS
        )
        stream_format = serializers.CharField(default="audio")

        def validate_response_format(self, name: str) -> AudioFormat:
            if name not in list(AudioFormat):
                raise _unsupported("response_format", name, AudioFormat)
            return AudioFormat(name)

        def validate_speed(self, speed: float) -> float:
            """Limit the speed to what voices can do."""
            return min(max(speed, SPEED.minimum), SPEED.maximum)

        def validate_stream_format(self, name: str) -> str:
            if name not in STREAM_FORMATS:
                raise _unsupported("stream_format", name, STREAM_FORMATS)
            return name

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        wanted = values.validated_data
        owner = signed_in_user(request)
        return speech_response(
            request,
            voice=named_voice(owner=owner, name=wanted["voice"], default_names=STOCK_VOICES),
            text=wanted["input"],
            audio_format=wanted["response_format"],
            changes={SPEED.name: wanted["speed"]} if "speed" in wanted else {},
            instructions=wanted.get("instructions", ""),
            as_events=wanted["stream_format"] == "sse",
        )


class VoiceList(OpenAIView):
    """The caller's voices that can speak, as Open WebUI and bridges for Home Assistant ask for them."""

    def get(self, request: Request) -> Response:
        voices = speaking_voices(owner=signed_in_user(request))
        return Response({"voices": [{"id": str(voice.pk), "name": voice.name} for voice in voices]})


class OpenAITranscriptions(LimitedView, OpenAIView):
    """`client.audio.transcriptions.create(…)`. Any `model` is accepted: the site has one speech-to-text engine."""

    token_scope = "talk"
    parser_classes = [MultiPartParser]
    content_field = "file"

    class Input(OpenAISerializer):
        file = serializers.FileField(allow_empty_file=True)
        model = serializers.CharField(required=False)
        language = LanguageField()
        prompt = serializers.CharField(required=False, allow_blank=True)
        response_format = serializers.CharField(default="json")
        temperature = serializers.FloatField(min_value=0, max_value=1, required=False)
        stream = serializers.BooleanField(default=False)

        def to_internal_value(self, data: Any) -> Any:
            """Reject an empty field, as OpenAI does; otherwise an empty field of a form would count as missing."""
            fields = self.fields.items()
            empty = [
                name for name, field in fields if data.get(name) == "" and not getattr(field, "allow_blank", False)
            ]
            if empty:
                raise serializers.ValidationError({name: [_("This is empty.")] for name in empty})
            return super().to_internal_value(data)

        def validate_temperature(self, value: float) -> float:
            if math.isnan(value):  # NaN passes both limits, because every comparison with it is false.
                raise serializers.ValidationError(_("This is not a number."))
            return value

        def validate_response_format(self, name: str) -> str:
            if name not in TRANSCRIPT_FORMATS:
                raise _unsupported("response_format", name, TRANSCRIPT_FORMATS)
            return name

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        response_format = values.validated_data["response_format"]
        granularities = _granularities(request, response_format)
        if response_format in SUBTITLES and not single_stages.has_times():
            raise _unsupported("response_format", response_format, WITHOUT_TIMES)
        transcript, seconds = single_stages.transcribe(
            owner=signed_in_user(request),
            data=values.validated_data["file"].read(),
            language=values.validated_data.get("language", ""),
            with_times=response_format in WITH_TIMES,
            with_words="word" in granularities,
        )
        if "word" in granularities and transcript.text and not transcript.words:
            raise _unsupported(GRANULARITIES, "word", ["segment"])
        if values.validated_data["stream"]:
            return HttpResponse(transcript_events(transcript), content_type=EventStreamRenderer.media_type)
        return transcript_response(response_format, transcript, seconds, granularities)


def _granularities(request: Request, response_format: str) -> Sequence[str]:
    """Return what is to have times: "segment", "word" or both. Raises UserError."""
    wanted = request.POST.getlist(GRANULARITIES) or request.POST.getlist(GRANULARITIES.removesuffix("[]"))
    for name in wanted:
        if name not in ("word", "segment"):
            raise _unsupported(GRANULARITIES, name, ["word", "segment"])
    if "word" in wanted:
        if response_format != "verbose_json":
            text = _("Words have times in verbose_json only.")
            raise UserError("unsupported_format", text, field=GRANULARITIES)
        if not single_stages.has_times():
            raise _unsupported(GRANULARITIES, "word", ["segment"])
    return wanted or ["segment"]


class ModelList(OpenAIView):
    """`client.models.list()`: the speech-to-text and text-to-speech models."""

    def get(self, _request: Request) -> Response:
        models = [_model(name, owner) for name, owner in single_stages.models().items()]
        return Response({"object": "list", "data": models})


class ModelDetail(OpenAIView):
    """`client.models.retrieve(…)`: every name exists, because requests may name any."""

    def get(self, _request: Request, model: str) -> Response:
        return Response(_model(model, single_stages.models().get(model, OWN_NAME)))


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
