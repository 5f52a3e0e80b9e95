"""The API of the caller's turns: asking, retrying, stopping, and their sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.files.base import File
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers, status
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import NoteMade, idempotent_by_row, replayed
from apps.accounts.models import IdempotencyKey
from apps.conversations import services
from apps.conversations.events import stored_response, stream_response
from apps.conversations.lookups import own_conversation, own_turn, turn_of_key
from apps.conversations.marking import open_answer_mp3
from apps.conversations.models import Conversation, Turn
from apps.conversations.pipeline.state import PreparedTurn
from apps.core.api import AudioRenderer, EventStreamRenderer, NewestFirstPagination, StrictSerializer
from apps.core.audio_response import audio_response, stored_audio_response, stored_sound_response
from apps.core.errors import UserError
from apps.speech.audio.mp3 import to_mp3
from apps.usage.api import LimitedView

EVENT_STREAM = EventStreamRenderer.media_type


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
            "heard_seconds",
            "timings",
            "error",
            "replaced_by",
            "created_at",
        ]


class LatestTurnsPagination(NewestFirstPagination):
    """The latest turns of a conversation, in its own answer; `next` leads to the earlier ones in `TurnList`."""

    page_size = NewestFirstPagination.max_page_size

    def get_page_size(self, _request: Request) -> int:
        return self.page_size

    def decode_cursor(self, _request: Request) -> None:
        """Begin with the latest turn, whatever the address says."""


def latest_turns(request: Request, conversation: Conversation) -> dict[str, Any]:
    """Return `turns`, the latest ones in their order, and `next`, the address of those before them, or None."""
    pages = LatestTurnsPagination()
    page = pages.paginate_queryset(_turns_of(request, conversation), request) or []
    earlier = reverse("api:turns", args=[conversation.pk], query={"limit": pages.page_size})
    pages.base_url = request.build_absolute_uri(earlier)
    return {"turns": TurnSerializer(page[::-1], many=True).data, "next": pages.get_next_link()}


def _turns_of(request: Request, conversation: Conversation) -> QuerySet[Turn]:
    return Turn.objects.for_user(request.user).filter(conversation=conversation)


class TurnList(LimitedView):
    """List the turns of a conversation, or ask something in it: `audio` as multipart, or `{"text"}` as JSON."""

    token_scope = "talk"
    parser_classes = [JSONParser, MultiPartParser]
    renderer_classes = [JSONRenderer, EventStreamRenderer]
    pagination_class = NewestFirstPagination

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

    def get(self, request: Request, conversation_pk: UUID) -> Response:
        pages = self.pagination_class()
        turns = _turns_of(request, own_conversation(request, conversation_pk))
        page = pages.paginate_queryset(turns, request, view=self)
        return pages.get_paginated_response(TurnSerializer(page, many=True).data)

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade, conversation_pk: UUID) -> HttpResponseBase:
        conversation = own_conversation(request, conversation_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        voice = services.voice_of(conversation=conversation)
        recording = None
        if "audio" in values.validated_data:
            data = values.validated_data["audio"].read()
            recording = services.read_question(owner=signed_in_user(request), data=data)
        text = values.validated_data.get("text", "")
        prepared = services.new_turn(conversation=conversation, voice=voice, text=text, recording=recording)
        note_made(prepared.turn.pk)
        return _answer(request, prepared, status.HTTP_201_CREATED)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        return replayed(_stored_answer(request, turn_of_key(request, row), status.HTTP_201_CREATED))


class TurnDetail(APIView):
    """Read one turn."""

    def get(self, request: Request, turn_pk: UUID) -> Response:
        return Response(TurnSerializer(own_turn(request, turn_pk)).data)


class TurnRetry(LimitedView):
    """Go on with a turn that failed or was interrupted, from the stage that ended."""

    token_scope = "talk"
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade, turn_pk: UUID) -> HttpResponseBase:
        turn = own_turn(request, turn_pk)
        if services.complete_heard(turn=turn):
            note_made(turn.pk)
            return _stored_answer(request, turn, status.HTTP_200_OK)
        prepared = services.prepare_retry(turn=turn)
        note_made(prepared.turn.pk)
        return _answer(request, prepared, status.HTTP_200_OK)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        return replayed(_stored_answer(request, turn_of_key(request, row), status.HTTP_200_OK))


class TurnRegenerate(LimitedView):
    """Ask the question of a turn again, as a new turn, or `text` in its place."""

    token_scope = "talk"
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    class Input(StrictSerializer):
        text = serializers.CharField(max_length=services.MAX_TEXT_CHARACTERS, required=False)

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade, turn_pk: UUID) -> HttpResponseBase:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        prepared = services.ask_again(turn=own_turn(request, turn_pk), **values.validated_data)
        note_made(prepared.turn.pk)
        return _answer(request, prepared, status.HTTP_201_CREATED)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        return replayed(_stored_answer(request, turn_of_key(request, row), status.HTTP_201_CREATED))


class TurnStop(APIView):
    """Stop a running turn; the answer so far is kept."""

    token_scope = "talk"

    class Input(StrictSerializer):
        heard_seconds = serializers.FloatField(min_value=0, required=False)

    def post(self, request: Request, turn_pk: UUID) -> Response:
        turn = own_turn(request, turn_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        services.stop_turn(turn=turn, **values.validated_data)
        return Response(TurnSerializer(turn).data, status=status.HTTP_202_ACCEPTED)


class TurnAnswerAudio(APIView):
    """The stored answer as FLAC, or as MP3 for `Accept: audio/mpeg` or `?as=mp3`."""

    renderer_classes = [JSONRenderer, AudioRenderer]

    def get(self, request: Request, turn_pk: UUID) -> HttpResponseBase:
        turn = own_turn(request, turn_pk)
        response = _stored_sound(
            request, turn.answer, to_mp3=lambda: open_answer_mp3(turn=turn), mp3_name=f"answer-{turn.pk}.mp3"
        )
        response["X-AI-Generated"] = "true"
        return response


class TurnQuestionAudio(APIView):
    """The stored question as FLAC, or as MP3 for `Accept: audio/mpeg` or `?as=mp3`."""

    renderer_classes = [JSONRenderer, AudioRenderer]

    def get(self, request: Request, turn_pk: UUID) -> HttpResponseBase:
        question = own_turn(request, turn_pk).question
        return _stored_sound(
            request,
            question,
            to_mp3=lambda: to_mp3(services.decode_turn_audio(question)),
            mp3_name=f"question-{turn_pk}.mp3",
        )


def _stored_sound(
    request: Request, file: FieldFile, *, to_mp3: Callable[[], bytes | File[bytes]], mp3_name: str
) -> HttpResponseBase:
    """Answer with a recording of a turn in the requested format.

    Raises UserError: 404 if the turn has none, 410 if it is missing on the server.
    """
    if not file:
        raise UserError("audio_not_found", _("This turn has no such recording."), status=404)
    as_download = "as" in request.query_params
    if as_download and request.query_params["as"] != "mp3":
        raise serializers.ValidationError({"as": [_("The only possible value is mp3.")]})
    if as_download or "audio/mpeg" in request.headers.get("Accept", ""):
        return audio_response(request, to_mp3(), "audio/mpeg", mp3_name if as_download else "")
    if request.headers.get("Sec-Fetch-Dest") == "audio":
        # For a page's player, without the tag that holds the signature: some players do not skip it.
        return stored_sound_response(request, file, "audio/flac")
    return stored_audio_response(request, file, "audio/flac")


def _answer(request: Request, prepared: PreparedTurn, status_code: int) -> HttpResponseBase:
    """Stream the turn if the client accepts an event stream, else answer when the turn is over."""
    if request.accepted_media_type == EVENT_STREAM:
        return stream_response(prepared)
    return _as_json(services.answer(prepared), status_code)


def _stored_answer(request: Request, turn: Turn, status_code: int) -> HttpResponseBase:
    """Answer as `_answer` did, from the stored turn."""
    if request.accepted_media_type == EVENT_STREAM:
        return stored_response(turn)
    return _as_json(turn, status_code)


def _as_json(turn: Turn, status_code: int) -> Response:
    return Response(TurnSerializer(turn).data, status=status_code, headers={"X-AI-Generated": "true"})
