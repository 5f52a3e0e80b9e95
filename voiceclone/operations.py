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
from apps.conversations import stages_api, turns_api
from apps.speech.encoders import CONTENT_TYPES
from apps.voices import api as voices_api
from apps.voices import consent_api
from voiceclone import verification
from voiceclone.api_examples import (
    A_CHALLENGE,
    A_TIME,
    A_TURN,
    A_VOICE,
    CHALLENGE,
    CONSENT,
    CONVERSATION,
    DELIVERY,
    EVENTS_OF_A_TURN,
    EXPORT,
    MODEL,
    SAMPLE_CHECK,
    TOKEN,
    TURN,
    USED,
    USED_TODAY,
    VERIFIED,
    VOICE,
    WEBHOOK,
)

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


class ConversationWithTurns(conversations_api.ConversationSerializer):
    """A conversation with all its turns."""

    turns = turns_api.TurnSerializer(many=True)

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
    OpenApiTypes.ANY,
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
    "answers": {JSON: turns_api.TurnSerializer, EVENTS: STREAM},
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
    "GET /api/v1/turns/{turn_pk}": Operation(TALK, "Read a turn", **_json(turns_api.TurnSerializer, TURN)),
    "POST /api/v1/turns/{turn_pk}/retry": Operation(
        TALK, "Go on from the stage that failed", **TURN_ANSWERS, description="No stage is paid for twice."
    ),
    "POST /api/v1/turns/{turn_pk}/stop": Operation(
        TALK,
        "Stop a running turn",
        **_json(turns_api.TurnSerializer, TURN),
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
            stages_api.Transcriptions.Output,
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
        answers={JSON: OpenAITranscription}
        | dict.fromkeys([TEXT, "text/vtt"], OpenApiTypes.STR)
        | {EVENTS: OpenApiTypes.ANY},
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
                "unpriced": [],
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
        parameters=(SYNTHETIC,),
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
    "POST /api/v1/webhooks/{webhook_pk}/secret": Operation(
        ACCOUNT,
        "Give a webhook a new secret",
        **_json(NewWebhook, {**WEBHOOK, "previous_ends_at": "2026-03-03T08:15:30Z", "secret": "whsec_…"}),
        description="For a day, messages are signed with the old secret too.",
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
