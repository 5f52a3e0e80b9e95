"""Describes the API of conversations, of single stages and of OpenAI's format, for OpenAPI."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from apps.conversations import api, full_interaction_api, openai_api, shares_api, single_stages_api, turns_api
from apps.core.api_examples import A_CONVERSATION, A_SHARE, A_TIME, A_TURN, A_VOICE
from apps.core.api_schema import (
    AI_GENERATED,
    DELETED,
    EVENTS,
    FORM,
    JSON,
    MAY_BE_MISSING,
    RANGE,
    SOUND,
    SYNTHETIC,
    TEXT,
    Operation,
    Operations,
    answers_json,
    answers_list,
    sends_form,
    sends_json,
)
from apps.speech.provenance.encoders import CONTENT_TYPES

TALK, STAGES, OPENAI = "Conversations", "One stage", "OpenAI's format"
TURN = {
    "id": A_TURN,
    "status": "spoken",
    "transcript": "What is the capital of France?",
    "language": "en",
    "reply": "The capital of France is Paris.",
    "question_seconds": 2.4,
    "answer_seconds": 2.1,
    "has_question": True,
    "has_answer": True,
    "heard_seconds": None,
    "timings": {"heard_ms": 610, "first_word_ms": 980, "first_audio_ms": 1240, "total_ms": 1900},
    "error": None,
    "replaced_by": None,
    "created_at": A_TIME,
}
CONVERSATION = {
    "id": A_CONVERSATION,
    "title": "Capitals",
    "persona": "You are a patient teacher.",
    "voice": A_VOICE,
    "language": "en",
    "model": "",
    "pinned": False,
    "created_at": A_TIME,
    "updated_at": A_TIME,
}
SHARE = {
    "id": A_SHARE,
    "turn": A_TURN,
    "with_text": False,
    "created_at": A_TIME,
    "expires_at": "2026-03-09T08:15:30Z",
}
MODEL = {"id": "gpt-transcribe", "object": "model", "created": 0, "owned_by": "openai"}
EVENTS_OF_A_TURN = (
    f'event: heard\ndata: {{"turn_id": "{A_TURN}", "text": "What is the capital of France?", "language": "en"}}\n\n'
    'event: said\ndata: {"delta": "The capital of France is Paris."}\n\n'
    'event: spoken\ndata: {"index": 0, "text": "The capital of France is Paris.", "format": "pcm_s16le", '
    '"sample_rate": 24000, "audio": "AAABAAIA…"}\n\n'
    f'event: done\ndata: {{"turn_id": "{A_TURN}", "reply": "The capital of France is Paris.", '
    '"timings": {"heard_ms": 610, "first_word_ms": 980, "first_audio_ms": 1240, "total_ms": 1900}}\n\n'
)


class ConversationWithTurns(api.ConversationSerializer):
    """A conversation with its latest turns, in their order."""

    turns = turns_api.TurnSerializer(many=True)
    next = serializers.URLField(allow_null=True)

    class Meta(api.ConversationSerializer.Meta):
        fields = [*api.ConversationSerializer.Meta.fields, "turns", "next"]


class NewShare(shares_api.ShareSerializer):
    """A link that was just made, with its address."""

    url = serializers.URLField()

    class Meta(shares_api.ShareSerializer.Meta):
        fields = [*shares_api.ShareSerializer.Meta.fields, "url"]


OpenAITranscription = inline_serializer(
    "OpenAITranscription", {"text": serializers.CharField(), "usage": serializers.DictField()}
)
OpenAIModel = inline_serializer(
    "OpenAIModel",
    {
        "id": serializers.CharField(),
        "object": serializers.CharField(),
        "created": serializers.IntegerField(),
        "owned_by": serializers.CharField(),
    },
)
OpenAIVoices = inline_serializer(
    "OpenAIVoices",
    {
        "voices": inline_serializer(
            "OpenAIVoice", {"id": serializers.UUIDField(), "name": serializers.CharField()}, many=True
        )
    },
)
OpenAIModels = inline_serializer("OpenAIModels", {"object": serializers.CharField(), "data": serializers.ListField()})
STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description="Server-sent events as they happen: `heard`, `said`, `spoken`, and at the end `done` or `failed`.",
)
SPOKEN = dict.fromkeys(CONTENT_TYPES.values(), SOUND)
STORED_SOUND = {"audio/flac": SOUND, "audio/mpeg": SOUND}
AS_MP3 = OpenApiParameter("as", enum=["mp3"], description="As an MP3 to download.")
SEARCH = OpenApiParameter("search", description="Words that must all occur in the title or in the turns.")
PINNED = OpenApiParameter("pinned", enum=["true"], description="Only those that are pinned.")
FULL_INTERACTION_HEADERS = {
    "X-Transcript": "The transcript of the question.",
    "X-Response-Text": "The text of the answer.",
    "X-Text-Encoding": "`plain`, or `percent-utf8` for percent-encoded UTF-8.",
    "X-Conversation-Id": "Send it as `conversation_id` to continue the conversation.",
    "X-Turn-Id": "The id of the turn, to play it again or to retry it.",
    "X-AI-Generated": AI_GENERATED,
}
TURN_ANSWERS: dict[str, Any] = {
    "answers": {JSON: turns_api.TurnSerializer, EVENTS: STREAM},
    "answer_examples": {JSON: TURN, EVENTS: EVENTS_OF_A_TURN},
    "parameters": (SYNTHETIC,),
}

OPERATIONS: Operations = {
    full_interaction_api.FullInteraction: {
        "POST": Operation(
            TALK,
            "Ask aloud, and hear the answer",
            answers={"audio/mpeg": OpenApiResponse(OpenApiTypes.BINARY, description="The answer, streamed.")},
            **sends_form(voice_id="fPqL2mVx8RzT", audio_file="@question.mp3"),
            parameters=tuple(
                OpenApiParameter(name, location=OpenApiParameter.HEADER, response=True, description=text)
                for name, text in FULL_INTERACTION_HEADERS.items()
            ),
        ),
    },
    api.ConversationList: {
        "GET": Operation(
            TALK,
            "List and search your conversations",
            **answers_list(api.ConversationSerializer, CONVERSATION),
            parameters=(SEARCH, PINNED),
        ),
        "POST": Operation(
            TALK,
            "Begin a conversation",
            **answers_json(ConversationWithTurns, {**CONVERSATION, "turns": [], "next": None}),
            **sends_json({"voice": A_VOICE, "title": "Capitals"}),
            status=201,
        ),
    },
    api.ConversationDetail: {
        "GET": Operation(
            TALK,
            "Read a conversation with its latest 200 turns",
            **answers_json(ConversationWithTurns, {**CONVERSATION, "turns": [TURN], "next": None}),
            description="`next` is the address of the turns before these, or null.",
        ),
        "PATCH": Operation(
            TALK,
            "Change a conversation",
            **answers_json(ConversationWithTurns, {**CONVERSATION, "turns": [TURN], "next": None}),
            **sends_json({"title": "Capitals", "pinned": True}),
        ),
        "DELETE": Operation(TALK, "Delete a conversation", **DELETED),
    },
    turns_api.TurnList: {
        "GET": Operation(
            TALK,
            "List the turns of a conversation, newest first",
            **answers_list(turns_api.TurnSerializer, TURN),
        ),
        "POST": Operation(
            TALK,
            "Ask something",
            **TURN_ANSWERS,
            request_examples={JSON: {"text": "What is the capital of France?"}, FORM: {"audio": "@question.mp3"}},
            status=201,
            description="Either `text` or `audio`. Answered when the turn is over or, for `Accept: text/event-stream`, "
            "with the events as they happen.",
        ),
    },
    turns_api.TurnDetail: {
        "GET": Operation(TALK, "Read a turn", **answers_json(turns_api.TurnSerializer, TURN)),
    },
    turns_api.TurnRetry: {
        "POST": Operation(
            TALK,
            "Go on after a failure or an interruption",
            **TURN_ANSWERS,
            description="From the stage that failed, or from where an answer was heard to. No stage is paid for twice.",
        ),
    },
    turns_api.TurnRegenerate: {
        "POST": Operation(
            TALK,
            "Ask again",
            **TURN_ANSWERS,
            request_examples={JSON: {"text": "What is the capital of Italy?"}},
            status=201,
            description="A new turn has the same question, or `text`, and takes the place of the turn and of those "
            "after it. They stay readable; their `replaced_by` is the id of the new turn.",
        ),
    },
    turns_api.TurnStop: {
        "POST": Operation(
            TALK,
            "Stop a running turn",
            **answers_json(turns_api.TurnSerializer, TURN),
            **sends_json({"heard_seconds": 1.2}),
            status=202,
        ),
    },
    turns_api.TurnAnswerAudio: {
        "GET": Operation(
            TALK,
            "Hear an answer",
            answers=STORED_SOUND,
            parameters=(AS_MP3, RANGE, SYNTHETIC),
            description=MAY_BE_MISSING,
        ),
    },
    turns_api.TurnQuestionAudio: {
        "GET": Operation(
            TALK,
            "Hear a question",
            answers=STORED_SOUND,
            parameters=(AS_MP3, RANGE),
            description=MAY_BE_MISSING,
        ),
    },
    shares_api.TurnShares: {
        "POST": Operation(
            TALK,
            "Share an answer by a link",
            **answers_json(NewShare, {**SHARE, "url": "https://voice.example.org/s/Zk3vQ8bT1mXn0aRd"}),
            **sends_json({"days": 7, "with_text": False}),
            status=201,
            description="Anybody who has `url` can hear the answer, marked as made by AI, until the link expires or is "
            "revoked. It is shown only here.",
        ),
    },
    shares_api.ShareList: {
        "GET": Operation(TALK, "List your links", **answers_list(shares_api.ShareSerializer, SHARE)),
    },
    shares_api.ShareDetail: {
        "DELETE": Operation(TALK, "Revoke a link", **DELETED),
    },
    single_stages_api.Transcriptions: {
        "POST": Operation(
            STAGES,
            "Speech to text",
            **answers_json(
                single_stages_api.Transcriptions.Output,
                {"text": "What is the capital of France?", "language": "en", "seconds": 2.4},
            ),
            **sends_form(audio="@question.mp3", language="en"),
        ),
    },
    single_stages_api.Speech: {
        "POST": Operation(
            STAGES,
            "Text to speech",
            answers=SPOKEN,
            **sends_json({"text": "Good morning.", "voice": "Jane", "format": "mp3"}),
            parameters=(SYNTHETIC,),
            description="`voice` is the id or the name of one of your voices. The file is streamed.",
        ),
    },
    openai_api.OpenAISpeech: {
        "POST": Operation(
            OPENAI,
            "Text to speech",
            answers=SPOKEN | {EVENTS: OpenApiTypes.ANY},
            **sends_json({"model": "tts-1", "input": "Good morning.", "voice": "Jane", "response_format": "mp3"}),
            parameters=(SYNTHETIC,),
            description="`voice` is the id or the name of one of your voices, or the name of one of OpenAI's, which "
            "means your default voice; any `model` is accepted.",
        ),
    },
    openai_api.VoiceList: {
        "GET": Operation(
            OPENAI,
            "List the voices that can speak",
            **answers_json(OpenAIVoices, {"voices": [{"id": A_VOICE, "name": "Jane"}]}),
            operation_id="v1_voices_list",
        ),
    },
    openai_api.OpenAITranscriptions: {
        "POST": Operation(
            OPENAI,
            "Speech to text",
            answers={JSON: OpenAITranscription}
            | dict.fromkeys([TEXT, "text/vtt"], OpenApiTypes.STR)
            | {EVENTS: OpenApiTypes.ANY},
            answer_examples={
                JSON: {"text": "What is the capital of France?", "usage": {"type": "duration", "seconds": 3}}
            },
            **sends_form(file="@question.mp3", model="whisper-1"),
            description="`response_format` is json, text, verbose_json or, if the engine returns times, srt or vtt.",
        ),
    },
    openai_api.ModelList: {
        "GET": Operation(
            OPENAI,
            "List the speech models",
            **answers_json(OpenAIModels, {"object": "list", "data": [MODEL]}),
            operation_id="v1_models_list",
        ),
    },
    openai_api.ModelDetail: {
        "GET": Operation(
            OPENAI,
            "Read a model",
            **answers_json(OpenAIModel, MODEL),
            description="Every name exists, because requests may name any model.",
        ),
    },
}
