"""The API of single stages of a turn: `/api/v1/transcriptions` and `/api/v1/speech`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import idempotent
from apps.conversations import single_stages
from apps.conversations.speech_events import speech_events
from apps.conversations.started_stream import start_stream
from apps.core.api import AudioRenderer, EventStreamRenderer, StrictSerializer
from apps.core.language_fields import LanguageField
from apps.speech.base import VoiceSettings
from apps.speech.provenance.encoders import CONTENT_TYPES, AudioFormat
from apps.usage.api import LimitedView
from apps.voices.api import SettingsSerializer
from apps.voices.models import VoiceProfile
from apps.voices.services import SettingChanges, changed_settings, named_voice, note_use


class Transcriptions(LimitedView):
    """Speech to text only; nothing is stored."""

    token_scope = "talk"
    parser_classes = [MultiPartParser]

    class Input(StrictSerializer):
        audio = serializers.FileField(allow_empty_file=True)
        language = LanguageField()

    class Output(serializers.Serializer[Any]):
        text = serializers.CharField()
        language = serializers.CharField()
        seconds = serializers.FloatField()

    @idempotent
    def post(self, request: Request) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        data, language = values.validated_data["audio"].read(), values.validated_data.get("language", "")
        transcript, seconds = single_stages.transcribe(owner=signed_in_user(request), data=data, language=language)
        return Response({"text": transcript.text, "language": transcript.language, "seconds": round(seconds, 3)})


class Speech(LimitedView):
    """Text to speech only; nothing is stored. The file is streamed while it is synthesized."""

    token_scope = "talk"
    parser_classes = [JSONParser, FormParser, MultiPartParser]
    renderer_classes = [JSONRenderer, AudioRenderer]

    class Input(StrictSerializer):
        text = serializers.CharField(max_length=single_stages.MAX_SPEECH_CHARACTERS)
        voice = serializers.CharField(max_length=100)
        format = serializers.ChoiceField(choices=list(AudioFormat), default=AudioFormat.MP3)
        settings = SettingsSerializer(required=False)

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = named_voice(owner=signed_in_user(request), name=values.validated_data["voice"])
        return speech_response(
            request,
            voice=voice,
            text=values.validated_data["text"],
            audio_format=AudioFormat(values.validated_data["format"]),
            changes=values.validated_data.get("settings", {}),
        )


def speech_response(
    request: Request,
    *,
    voice: VoiceProfile,
    text: str,
    audio_format: AudioFormat,
    changes: SettingChanges,
    instructions: str = "",
    as_events: bool = False,
) -> HttpResponseBase:
    """Stream `text` spoken by `voice`: a file, or OpenAI's events with its parts.

    `changes` to the voice's settings and `instructions` for the engine apply to this response only.
    """
    settings = VoiceSettings(**changed_settings(voice=voice, settings=changes), instructions=instructions)
    speech = single_stages.Speech(
        single_stages.segments_to_speak(text, provider=voice.provider), voice, settings, audio_format
    )
    reservation = single_stages.reserve(speech)
    content_type = CONTENT_TYPES[audio_format]
    spoken = single_stages.speak(speech, reservation)
    if as_events:
        content_type = EventStreamRenderer.media_type
        spoken = speech_events(spoken, characters=len(text))
    file = start_stream(request, spoken)
    response: HttpResponseBase
    if isinstance(file, bytes):
        response = HttpResponse(file, content_type=content_type)
    else:
        response = StreamingHttpResponse(file, content_type=content_type)
        response["X-Accel-Buffering"] = "no"  # Otherwise nginx buffers the sound.
    note_use(voice=voice, characters=len(text))
    response["X-AI-Generated"] = "true"
    response["Cache-Control"] = "no-store"
    return response
