"""The caller's voices, for API clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import NoteMade, idempotent, idempotent_by_row, key_in_use, replayed
from apps.accounts.models import IdempotencyKey
from apps.core.api import AudioRenderer, StrictSerializer
from apps.core.audio_response import audio_response, stored_audio_response
from apps.usage.api import LimitedView
from apps.voices import services
from apps.voices.deletion import delete_voice
from apps.voices.models import VoiceProfile, VoiceSample
from apps.voices.sample_quality import measure_sample
from apps.voices.speech_settings import SIMILARITY, SPEED, STABILITY, STYLE, SpeechSetting, settings_of


class SampleSerializer(serializers.ModelSerializer[VoiceSample]):
    """A recording that a voice was cloned from. `voices/{id}/samples/{id}/audio` is its audio. Levels are in dBFS."""

    class Meta:
        model = VoiceSample
        fields = ["id", "seconds", "rms_db", "peak_db"]


class VoiceSerializer(serializers.ModelSerializer[VoiceProfile]):
    """A voice as the API shows it."""

    adjustable = serializers.SerializerMethodField()
    samples = SampleSerializer(many=True)
    error = serializers.SerializerMethodField()
    silenced_at = serializers.DateTimeField(
        source="suspended_at", label=gettext_lazy("Silenced"), allow_null=True, required=False
    )

    class Meta:
        model = VoiceProfile
        fields = [
            "id",
            "name",
            "provider",
            "voice_id",
            "status",
            "is_default",
            "settings",
            "adjustable",
            "sample_seconds",
            "samples",
            "error",
            "created_at",
            "last_used_at",
            "silenced_at",
        ]

    def get_adjustable(self, voice: VoiceProfile) -> list[str]:
        """Return the names of the settings that affect this voice; its engine ignores the others."""
        return [setting.name for setting in settings_of(voice.provider)]

    def get_error(self, voice: VoiceProfile) -> dict[str, str] | None:
        if voice.suspended_at is not None:
            return {"code": "voice_silenced", "message": voice.suspension_message}
        return {"code": voice.error_code, "message": voice.error_message} if voice.error_code else None


def _field_of(setting: SpeechSetting) -> serializers.FloatField:
    return serializers.FloatField(min_value=setting.minimum, max_value=setting.maximum, allow_null=True, required=False)


class SettingsSerializer(StrictSerializer):
    """The speech settings of a voice; null resets a setting to the engine's default."""

    stability = _field_of(STABILITY)
    similarity = _field_of(SIMILARITY)
    style = _field_of(STYLE)  # type: ignore[assignment] # DRF has an unrelated attribute of this name
    speed = _field_of(SPEED)


class VoiceList(LimitedView, ListAPIView[VoiceProfile]):
    """List the caller's voices, or clone a new one."""

    token_scope = "voices"
    serializer_class = VoiceSerializer
    parser_classes = [MultiPartParser]

    class CreateInput(StrictSerializer):
        name = serializers.CharField(max_length=60)
        audio = serializers.ListField(child=serializers.FileField(allow_empty_file=True), min_length=1, max_length=100)

    def get_queryset(self) -> Any:
        return VoiceProfile.objects.for_user(self.request.user).prefetch_related("samples")

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade) -> Response:
        values = self.CreateInput(data=request.data)
        values.is_valid(raise_exception=True)
        name, uploads = values.validated_data["name"], values.validated_data["audio"]
        return self._answer(_cloned(request, note_made, name, uploads))

    def repeat(self, request: Request, row: IdempotencyKey) -> Response:
        return _cloned_before(request, row, self._answer)

    @staticmethod
    def _answer(voice: VoiceProfile) -> Response:
        return Response(VoiceSerializer(voice).data, status=status.HTTP_201_CREATED)


class VoiceDetail(APIView):
    """Read, change or delete one voice."""

    token_scope = "voices"
    parser_classes = [JSONParser]

    class ChangeInput(StrictSerializer):
        name = serializers.CharField(max_length=60, required=False)
        is_default = serializers.BooleanField(required=False)
        settings = SettingsSerializer(required=False)

    def get(self, request: Request, voice_pk: UUID) -> Response:
        return Response(VoiceSerializer(_own_voice(request, voice_pk)).data)

    def patch(self, request: Request, voice_pk: UUID) -> Response:
        voice = _own_voice(request, voice_pk)
        values = self.ChangeInput(data=request.data)
        values.is_valid(raise_exception=True)
        services.change_voice(voice=voice, **values.validated_data)
        return Response(VoiceSerializer(voice).data)

    def delete(self, request: Request, voice_pk: UUID) -> Response:
        delete_voice(voice=_own_voice(request, voice_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class VoiceRetry(LimitedView):
    """Clone a failed voice again, from its stored recordings."""

    token_scope = "voices"

    @idempotent
    def post(self, request: Request, voice_pk: UUID) -> Response:
        voice = services.retry_cloning(voice=_own_voice(request, voice_pk))
        return Response(VoiceSerializer(voice).data)


class VoicePreview(LimitedView):
    """Hear a voice say a sentence."""

    token_scope = "talk"
    parser_classes = [JSONParser, FormParser, MultiPartParser]
    renderer_classes = [JSONRenderer, AudioRenderer]

    class Input(StrictSerializer):
        text = serializers.CharField(max_length=services.PREVIEW_MAX_CHARACTERS)
        settings = SettingsSerializer(required=False)

    @idempotent
    def post(self, request: Request, voice_pk: UUID) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        mp3 = services.speak_preview(voice=_own_voice(request, voice_pk), **values.validated_data)
        response = audio_response(request, mp3, "audio/mpeg")
        response["X-AI-Generated"] = "true"
        return response


class VoiceSampleAudio(APIView):
    """A recording that a voice was cloned from, as FLAC."""

    renderer_classes = [JSONRenderer, AudioRenderer]

    def get(self, request: Request, voice_pk: UUID, sample_pk: int) -> HttpResponseBase:
        samples = VoiceSample.objects.for_user(request.user)
        sample = get_object_or_404(samples, pk=sample_pk, voice=voice_pk)
        return stored_audio_response(request, sample.file, "audio/flac")


class SampleChecks(APIView):
    """Measure a recording before a voice is cloned from it. Nothing is stored and no provider is called."""

    token_scope = "voices"
    parser_classes = [MultiPartParser]

    class Input(StrictSerializer):
        audio = serializers.FileField(allow_empty_file=True)

    class Output(serializers.Serializer[Any]):
        class PointSerializer(serializers.Serializer[Any]):
            code = serializers.CharField()
            label = serializers.CharField()  # type: ignore[assignment] # DRF has an unrelated attribute of this name
            value = serializers.CharField()
            passed = serializers.BooleanField()
            word = serializers.CharField()
            advice = serializers.CharField()

        seconds = serializers.FloatField()
        rms_db = serializers.FloatField()
        peak_db = serializers.FloatField()
        clipped_share = serializers.FloatField()
        speech_db = serializers.FloatField()
        noise_db = serializers.FloatField()
        speech_share = serializers.FloatField()
        passed = serializers.BooleanField()
        points = PointSerializer(many=True)

    def post(self, request: Request) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        quality = measure_sample(values.validated_data["audio"].read(), user_id=signed_in_user(request).pk)
        return Response(self.Output(quality).data)


class CloneVoice(LimitedView):
    """`POST /clone-voice`: a simple endpoint for clients that send a name and recordings."""

    token_scope = "voices"
    parser_classes = [MultiPartParser]

    class Input(StrictSerializer):
        voice_name = serializers.CharField(max_length=60)
        audio_file = serializers.ListField(
            child=serializers.FileField(allow_empty_file=True), min_length=1, max_length=100
        )
        # Accepted because clients send it, and ignored: the owner is the authenticated user.
        user_id = serializers.CharField(required=False, allow_blank=True)

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        name, uploads = values.validated_data["voice_name"], values.validated_data["audio_file"]
        return self._answer(_cloned(request, note_made, name, uploads))

    def repeat(self, request: Request, row: IdempotencyKey) -> Response:
        return _cloned_before(request, row, self._answer)

    @staticmethod
    def _answer(voice: VoiceProfile) -> Response:
        message = _("The voice “%(name)s” is ready.") % {"name": voice.name}
        body = {"success": True, "voice_id": voice.voice_id, "message": message}
        return Response(body, status=status.HTTP_201_CREATED)


def _cloned(request: Request, note_made: NoteMade, name: str, uploads: list[UploadedFile[Any]]) -> VoiceProfile:
    files = [upload.read() for upload in uploads]
    return services.clone_voice(owner=signed_in_user(request), name=name, files=files, note=note_made)


def _cloned_before(request: Request, row: IdempotencyKey, answer: Callable[[VoiceProfile], Response]) -> Response:
    """Answer with the voice of the first request with this key; clone a failed voice again."""
    voice = get_object_or_404(VoiceProfile.objects.for_user(request.user), pk=row.made)
    match voice.status:
        case VoiceProfile.Status.PENDING:
            raise key_in_use()
        case VoiceProfile.Status.FAILED:
            return answer(services.retry_cloning(voice=voice))
        case VoiceProfile.Status.DELETING:
            raise Http404
    return replayed(answer(voice))


def _own_voice(request: Request, voice_pk: UUID) -> VoiceProfile:
    return get_object_or_404(VoiceProfile.objects.for_user(request.user), pk=voice_pk)
