"""The OpenAPI descriptions of the endpoints for voices and consents."""

from __future__ import annotations

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from apps.core.api_examples import A_CHALLENGE, A_CONSENT, A_SAMPLE, A_TIME, A_VOICE
from apps.core.api_schema import (
    DELETED,
    FORM,
    JSON,
    MAY_BE_MISSING,
    RANGE,
    SOUND,
    SYNTHETIC,
    Operation,
    Operations,
    answers_json,
    answers_list,
    sends_form,
    sends_json,
)
from apps.voices import api, consent_api

VOICES = "Voices"
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
POINT = {"code": "length", "label": "Length", "value": "74 s", "passed": True, "word": "", "advice": ""}
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
ClonedVoice = inline_serializer(
    "ClonedVoice",
    {
        "success": serializers.BooleanField(),
        "voice_id": serializers.CharField(),
        "message": serializers.CharField(),
    },
)

OPERATIONS: Operations = {
    api.CloneVoice: {
        "POST": Operation(
            VOICES,
            "Clone a voice (simple form)",
            **answers_json(
                ClonedVoice, {"success": True, "voice_id": VOICE["voice_id"], "message": "The voice “Jane” is ready."}
            ),
            **sends_form(voice_name="Jane", audio_file=["@first.mp3", "@second.mp3"]),
            status=201,
            description="`audio_file` may be repeated. `user_id` is accepted and ignored.",
        ),
    },
    api.VoiceList: {
        "GET": Operation(VOICES, "List your voices", **answers_list(api.VoiceSerializer, VOICE)),
        "POST": Operation(
            VOICES,
            "Clone a voice",
            **answers_json(api.VoiceSerializer, VOICE),
            **sends_form(name="Jane", audio=["@first.mp3", "@second.mp3"]),
            status=201,
            description="`audio` may be repeated.",
        ),
    },
    api.VoiceDetail: {
        "GET": Operation(VOICES, "Read a voice", **answers_json(api.VoiceSerializer, VOICE)),
        "PATCH": Operation(
            VOICES,
            "Rename a voice, or change how it speaks",
            **answers_json(api.VoiceSerializer, VOICE),
            **sends_json({"name": "Jane", "settings": {"speed": 1.1}}),
        ),
        "DELETE": Operation(VOICES, "Delete a voice, also at its provider", **DELETED),
    },
    api.VoicePreview: {
        "POST": Operation(
            VOICES,
            "Hear a voice say a sentence",
            answers={"audio/mpeg": SOUND},
            **sends_json({"text": "Good morning.", "settings": {"speed": 1.1}}),
            parameters=(SYNTHETIC,),
        ),
    },
    api.VoiceRetry: {
        "POST": Operation(
            VOICES,
            "Clone a failed voice again",
            **answers_json(api.VoiceSerializer, VOICE),
            description=f"Uses the stored recordings. {MAY_BE_MISSING}",
        ),
    },
    api.VoiceSampleAudio: {
        "GET": Operation(
            VOICES,
            "Hear a recording that a voice was cloned from",
            answers={"audio/flac": SOUND},
            parameters=(RANGE,),
            description=MAY_BE_MISSING,
        ),
    },
    consent_api.ConsentList: {
        "GET": Operation(VOICES, "List your consents", **answers_list(consent_api.ConsentSerializer, CONSENT)),
        "POST": Operation(
            VOICES,
            "Consent to your voice being cloned",
            **answers_json(consent_api.ConsentSerializer, CONSENT),
            request_examples={FORM: {"challenge": A_CHALLENGE, "audio": "@statement.mp3"}, JSON: {"attested": True}},
            status=201,
            description="`audio` is the statement of the `challenge`, read aloud. `attested` alone is enough if "
            "the site allows it. Cloning without a consent answers 403, `consent_required`.",
        ),
    },
    consent_api.ChallengeList: {
        "POST": Operation(
            VOICES,
            "Get a statement to read aloud",
            **answers_json(consent_api.ChallengeSerializer, CHALLENGE),
            **sends_json({"name": "Jane Doe"}),
            status=201,
            description="A statement is valid for ten minutes and for one recording. It replaces an earlier one.",
        ),
    },
    consent_api.ConsentWithdrawal: {
        "POST": Operation(
            VOICES,
            "Withdraw your consent",
            **answers_json(consent_api.ConsentSerializer, {**CONSENT, "withdrawn_at": A_TIME, "is_valid": False}),
            description="Your voices can no longer speak. They are deleted, also at their provider.",
        ),
    },
    consent_api.ConsentAudio: {
        "GET": Operation(
            VOICES,
            "Hear a spoken consent",
            answers={"audio/flac": SOUND},
            parameters=(RANGE,),
            description=MAY_BE_MISSING,
        ),
    },
    api.SampleChecks: {
        "POST": Operation(
            VOICES,
            "Measure a recording before cloning from it",
            **answers_json(api.SampleChecks.Output, SAMPLE_CHECK),
            **sends_form(audio="@recording.mp3"),
        ),
    },
}
