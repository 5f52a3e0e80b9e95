"""The caller's conversations, for programs and for the pages' scripts."""

from __future__ import annotations

from bisect import bisect_right
from datetime import timedelta
from functools import wraps
from typing import Any
from urllib.parse import quote
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import NoteMade, idempotent_by_row, key_in_use, replayed
from apps.accounts.models import IdempotencyKey
from apps.accounts.usage import LIMIT_HEADERS
from apps.accounts.usage_api import LimitedView
from apps.conversations import services
from apps.conversations.begun_file import BegunFile
from apps.conversations.events import stored_response, stream_response
from apps.conversations.languages import Language
from apps.conversations.marking import answer_as_mp3
from apps.conversations.models import RUNNING, TURN_MESSAGES, TURN_STOPPED, Conversation, Turn
from apps.conversations.mp3 import mp3_of_turn
from apps.speech import audio
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile
from apps.voices.services import ready_voice
from voiceclone.api import (
    AudioRenderer,
    EventStreamRenderer,
    StrictSerializer,
    audio_response,
    error_body,
    error_status,
    stored_audio_response,
)
from voiceclone.errors import UserError

EVENT_STREAM = EventStreamRenderer.media_type
HEADER_TEXT_BYTES = 4096
# A turn is stored while it is already being heard; where it is not there so long after, it was deleted.
STORED_WITHIN = timedelta(seconds=30)


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
        fields = ["id", "title", "persona", "voice", "language", "model", "created_at", "updated_at"]


@extend_schema_field(OpenApiTypes.UUID)
class OwnVoiceField(serializers.PrimaryKeyRelatedField[VoiceProfile]):
    """The id of a voice of the caller; any other one does not exist."""

    default_error_messages = {"does_not_exist": gettext_lazy("You have no such voice.")}

    def get_queryset(self) -> Any:
        return VoiceProfile.objects.for_user(self.context["request"].user)


class ConversationChoices(StrictSerializer):
    """What is chosen when a conversation begins, and can be changed later; an empty language or model is any."""

    title = serializers.CharField(max_length=120, required=False, allow_blank=True)
    persona = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    language = serializers.ChoiceField(choices=Language.choices, required=False, allow_blank=True)
    model = serializers.CharField(required=False, allow_blank=True)

    def validate_model(self, model: str) -> str:
        if model and model not in services.chat_models():
            raise serializers.ValidationError(_("This model can not be chosen here."))
        return model


class ConversationList(ListAPIView[Conversation]):
    """List and search the caller's conversations, or start one."""

    token_scope = "talk"
    serializer_class = ConversationSerializer

    class CreateInput(ConversationChoices):
        voice = OwnVoiceField()

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

    token_scope = "talk"

    class ChangeInput(ConversationChoices):
        voice = OwnVoiceField(required=False)

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


class TurnList(LimitedView):
    """Ask something in a conversation: `audio` as multipart, or `{"text"}` as JSON."""

    token_scope = "talk"
    parser_classes = [JSONParser, MultiPartParser]
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    class TextInput(StrictSerializer):
        text = serializers.CharField(max_length=services.MAX_TEXT_CHARACTERS)

    class AudioInput(StrictSerializer):
        audio = serializers.FileField(allow_empty_file=True)

    described_inputs = {"application/json": TextInput, "multipart/form-data": AudioInput}

    class Input(StrictSerializer):
        text = serializers.CharField(max_length=services.MAX_TEXT_CHARACTERS, required=False)
        audio = serializers.FileField(allow_empty_file=True, required=False)

        def validate(self, values: dict[str, Any]) -> dict[str, Any]:
            if len(values) != 1:
                raise serializers.ValidationError({"audio": [_("Send either audio or text.")]})
            return values

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade, conversation_pk: UUID) -> HttpResponseBase:
        conversation = _own_conversation(request, conversation_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = services.voice_of(conversation=conversation)
        if "text" in values.validated_data:
            text = values.validated_data["text"]
            turn = services.new_turn(conversation=conversation, voice=voice, text=text)
            note_made(turn.pk)
            return _answer(request, turn, None, status.HTTP_201_CREATED)
        data = values.validated_data["audio"].read()
        recording = services.read_question(owner=signed_in_user(request), data=data)
        turn = services.new_turn(conversation=conversation, voice=voice, recording=recording)
        note_made(turn.pk)
        return _answer(request, turn, recording, status.HTTP_201_CREATED)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        return replayed(_stored_answer(request, _made_turn(request, row), status.HTTP_201_CREATED))


class TurnDetail(APIView):
    """Read one turn."""

    def get(self, request: Request, turn_pk: UUID) -> Response:
        return Response(TurnSerializer(_own_turn(request, turn_pk)).data)


class TurnRetry(LimitedView):
    """Take a failed turn up again where it failed."""

    token_scope = "talk"
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade, turn_pk: UUID) -> HttpResponseBase:
        turn = services.prepare_retry(turn=_own_turn(request, turn_pk))
        note_made(turn.pk)
        return _answer(request, turn, None, status.HTTP_200_OK)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        return replayed(_stored_answer(request, _made_turn(request, row), status.HTTP_200_OK))


class TurnStop(APIView):
    """End a running turn; what was said by then is kept."""

    token_scope = "talk"

    class Input(StrictSerializer):
        heard_seconds = serializers.FloatField(min_value=0, required=False)

    def post(self, request: Request, turn_pk: UUID) -> Response:
        turn = _own_turn(request, turn_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        services.stop_turn(turn=turn, **values.validated_data)
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
        try:
            response = self._response(request, turn, file)
        except FileNotFoundError:
            raise UserError("audio_not_found", _("This recording is no longer kept."), status=404) from None
        if self.kind == "answer":
            response["X-AI-Generated"] = "true"
        return response

    def _response(self, request: Request, turn: Turn, file: Any) -> HttpResponse:
        as_download = "as" in request.query_params
        if as_download and request.query_params["as"] != "mp3":
            raise serializers.ValidationError({"as": [_("This is mp3, or is left out.")]})
        if as_download or "audio/mpeg" in request.headers.get("Accept", ""):
            is_answer = self.kind == "answer"
            mp3 = answer_as_mp3(turn=turn) if is_answer else audio.to_mp3(services.stored_recording(file))
            return audio_response(request, mp3, "audio/mpeg", f"{self.kind}-{turn.pk}.mp3" if as_download else "")
        if request.headers.get("Sec-Fetch-Dest") != "audio":
            return stored_audio_response(request, file, "audio/flac")
        with file.open("rb") as opened:
            # For a page's player: some do not skip the tag that holds the signature. Its own tags stay.
            return audio_response(request, audio.without_id3(opened.read()), "audio/flac")


class FullInteraction(LimitedView):
    """`POST /full-interaction`: a spoken question in, the spoken answer out, as one MP3."""

    token_scope = "talk"
    parser_classes = [MultiPartParser]
    renderer_classes = [JSONRenderer, AudioRenderer]

    class Input(StrictSerializer):
        voice_id = serializers.CharField(max_length=100)
        audio_file = serializers.FileField(allow_empty_file=True)
        conversation_id = serializers.UUIDField(required=False)
        # Accepted because callers send it; the owner is whoever the token or session says.
        user_id = serializers.CharField(required=False, allow_blank=True)

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = ready_voice(owner=signed_in_user(request), voice_id=values.validated_data["voice_id"])
        conversation_pk = values.validated_data.get("conversation_id")
        conversation = _own_conversation(request, conversation_pk) if conversation_pk else None
        data = values.validated_data["audio_file"].read()
        recording = services.read_question(owner=signed_in_user(request), data=data)
        if conversation is None:
            conversation = Conversation(owner=signed_in_user(request), voice=voice)
        turn = services.new_turn(conversation=conversation, voice=voice, recording=recording)
        note_made(turn.pk)
        return _PreparedTurn(turn, recording)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        turn = _made_turn(request, row)
        return replayed(_full_answer(turn, services.answer_mp3(turn=turn)))


class _PreparedTurn(HttpResponse):
    """A turn that can begin; `full_interaction` makes an answer of it."""

    def __init__(self, turn: Turn, recording: Recording) -> None:
        super().__init__()
        self.turn = turn
        self.recording = recording


_prepare_full_interaction = FullInteraction.as_view()


@wraps(_prepare_full_interaction)
async def full_interaction(request: HttpRequest) -> HttpResponseBase:
    """Answer while the turn still runs: the body begins as soon as the texts in the headers are known."""
    prepared = await sync_to_async(_prepare_full_interaction)(request)
    if not isinstance(prepared, _PreparedTurn):
        return prepared
    turn, recording = prepared.turn, prepared.recording
    mp3: bytes | BegunFile | None
    if isinstance(request, ASGIRequest):
        file = await BegunFile.begin(mp3_of_turn(turn, recording))
        mp3 = None if file.is_empty else file
    else:
        await sync_to_async(services.answer)(turn=turn, recording=recording)
        mp3 = await sync_to_async(services.answer_mp3)(turn=turn)
    response = _full_answer(turn, mp3)
    for name in LIMIT_HEADERS & prepared.headers.keys():
        response[name] = prepared[name]
    return response


def _full_answer(turn: Turn, mp3: bytes | BegunFile | None) -> HttpResponseBase:
    response = _failure(turn) if mp3 is None else _mp3_with_texts(turn, mp3)
    # With these the caller can ask for a retry, or go on with the conversation.
    response["X-Conversation-Id"] = str(turn.conversation_id)
    response["X-Turn-Id"] = str(turn.pk)
    return response


def _answer(request: Request, turn: Turn, recording: Recording | None, ok: int) -> HttpResponseBase:
    """Stream the turn where an event stream is asked for, else answer when it is over."""
    if request.accepted_media_type == EVENT_STREAM:
        return stream_response(turn, recording)
    return _as_json(services.answer(turn=turn, recording=recording), ok)


def _stored_answer(request: Request, turn: Turn, ok: int) -> HttpResponseBase:
    """Answer as `_answer` did, from what it stored."""
    if request.accepted_media_type == EVENT_STREAM:
        return stored_response(turn)
    return _as_json(turn, ok)


def _as_json(turn: Turn, ok: int) -> Response:
    return Response(TurnSerializer(turn).data, status=ok, headers={"X-AI-Generated": "true"})


def _made_turn(request: Request, row: IdempotencyKey) -> Turn:
    """Return the turn that the first request with the same key made, when it is over."""
    turn = Turn.objects.for_user(request.user).filter(pk=row.made).first()
    if turn is None and timezone.now() - row.claimed_at > STORED_WITHIN:
        raise Http404
    if turn is None or turn.status in RUNNING:
        raise key_in_use()
    return turn


def _mp3_with_texts(turn: Turn, mp3: bytes | BegunFile) -> HttpResponseBase:
    if isinstance(mp3, bytes):
        response: HttpResponseBase = HttpResponse(mp3, content_type="audio/mpeg")
    else:
        response = StreamingHttpResponse(mp3, content_type="audio/mpeg")
    texts = [turn.transcript, turn.reply]
    plain = all(text.isascii() and text.isprintable() for text in texts)
    for name, text in zip(("X-Transcript", "X-Response-Text"), texts, strict=True):
        response[name] = header_text(text, plain=plain)
    response["X-Text-Encoding"] = "plain" if plain else "percent-utf8"
    response["X-AI-Generated"] = "true"
    response["Cache-Control"] = "no-store"
    return response


def _failure(turn: Turn) -> HttpResponseBase:
    code = turn.error_code or TURN_STOPPED
    message = turn.error_message or str(TURN_MESSAGES[TURN_STOPPED])
    return JsonResponse(error_body(code, message), status=error_status(code))


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
    return get_object_or_404(
        Conversation.objects.for_user(request.user).select_related("voice__consent"), pk=conversation_pk
    )


def _own_turn(request: Request, turn_pk: UUID) -> Turn:
    turns = Turn.objects.for_user(request.user).select_related("voice__consent", "conversation")
    return get_object_or_404(turns, pk=turn_pk)
