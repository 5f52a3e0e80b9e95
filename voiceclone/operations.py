"""What can be asked of the API: for each operation its name, its answer and an example of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from apps.accounts import api as accounts_api
from apps.accounts import export_api, usage_api, webhook_api
from apps.conversations import api as conversations_api
from apps.speech.encoders import CONTENT_TYPES
from apps.voices import api as voices_api
from apps.voices import consent_api
from voiceclone import verification

JSON, FORM, EVENTS, TEXT = "application/json", "multipart/form-data", "text/event-stream", "text/plain"

VOICES, TALK, STAGES, OPENAI, MARKS, ACCOUNT, SITE = (
    "Voices",
    "Conversations",
    "One stage",
    "OpenAI's format",
    "Marks",
    "Account",
    "This description",
)
TAGS = [VOICES, TALK, STAGES, OPENAI, MARKS, ACCOUNT, SITE]
A_VOICE, A_SAMPLE = "5b1d3c0e-0c63-4d5e-9a3c-0c1a8a0f5f43", 7
A_CONVERSATION, A_TURN = "0b8a6b63-8f5f-4ad5-8c9e-5a3c5b4a1a10", "c7d5b8f2-7c1e-4c53-9a55-2f1f0b6f8e21"
A_WEBHOOK, A_DELIVERY = "2f6a1a52-9a57-4b0e-8f5d-1f7f5f0c2f11", "9d0f6b52-4c4b-4f3e-8a63-3f5a2b7c8d90"
A_CONSENT, A_CHALLENGE = "8c0f7e6a-4d53-4a5b-9d2b-1b7a3a2f6c11", "f0a1d1f4-5a3e-4b52-8a6f-6d0f5f0b7c22"
A_TIME = "2026-03-02T08:15:30Z"

VOICE = {
    "id": A_VOICE,
    "name": "Jane",
    "provider": "elevenlabs",
    "voice_id": "fPqL2mVx8RzT",
    "status": "ready",
    "is_default": True,
    "settings": {"speed": 1.1},
    "adjustable": ["stability", "similarity", "style", "speed"],
    "sample_seconds": 74.2,
    "samples": [{"id": A_SAMPLE, "seconds": 74.2, "rms_db": -21.4, "peak_db": -3.2}],
    "error": None,
    "created_at": A_TIME,
    "last_used_at": None,
    "silenced_at": None,
}
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
    "timings": {"heard_ms": 610, "first_word_ms": 980, "first_audio_ms": 1240, "total_ms": 1900},
    "error": None,
    "created_at": A_TIME,
}
CONVERSATION = {
    "id": A_CONVERSATION,
    "title": "Capitals",
    "persona": "You are a patient teacher.",
    "voice": A_VOICE,
    "language": "en",
    "model": "",
    "created_at": A_TIME,
    "updated_at": A_TIME,
}
TOKEN = {
    "id": 3,
    "name": "My script",
    "scopes": ["read", "talk"],
    "created_at": A_TIME,
    "expires_at": None,
    "last_used_at": None,
}
WEBHOOK = {
    "id": A_WEBHOOK,
    "url": "https://example.org/voiceclone",
    "events": ["turn.done"],
    "is_active": True,
    "failing_since": None,
    "created_at": A_TIME,
}
DELIVERY = {
    "id": A_DELIVERY,
    "event": "turn.done",
    "body": "{}",
    "status": "delivered",
    "tries": 1,
    "next_try_at": None,
    "last_try_at": A_TIME,
    "response_status": 200,
    "response_body": "",
    "error_code": "",
    "created_at": A_TIME,
}
AN_EXPORT = "7a1c9e52-3b6d-4f0e-a1d4-6c2b8e9f0a35"
EXPORT = {
    "id": AN_EXPORT,
    "state": "ready",
    "parts_done": 42,
    "parts": 42,
    "size": 18_204_113,
    "created_at": A_TIME,
    "expires_at": "2026-03-03T08:15:30Z",
}
USED = {
    "heard_seconds": 2.4,
    "spoken_characters": 31,
    "tokens_read": 80,
    "tokens_written": 8,
    "cost_usd": 0.0049,
}
USED_TODAY = {**USED, "day": "2026-03-02", "requests": 1}
A_STATEMENT = (
    "My name is Jane Doe. Today is the 2nd of March 2026. I allow this service to make an artificial copy of my voice "
    "and let it speak what I ask for. I can take this back at any time. My code words are river, lemon, castle and "
    "violin."
)
CONSENT = {
    "id": A_CONSENT,
    "method": "spoken",
    "statement": A_STATEMENT,
    "statement_version": "2026-11",
    "language": "en",
    "purpose": "to make an artificial copy of my voice and let it speak what I ask for",
    "transcript": A_STATEMENT,
    "word_error": 0.0,
    "has_clip": True,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "given_at": A_TIME,
    "valid_until": "2027-03-02T08:15:30Z",
    "withdrawn_at": None,
    "is_valid": True,
}
CHALLENGE = {
    "id": A_CHALLENGE,
    "statement": A_STATEMENT,
    "code_words": ["river", "lemon", "castle", "violin"],
    "language": "en",
    "expires_at": "2026-03-02T08:25:30Z",
}
MODEL = {"id": "gpt-transcribe", "object": "model", "created": 0, "owned_by": "openai"}
POINT = {"code": "length", "label": "Length", "value": "74 s", "passed": True, "advice": ""}
SAMPLE_CHECK = {
    "seconds": 74.2,
    "rms_db": -21.4,
    "peak_db": -3.2,
    "clipped_share": 0.0,
    "speech_db": -19.8,
    "noise_db": -61.0,
    "speech_share": 0.82,
    "passed": True,
    "points": [POINT],
}
VERIFIED = {
    "verdict": "made_here",
    "title": "Made here, by AI",
    "message": "An AI spoke this on this site, in the cloned voice of a person who consented to that. …",
    "signed_here": True,
    "made_at": "2026-03-02T08:15:30+00:00",
    "engine": "elevenlabs",
    "signed_by": "",
    "says_synthetic": True,
}
EVENTS_OF_A_TURN = (
    f'event: heard\ndata: {{"turn_id": "{A_TURN}", "text": "What is the capital of France?", "language": "en"}}\n\n'
    'event: said\ndata: {"delta": "The capital of France is Paris."}\n\n'
    'event: spoken\ndata: {"index": 0, "text": "The capital of France is Paris.", "format": "pcm_s16le", '
    '"sample_rate": 24000, "audio": "AAABAAIA…"}\n\n'
    f'event: done\ndata: {{"turn_id": "{A_TURN}", "reply": "The capital of France is Paris.", '
    '"timings": {"heard_ms": 610, "first_word_ms": 980, "first_audio_ms": 1240, "total_ms": 1900}}\n\n'
)


class ConversationWithTurns(conversations_api.ConversationSerializer):
    """A conversation with all its turns."""

    turns = conversations_api.TurnSerializer(many=True)

    class Meta(conversations_api.ConversationSerializer.Meta):
        fields = [*conversations_api.ConversationSerializer.Meta.fields, "turns"]


class NewToken(accounts_api.TokenSerializer):
    """A token with its secret, which is shown this once."""

    token = serializers.CharField()

    class Meta(accounts_api.TokenSerializer.Meta):
        fields = [*accounts_api.TokenSerializer.Meta.fields, "token"]


class NewWebhook(webhook_api.WebhookSerializer):
    """A webhook with the secret of its signatures, which is shown this once."""

    secret = serializers.CharField()

    class Meta(webhook_api.WebhookSerializer.Meta):
        fields = [*webhook_api.WebhookSerializer.Meta.fields, "secret"]


def _fields(name: str, **fields: Any) -> Any:
    return inline_serializer(name, fields)


ClonedVoice = _fields(
    "ClonedVoice",
    success=serializers.BooleanField(),
    voice_id=serializers.CharField(),
    message=serializers.CharField(),
)
OpenAITranscription = _fields("OpenAITranscription", text=serializers.CharField(), usage=serializers.DictField())
OpenAIModel = _fields(
    "OpenAIModel",
    id=serializers.CharField(),
    object=serializers.CharField(),
    created=serializers.IntegerField(),
    owned_by=serializers.CharField(),
)
OpenAIModels = _fields("OpenAIModels", object=serializers.CharField(), data=serializers.ListField())

STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description="Server-sent events as they happen: `heard`, `said`, `spoken`, and at the end `done` or `failed`.",
)
SOUND = OpenApiResponse(OpenApiTypes.BINARY, description="A sound file.")
SPOKEN = dict.fromkeys(CONTENT_TYPES.values(), SOUND)
STORED_SOUND = {"audio/flac": SOUND, "audio/mpeg": SOUND}
AS_MP3 = OpenApiParameter("as", enum=["mp3"], description="As an MP3 to download.")
RANGE = OpenApiParameter("Range", location=OpenApiParameter.HEADER, description="A part of it, such as `bytes=0-999`.")
SEARCH = OpenApiParameter("search", description="Words that all have to occur in the title or in what was said.")
REFERENCE = OpenApiParameter("reference", OpenApiTypes.UUID, description="Of one turn or voice only.")


@dataclass(frozen=True)
class Operation:
    """One operation. `answers` are serializers, or what else is answered, by media type; none is an empty answer."""

    tag: str
    summary: str
    answers: dict[str, Any] = field(default_factory=dict)
    answer_examples: dict[str, Any] = field(default_factory=dict)
    request_examples: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    description: str = ""
    needs: str = ""
    parameters: tuple[OpenApiParameter, ...] = ()
    operation_id: str = ""

    @property
    def has_ranges(self) -> bool:
        return RANGE in self.parameters

    def status_of(self, media_type: str) -> int:
        """Return the status of an answer: a stream begins before anything is created."""
        return 200 if media_type == EVENTS else self.status


def _json(serializer: Any, example: Any) -> dict[str, Any]:
    return {"answers": {JSON: serializer}, "answer_examples": {JSON: example}}


def _list(serializer: type[serializers.Serializer[Any]], example: Any) -> dict[str, Any]:
    return _json(serializer(many=True), example)


def _sends(values: Any) -> dict[str, Any]:
    return {"request_examples": {JSON: values}}


def _sends_form(**values: str) -> dict[str, Any]:
    return {"request_examples": {FORM: values}}


DELETED: dict[str, Any] = {"status": 204}
AI_GENERATED = "`true`: the voice is made by a machine."
SYNTHETIC = OpenApiParameter(
    "X-AI-Generated", location=OpenApiParameter.HEADER, response=True, description=AI_GENERATED
)
FULL = {
    "X-Transcript": "What was heard.",
    "X-Response-Text": "What is answered.",
    "X-Text-Encoding": "`plain`, or `percent-utf8` for percent-encoded UTF-8.",
    "X-Conversation-Id": "Send it as `conversation_id` to go on.",
    "X-Turn-Id": "The turn, to hear again or to retry.",
    "X-AI-Generated": AI_GENERATED,
}
TURN_ANSWERS: dict[str, Any] = {
    "answers": {JSON: conversations_api.TurnSerializer, EVENTS: STREAM},
    "answer_examples": {JSON: TURN, EVENTS: EVENTS_OF_A_TURN},
    "parameters": (SYNTHETIC,),
}
ONLY_OF_ITSELF = "A token reaches itself alone, whatever its scopes."

OPERATIONS: dict[str, Operation] = {
    "POST /clone-voice": Operation(
        VOICES,
        "Clone a voice: the plain door",
        **_json(ClonedVoice, {"success": True, "voice_id": VOICE["voice_id"], "message": "The voice “Jane” is ready."}),
        **_sends_form(voice_name="Jane", audio_file="@recording.mp3"),
        status=201,
        description="`audio_file` may come several times. `user_id` is accepted and counts for nothing.",
    ),
    "POST /full-interaction": Operation(
        TALK,
        "Ask aloud, and hear the answer",
        answers={"audio/mpeg": OpenApiResponse(OpenApiTypes.BINARY, description="The answer, as it is spoken.")},
        **_sends_form(voice_id="fPqL2mVx8RzT", audio_file="@question.mp3"),
        parameters=tuple(
            OpenApiParameter(name, location=OpenApiParameter.HEADER, response=True, description=text)
            for name, text in FULL.items()
        ),
    ),
    "GET /api/v1/voices": Operation(VOICES, "List your voices", **_list(voices_api.VoiceSerializer, VOICE)),
    "POST /api/v1/voices": Operation(
        VOICES,
        "Clone a voice",
        **_json(voices_api.VoiceSerializer, VOICE),
        **_sends_form(name="Jane", audio="@recording.mp3"),
        status=201,
        description="`audio` may come several times.",
    ),
    "GET /api/v1/voices/{voice_pk}": Operation(VOICES, "Read a voice", **_json(voices_api.VoiceSerializer, VOICE)),
    "PATCH /api/v1/voices/{voice_pk}": Operation(
        VOICES,
        "Rename a voice, or change how it speaks",
        **_json(voices_api.VoiceSerializer, VOICE),
        **_sends({"name": "Jane", "settings": {"speed": 1.1}}),
    ),
    "DELETE /api/v1/voices/{voice_pk}": Operation(VOICES, "Delete a voice, at its provider too", **DELETED),
    "POST /api/v1/voices/{voice_pk}/preview": Operation(
        VOICES,
        "Hear a voice say a sentence",
        answers={"audio/mpeg": SOUND},
        **_sends({"text": "Good morning.", "settings": {"speed": 1.1}}),
        parameters=(SYNTHETIC,),
    ),
    "POST /api/v1/voices/{voice_pk}/retry": Operation(
        VOICES,
        "Clone a voice again that failed",
        **_json(voices_api.VoiceSerializer, VOICE),
        description="From the recordings that were kept.",
    ),
    "GET /api/v1/voices/{voice_pk}/samples/{sample_pk}/audio": Operation(
        VOICES, "Hear what a voice was cloned from", answers={"audio/flac": SOUND}, parameters=(RANGE,)
    ),
    "GET /api/v1/consents": Operation(VOICES, "List your consents", **_list(consent_api.ConsentSerializer, CONSENT)),
    "POST /api/v1/consents": Operation(
        VOICES,
        "Consent to your voice being cloned",
        **_json(consent_api.ConsentSerializer, CONSENT),
        request_examples={FORM: {"challenge": A_CHALLENGE, "audio": "@statement.mp3"}, JSON: {"attested": True}},
        status=201,
        description="`audio` is the statement of the `challenge`, read aloud. Where the site takes that, `attested` "
        "alone is enough. Cloning needs a consent: without one it answers 403, `consent_required`.",
    ),
    "POST /api/v1/consents/challenges": Operation(
        VOICES,
        "Get a statement to read aloud",
        **_json(consent_api.ChallengeSerializer, CHALLENGE),
        **_sends({"name": "Jane Doe"}),
        status=201,
        description="It is valid for ten minutes and one recording, and takes the place of an earlier one.",
    ),
    "POST /api/v1/consents/{consent_pk}/withdraw": Operation(
        VOICES,
        "Take your consent back",
        **_json(consent_api.ConsentSerializer, {**CONSENT, "withdrawn_at": A_TIME, "is_valid": False}),
        description="From that moment none of your voices speaks. They are deleted, at their provider too.",
    ),
    "GET /api/v1/consents/{consent_pk}/audio": Operation(
        VOICES, "Hear a spoken consent", answers={"audio/flac": SOUND}, parameters=(RANGE,)
    ),
    "POST /api/v1/sample-checks": Operation(
        VOICES,
        "Measure a recording before cloning from it",
        **_json(voices_api.SampleChecks.Output, SAMPLE_CHECK),
        **_sends_form(audio="@recording.mp3"),
    ),
    "GET /api/v1/conversations": Operation(
        TALK,
        "List and search your conversations",
        **_list(conversations_api.ConversationSerializer, CONVERSATION),
        parameters=(SEARCH,),
    ),
    "POST /api/v1/conversations": Operation(
        TALK,
        "Begin a conversation",
        **_json(ConversationWithTurns, {**CONVERSATION, "turns": []}),
        **_sends({"voice": A_VOICE, "title": "Capitals"}),
        status=201,
    ),
    "GET /api/v1/conversations/{conversation_pk}": Operation(
        TALK, "Read a conversation with its turns", **_json(ConversationWithTurns, {**CONVERSATION, "turns": [TURN]})
    ),
    "PATCH /api/v1/conversations/{conversation_pk}": Operation(
        TALK,
        "Change a conversation",
        **_json(ConversationWithTurns, {**CONVERSATION, "turns": [TURN]}),
        **_sends({"title": "Capitals"}),
    ),
    "DELETE /api/v1/conversations/{conversation_pk}": Operation(TALK, "Delete a conversation", **DELETED),
    "POST /api/v1/conversations/{conversation_pk}/turns": Operation(
        TALK,
        "Ask something",
        **TURN_ANSWERS,
        request_examples={JSON: {"text": "What is the capital of France?"}, FORM: {"audio": "@question.mp3"}},
        status=201,
        description="Either `text` or `audio`. Answered when the turn is over or, for `Accept: text/event-stream`, "
        "with the events as they happen.",
    ),
    "GET /api/v1/turns/{turn_pk}": Operation(TALK, "Read a turn", **_json(conversations_api.TurnSerializer, TURN)),
    "POST /api/v1/turns/{turn_pk}/retry": Operation(
        TALK, "Go on from the stage that failed", **TURN_ANSWERS, description="No stage is paid for twice."
    ),
    "POST /api/v1/turns/{turn_pk}/stop": Operation(
        TALK,
        "Stop a running turn",
        **_json(conversations_api.TurnSerializer, TURN),
        **_sends({"heard_seconds": 1.2}),
        status=202,
    ),
    "GET /api/v1/turns/{turn_pk}/audio": Operation(
        TALK, "Hear an answer", answers=STORED_SOUND, parameters=(AS_MP3, RANGE, SYNTHETIC)
    ),
    "GET /api/v1/turns/{turn_pk}/question": Operation(
        TALK, "Hear a question", answers=STORED_SOUND, parameters=(AS_MP3, RANGE)
    ),
    "POST /api/v1/transcriptions": Operation(
        STAGES,
        "Speech to text",
        **_json(
            conversations_api.Transcriptions.Output,
            {"text": "What is the capital of France?", "language": "en", "seconds": 2.4},
        ),
        **_sends_form(audio="@question.mp3", language="en"),
    ),
    "POST /api/v1/speech": Operation(
        STAGES,
        "Text to speech",
        answers=SPOKEN,
        **_sends({"text": "Good morning.", "voice": "Jane", "format": "mp3"}),
        parameters=(SYNTHETIC,),
        description="`voice` is the id or the name of one of your voices. The file comes while it is being spoken.",
    ),
    "POST /v1/audio/speech": Operation(
        OPENAI,
        "Text to speech",
        answers=SPOKEN,
        **_sends({"model": "tts-1", "input": "Good morning.", "voice": "Jane", "response_format": "mp3"}),
        parameters=(SYNTHETIC,),
        description="`voice` is the id or the name of one of your voices; any `model` will do.",
    ),
    "POST /v1/audio/transcriptions": Operation(
        OPENAI,
        "Speech to text",
        answers={JSON: OpenAITranscription} | dict.fromkeys([TEXT, "text/vtt", EVENTS], OpenApiTypes.STR),
        answer_examples={JSON: {"text": "What is the capital of France?", "usage": {"type": "duration", "seconds": 3}}},
        **_sends_form(file="@question.mp3", model="whisper-1"),
        description="`response_format` is json, text, or, where the engine tells times, verbose_json, srt or vtt.",
    ),
    "GET /v1/models": Operation(
        OPENAI,
        "List what hears and speaks here",
        **_json(OpenAIModels, {"object": "list", "data": [MODEL]}),
        operation_id="v1_models_list",
    ),
    "GET /v1/models/{model}": Operation(OPENAI, "Read a model", **_json(OpenAIModel, MODEL)),
    "POST /api/v1/verify": Operation(
        MARKS,
        "Ask a sound file where it comes from",
        **_json(verification.VerifyFile.Output, VERIFIED),
        **_sends_form(file="@answer.mp3"),
        description="`verdict` is made_here, altered, elsewhere, tagged or unmarked. Nothing of the file is kept.",
    ),
    "GET /api/v1/tokens": Operation(ACCOUNT, "List your tokens", **_list(accounts_api.TokenSerializer, TOKEN)),
    "POST /api/v1/tokens": Operation(
        ACCOUNT,
        "Make a token",
        **_json(NewToken, {**TOKEN, "token": "vc_…"}),
        **_sends({"name": "My script", "scopes": ["read", "talk"]}),
        status=201,
    ),
    "GET /api/v1/tokens/{token_pk}": Operation(
        ACCOUNT, "Read a token", **_json(accounts_api.TokenSerializer, TOKEN), needs=ONLY_OF_ITSELF
    ),
    "DELETE /api/v1/tokens/{token_pk}": Operation(ACCOUNT, "Revoke a token", **DELETED, needs=ONLY_OF_ITSELF),
    "GET /api/v1/usage": Operation(
        ACCOUNT,
        "Read what you used, and what is left",
        **_json(
            usage_api.UsageSummary.Output,
            {
                "today": USED_TODAY,
                "limits": [{"name": "requests", "limit": 1000, "used": 1, "left": 999}],
                "resets_at": "2026-03-03T00:00:00Z",
                "days": [USED_TODAY],
            },
        ),
    ),
    "GET /api/v1/usage/records": Operation(
        ACCOUNT,
        "List what each request used",
        **_list(usage_api.UsageRecordSerializer, {**USED, "kind": "turn", "reference": A_TURN, "created_at": A_TIME}),
        parameters=(REFERENCE,),
    ),
    "GET /api/v1/exports": Operation(
        ACCOUNT, "See the export of your data, if there is one", **_list(export_api.ExportSerializer, EXPORT)
    ),
    "POST /api/v1/exports": Operation(
        ACCOUNT,
        "Have everything of yours put into one file",
        **_json(export_api.ExportSerializer, {**EXPORT, "state": "waiting", "size": 0, "expires_at": None}),
        status=201,
        description="It takes the place of an earlier one. While one is being made, `409 export_under_way`.",
    ),
    "GET /api/v1/exports/{export_pk}": Operation(
        ACCOUNT, "See how far an export has come", **_json(export_api.ExportSerializer, EXPORT)
    ),
    "DELETE /api/v1/exports/{export_pk}": Operation(ACCOUNT, "Delete an export", **DELETED),
    "GET /api/v1/exports/{export_pk}/download": Operation(
        ACCOUNT,
        "Download your data",
        answers={export_api.ZIP: OpenApiResponse(OpenApiTypes.BINARY, description="A ZIP file.")},
    ),
    "GET /api/v1/webhooks": Operation(ACCOUNT, "List your webhooks", **_list(webhook_api.WebhookSerializer, WEBHOOK)),
    "POST /api/v1/webhooks": Operation(
        ACCOUNT,
        "Make a webhook",
        **_json(NewWebhook, {**WEBHOOK, "secret": "whsec_…"}),
        **_sends({"url": WEBHOOK["url"], "events": WEBHOOK["events"]}),
        status=201,
    ),
    "GET /api/v1/webhooks/{webhook_pk}": Operation(
        ACCOUNT, "Read a webhook", **_json(webhook_api.WebhookSerializer, WEBHOOK)
    ),
    "PATCH /api/v1/webhooks/{webhook_pk}": Operation(
        ACCOUNT,
        "Change a webhook",
        **_json(webhook_api.WebhookSerializer, WEBHOOK),
        **_sends({"is_active": True}),
    ),
    "DELETE /api/v1/webhooks/{webhook_pk}": Operation(ACCOUNT, "Delete a webhook", **DELETED),
    "GET /api/v1/webhooks/{webhook_pk}/deliveries": Operation(
        ACCOUNT, "List what was sent to a webhook", **_list(webhook_api.DeliverySerializer, DELIVERY)
    ),
    "POST /api/v1/webhooks/{webhook_pk}/deliveries/{delivery_pk}/redeliver": Operation(
        ACCOUNT, "Send it once more", **_json(webhook_api.DeliverySerializer, DELIVERY), status=202
    ),
    "GET /api/schema/": Operation(
        SITE,
        "Read this description",
        answers=dict.fromkeys(["application/vnd.oai.openapi", "application/vnd.oai.openapi+json"], OpenApiTypes.OBJECT),
    ),
}
