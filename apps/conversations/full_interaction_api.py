"""`POST /full-interaction`: a turn for simple programs, which send a recording and play an MP3."""

from __future__ import annotations

from bisect import bisect_right
from urllib.parse import quote

from django.core.files.base import File
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import NoteMade, idempotent_by_row, replayed
from apps.accounts.models import IdempotencyKey
from apps.conversations import services
from apps.conversations.lookups import own_conversation, turn_of_key
from apps.conversations.models import TURN_MESSAGES, TURN_STOPPED, Conversation, Turn
from apps.conversations.mp3_stream import BrokenAnswerError, mp3_of_turn, silent_mp3
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.started_stream import StartedStream, start_stream
from apps.core.api import AudioRenderer, StrictSerializer
from apps.core.api_errors import error_body, error_status
from apps.core.audio_response import part_response
from apps.usage.api import LimitedView
from apps.voices.services import ready_voice

HEADER_TEXT_BYTES = 4096


class FullInteraction(LimitedView):
    """`POST /full-interaction`: a spoken question in, the spoken answer out, as one MP3."""

    token_scope = "talk"
    parser_classes = [MultiPartParser]
    renderer_classes = [JSONRenderer, AudioRenderer]

    class Input(StrictSerializer):
        voice_id = serializers.CharField(max_length=100)
        audio_file = serializers.FileField(allow_empty_file=True)
        conversation_id = serializers.UUIDField(required=False)
        # Accepted because callers send it, but ignored: the token or the session identifies the owner.
        user_id = serializers.CharField(required=False, allow_blank=True)

    @idempotent_by_row
    def post(self, request: Request, note_made: NoteMade) -> HttpResponseBase:
        """Answer while the turn still runs: the body begins as soon as the texts in the headers are known."""
        prepared = self._prepare(request)
        note_made(prepared.turn.pk)
        try:
            mp3 = start_stream(request, mp3_of_turn(prepared))
        except BrokenAnswerError:  # Raised here only under WSGI, where the whole file is awaited.
            mp3 = b""
        return _answer(prepared.turn, mp3)

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        turn = turn_of_key(request, row)
        return replayed(_answer(turn, services.answer_mp3(turn=turn)))

    def _prepare(self, request: Request) -> PreparedTurn:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        owner = signed_in_user(request)
        voice = ready_voice(owner=owner, voice_id=values.validated_data["voice_id"])
        conversation_pk = values.validated_data.get("conversation_id")
        conversation = own_conversation(request, conversation_pk) if conversation_pk else None
        recording = services.read_question(owner=owner, data=values.validated_data["audio_file"].read())
        if conversation is None:
            conversation = Conversation(owner=owner, voice=voice)
        return services.new_turn(conversation=conversation, voice=voice, recording=recording)


def _answer(turn: Turn, mp3: StartedStream | bytes | File[bytes] | None) -> HttpResponseBase:
    if not mp3 and turn.status == Turn.Status.SPOKEN:  # The reply has no words, such as a mere emoji.
        mp3 = silent_mp3(turn)
    response = _mp3_with_texts(turn, mp3) if mp3 else _failure(turn)
    # The caller needs these to retry the turn or to continue the conversation.
    response["X-Conversation-Id"] = str(turn.conversation_id)
    response["X-Turn-Id"] = str(turn.pk)
    return response


def _mp3_with_texts(turn: Turn, mp3: StartedStream | bytes | File[bytes]) -> HttpResponseBase:
    response: HttpResponseBase
    if isinstance(mp3, bytes):
        response = HttpResponse(mp3, content_type="audio/mpeg")
    elif isinstance(mp3, File):
        response = part_response(mp3, mp3.size, "audio/mpeg")
    else:
        response = StreamingHttpResponse(mp3, content_type="audio/mpeg")
        response["X-Accel-Buffering"] = "no"  # Otherwise nginx buffers the sound.
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
    """Return `text` encoded for a header, cut at a word if it would be longer than HEADER_TEXT_BYTES."""
    encode = str if plain else quote
    if len(encode(text)) <= HEADER_TEXT_BYTES:
        return encode(text)
    fitting = bisect_right(range(len(text)), HEADER_TEXT_BYTES, key=lambda length: len(encode(text[:length])))
    head = text[: fitting - 1]
    return encode(head.rpartition(" ")[0] or head)
