"""The caller's conversations, for programs and for the pages' scripts."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.conversations import services
from apps.conversations.events import stream_response
from apps.conversations.models import TURN_MESSAGES, TURN_STOPPED, Conversation, Turn
from apps.speech import audio
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile
from apps.voices.services import ready_voice
from voiceclone.api import (
    JSON_CONTENT_TYPE,
    AudioRenderer,
    EventStreamRenderer,
    audio_response,
    error_body,
    error_status,
)
from voiceclone.errors import UserError

EVENT_STREAM = EventStreamRenderer.media_type
HEADER_TEXT_BYTES = 4096


class TurnSerializer(serializers.ModelSerializer[Turn]):
    """A turn as the API shows it."""

    error = serializers.DictField(allow_null=True, read_only=True)
    timings = serializers.DictField(read_only=True)

    class Meta:
        model = Turn
        fields = [
            "id",
            "status",
            "transcript",
            "language",
            "reply",
            "question_seconds",
            "answer_seconds",
            "has_question",
            "has_answer",
            "timings",
            "error",
            "created_at",
        ]


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation as lists show it."""

    class Meta:
        model = Conversation
        fields = ["id", "title", "persona", "voice", "created_at", "updated_at"]


class OwnVoiceField(serializers.PrimaryKeyRelatedField[VoiceProfile]):
    """The id of a voice of the caller; any other one does not exist."""

    def get_queryset(self) -> Any:
        return VoiceProfile.objects.for_user(self.context["request"].user)


class ConversationList(ListAPIView[Conversation]):
    """List and search the caller's conversations, or start one."""

    serializer_class = ConversationSerializer

    class CreateInput(serializers.Serializer[Any]):
        voice = OwnVoiceField()
        title = serializers.CharField(max_length=120, required=False, allow_blank=True)
        persona = serializers.CharField(max_length=2000, required=False, allow_blank=True)

    def get_queryset(self) -> Any:
        words = self.request.query_params.get("search", "")
        return services.search_conversations(owner=signed_in_user(self.request), words=words)

    def post(self, request: Request) -> Response:
        values = self.CreateInput(data=request.data, context={"request": request})
        values.is_valid(raise_exception=True)
        conversation = services.start_conversation(owner=signed_in_user(request), **values.validated_data)
        return Response(_conversation_with_turns(conversation), status=status.HTTP_201_CREATED)


class ConversationDetail(APIView):
    """Read, change or delete one conversation."""

    class ChangeInput(serializers.Serializer[Any]):
        voice = OwnVoiceField(required=False)
        title = serializers.CharField(max_length=120, required=False, allow_blank=True)
        persona = serializers.CharField(max_length=2000, required=False, allow_blank=True)

    def get(self, request: Request, conversation_pk: UUID) -> Response:
        return Response(_conversation_with_turns(_own_conversation(request, conversation_pk)))

    def patch(self, request: Request, conversation_pk: UUID) -> Response:
        conversation = _own_conversation(request, conversation_pk)
        values = self.ChangeInput(data=request.data, context={"request": request})
        values.is_valid(raise_exception=True)
        services.change_conversation(conversation=conversation, **values.validated_data)
        return Response(_conversation_with_turns(conversation))

    def delete(self, request: Request, conversation_pk: UUID) -> Response:
        services.delete_conversation(conversation=_own_conversation(request, conversation_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TurnList(APIView):
    """Ask something in a conversation: `audio` as multipart, or `{"text"}` as JSON."""

    parser_classes = [JSONParser, MultiPartParser]
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    class Input(serializers.Serializer[Any]):
        text = serializers.CharField(max_length=services.MAX_TEXT_CHARACTERS, required=False)
        audio = serializers.FileField(allow_empty_file=True, required=False)

        def validate(self, values: dict[str, Any]) -> dict[str, Any]:
            if len(values) != 1:
                raise serializers.ValidationError({"audio": [_("Send either audio or text.")]})
            return values

    def post(self, request: Request, conversation_pk: UUID) -> HttpResponseBase:
        conversation = _own_conversation(request, conversation_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = services.voice_of(conversation=conversation)
        if "text" in values.validated_data:
            text = values.validated_data["text"]
            turn = services.new_turn(conversation=conversation, voice=voice, text=text)
            return _answer(request, turn, None, status.HTTP_201_CREATED)
        recording = services.read_question(data=values.validated_data["audio"].read())
        turn = services.new_turn(conversation=conversation, voice=voice)
        return _answer(request, turn, recording, status.HTTP_201_CREATED)


class TurnDetail(APIView):
    """Read one turn."""

    def get(self, request: Request, turn_pk: UUID) -> Response:
        return Response(TurnSerializer(_own_turn(request, turn_pk)).data)


class TurnRetry(APIView):
    """Take a failed turn up again where it failed."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]

    def post(self, request: Request, turn_pk: UUID) -> HttpResponseBase:
        turn = services.prepare_retry(turn=_own_turn(request, turn_pk))
        return _answer(request, turn, None, status.HTTP_200_OK)


class TurnStop(APIView):
    """End a running turn; what was said by then is kept."""

    def post(self, request: Request, turn_pk: UUID) -> Response:
        turn = _own_turn(request, turn_pk)
        services.stop_turn(turn=turn)
        return Response(TurnSerializer(turn).data, status=status.HTTP_202_ACCEPTED)


class TurnAudio(APIView):
    """The stored answer as FLAC; as MP3 where `audio/mpeg` is asked for, by `Accept` or by `?as=mp3`."""

    renderer_classes = [JSONRenderer, AudioRenderer]
    kind = "answer"

    def get(self, request: Request, turn_pk: UUID) -> HttpResponse:
        turn = _own_turn(request, turn_pk)
        file = getattr(turn, self.kind)
        if not file:
            raise UserError("audio_not_found", _("This turn has no such recording."), status=404)
        response = self._response(request, file, f"{self.kind}-{turn.pk}.mp3")
        if self.kind == "answer":
            response["X-AI-Generated"] = "true"
        return response

    @staticmethod
    def _response(request: Request, file: Any, download_name: str) -> HttpResponse:
        as_download = request.query_params.get("as") == "mp3"
        if as_download or "audio/mpeg" in request.headers.get("Accept", ""):
            mp3 = audio.to_mp3(services.stored_recording(file))
            return audio_response(request, mp3, "audio/mpeg", download_name if as_download else "")
        with file.open("rb") as opened:
            return audio_response(request, opened.read(), "audio/flac")


class FullInteraction(APIView):
    """`POST /full-interaction`: a spoken question in, the spoken answer out, as one MP3."""

    parser_classes = [MultiPartParser]
    renderer_classes = [JSONRenderer, AudioRenderer]

    class Input(serializers.Serializer[Any]):
        voice_id = serializers.CharField(max_length=100)
        audio_file = serializers.FileField(allow_empty_file=True)
        conversation_id = serializers.UUIDField(required=False)
        # Accepted because callers send it; the owner is whoever the token or session says.
        user_id = serializers.CharField(required=False, allow_blank=True)

    def post(self, request: Request) -> HttpResponse:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = ready_voice(owner=signed_in_user(request), voice_id=values.validated_data["voice_id"])
        conversation_pk = values.validated_data.get("conversation_id")
        conversation = _own_conversation(request, conversation_pk) if conversation_pk else None
        recording = services.read_question(data=values.validated_data["audio_file"].read())
        if conversation is None:
            conversation = services.start_conversation(owner=signed_in_user(request), voice=voice)
        turn = services.new_turn(conversation=conversation, voice=voice)
        services.answer(turn=turn, recording=recording)
        failed = turn.status == Turn.Status.FAILED or not turn.answer
        response = _failure(turn) if failed else _mp3_with_texts(request, turn)
        # With these the caller can ask for a retry, or go on with the conversation.
        response["X-Conversation-Id"] = str(turn.conversation_id)
        response["X-Turn-Id"] = str(turn.pk)
        return response


def _answer(request: Request, turn: Turn, recording: Recording | None, ok: int) -> HttpResponseBase:
    """Stream the turn where an event stream is asked for, else answer when it is over."""
    if request.accepted_media_type == EVENT_STREAM:
        return stream_response(turn, recording)
    return Response(TurnSerializer(services.answer(turn=turn, recording=recording)).data, status=ok)


def _mp3_with_texts(request: Request, turn: Turn) -> HttpResponse:
    response = audio_response(request, audio.to_mp3(services.stored_recording(turn.answer)), "audio/mpeg")
    texts = [turn.transcript, turn.reply]
    plain = all(text.isascii() and text.isprintable() for text in texts)
    for name, text in zip(("X-Transcript", "X-Response-Text"), texts, strict=True):
        response[name] = header_text(text, plain=plain)
    response["X-Text-Encoding"] = "plain" if plain else "percent-utf8"
    response["X-AI-Generated"] = "true"
    return response


def _failure(turn: Turn) -> Response:
    code = turn.error_code or TURN_STOPPED
    message = turn.error_message or str(TURN_MESSAGES[TURN_STOPPED])
    return Response(error_body(code, message), status=error_status(code), content_type=JSON_CONTENT_TYPE)


def header_text(text: str, *, plain: bool) -> str:
    """Return `text` as a header can carry it, cut at a word where it would be longer than HEADER_TEXT_BYTES."""
    encode = str if plain else quote
    if len(encode(text)) <= HEADER_TEXT_BYTES:
        return encode(text)
    fitting = bisect_right(range(len(text)), HEADER_TEXT_BYTES, key=lambda length: len(encode(text[:length])))
    head = text[: fitting - 1]
    return encode(head.rpartition(" ")[0] or head)


def _conversation_with_turns(conversation: Conversation) -> dict[str, Any]:
    turns = Turn.objects.for_user(conversation.owner).filter(conversation=conversation)
    return {**ConversationSerializer(conversation).data, "turns": TurnSerializer(turns, many=True).data}


def _own_conversation(request: Request, conversation_pk: UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.for_user(request.user).select_related("voice"), pk=conversation_pk)


def _own_turn(request: Request, turn_pk: UUID) -> Turn:
    turns = Turn.objects.for_user(request.user).select_related("voice", "conversation")
    return get_object_or_404(turns, pk=turn_pk)
