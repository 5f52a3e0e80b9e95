"""`/v1`: OpenAI's wire format, so that its clients can transcribe, and can speak in the caller's own voices.

Source: developers.openai.com/api/reference, and the `openai` package, which the tests use as the client.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import idempotent
from apps.conversations import single_stages
from apps.conversations.single_stages_api import LANGUAGE_CODE, speech_response
from apps.conversations.transcript_formats import TRANSCRIPT_FORMATS, WITH_TIMES, transcript_events, transcript_response
from apps.core.api import EventStreamRenderer, StrictSerializer
from apps.core.api_errors import handle_exception, openai_error_body
from apps.core.errors import UserError
from apps.speech.provenance.encoders import AudioFormat
from apps.usage.api import LimitedView
from apps.voices.services import named_voice
from apps.voices.speech_settings import SPEED


class IgnoreAcceptHeader(BaseContentNegotiation):
    """Ignores `Accept`: OpenAI's clients expect the format that the body names, whatever the header says."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        content_type = request.content_type or ""
        return next((parser for parser in parsers if content_type.startswith(parser.media_type)), None)

    def select_renderer(
        self, _request: Request, renderers: Any, _format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class OpenAIView(APIView):
    """The base of all views here: errors have OpenAI's format."""

    content_negotiation_class = IgnoreAcceptHeader

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return handle_openai_exception


def handle_openai_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into an error that OpenAI's clients understand."""
    response = handle_exception(error, context)
    if response is not None:
        response.data = openai_error_body(response.data["error"], response.status_code)
    return response


def _unsupported_format(wanted: str, possible: Any) -> UserError:
    text = _("“%(wanted)s” is not available here. Ask for one of these: %(possible)s.")
    return UserError("unsupported_format", text % {"wanted": wanted, "possible": ", ".join(possible)})


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

    class Input(StrictSerializer):
        input = serializers.CharField(max_length=single_stages.MAX_SPEECH_CHARACTERS)
        voice = VoiceField()
        model = serializers.CharField(required=False)
        response_format = serializers.CharField(default=AudioFormat.MP3.value)
        speed = serializers.FloatField(min_value=SPEED.minimum, max_value=SPEED.maximum, required=False)
        instructions = serializers.CharField(required=False, allow_blank=True)
        stream_format = serializers.CharField(default="audio")

        def validate_response_format(self, name: str) -> AudioFormat:
            if name not in list(AudioFormat):
                raise _unsupported_format(name, AudioFormat)
            return AudioFormat(name)

        def validate_stream_format(self, name: str) -> str:
            if name != "audio":
                raise _unsupported_format(name, ["audio"])
            return name

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        speed = values.validated_data.get("speed")
        return speech_response(
            request,
            voice=named_voice(owner=signed_in_user(request), name=values.validated_data["voice"]),
            text=values.validated_data["input"],
            audio_format=values.validated_data["response_format"],
            changes={} if speed is None else {SPEED.name: speed},
        )


class OpenAITranscriptions(LimitedView, OpenAIView):
    """`client.audio.transcriptions.create(…)`. Any `model` is accepted: the site has one speech-to-text engine."""

    token_scope = "talk"
    parser_classes = [MultiPartParser]

    class Input(StrictSerializer):
        file = serializers.FileField(allow_empty_file=True)
        model = serializers.CharField(required=False)
        language = serializers.RegexField(LANGUAGE_CODE, required=False, allow_blank=True)
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
                raise _unsupported_format(name, TRANSCRIPT_FORMATS)
            return name

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        if "word" in request.POST.getlist("timestamp_granularities[]"):
            raise _unsupported_format("word", ["segment"])
        response_format = values.validated_data["response_format"]
        transcript, seconds = single_stages.transcribe(
            owner=signed_in_user(request),
            data=values.validated_data["file"].read(),
            language=values.validated_data.get("language", ""),
            with_times=response_format in WITH_TIMES,
        )
        if values.validated_data["stream"]:
            return HttpResponse(transcript_events(transcript), content_type=EventStreamRenderer.media_type)
        return transcript_response(response_format, transcript, seconds)


class ModelList(OpenAIView):
    """`client.models.list()`: the speech-to-text and text-to-speech models."""

    def get(self, _request: Request) -> Response:
        models = [_model(name, owner) for name, owner in single_stages.models().items()]
        return Response({"object": "list", "data": models})


class ModelDetail(OpenAIView):
    """`client.models.retrieve(…)`."""

    def get(self, _request: Request, model: str) -> Response:
        owner = single_stages.models().get(model)
        if owner is None:
            text = _("There is no model “%(name)s” here.") % {"name": model}
            raise UserError("model_not_found", text, status=404)
        return Response(_model(model, owner))


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
