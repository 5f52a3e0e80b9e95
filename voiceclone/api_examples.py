"""The examples in the description of the API: one of everything, and the ids that lead from one to the other."""

A_VOICE, A_SAMPLE = "5b1d3c0e-0c63-4d5e-9a3c-0c1a8a0f5f43", 7
A_CONVERSATION, A_TURN = "0b8a6b63-8f5f-4ad5-8c9e-5a3c5b4a1a10", "c7d5b8f2-7c1e-4c53-9a55-2f1f0b6f8e21"
A_WEBHOOK, A_DELIVERY = "2f6a1a52-9a57-4b0e-8f5d-1f7f5f0c2f11", "9d0f6b52-4c4b-4f3e-8a63-3f5a2b7c8d90"
A_CONSENT, A_CHALLENGE = "8c0f7e6a-4d53-4a5b-9d2b-1b7a3a2f6c11", "f0a1d1f4-5a3e-4b52-8a6f-6d0f5f0b7c22"
AN_EXPORT = "7a1c9e52-3b6d-4f0e-a1d4-6c2b8e9f0a35"
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
    "previous_ends_at": None,
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
USED = {
    "heard_seconds": 2.4,
    "spoken_characters": 31,
    "tokens_read": 80,
    "tokens_written": 8,
    "cost_usd": 0.0049,
}
USED_TODAY = {**USED, "day": "2026-03-02", "requests": 1}
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
EVENTS_OF_A_TURN = (
    f'event: heard\ndata: {{"turn_id": "{A_TURN}", "text": "What is the capital of France?", "language": "en"}}\n\n'
    'event: said\ndata: {"delta": "The capital of France is Paris."}\n\n'
    'event: spoken\ndata: {"index": 0, "text": "The capital of France is Paris.", "format": "pcm_s16le", '
    '"sample_rate": 24000, "audio": "AAABAAIA…"}\n\n'
    f'event: done\ndata: {{"turn_id": "{A_TURN}", "reply": "The capital of France is Paris.", '
    '"timings": {"heard_ms": 610, "first_word_ms": 980, "first_audio_ms": 1240, "total_ms": 1900}}\n\n'
)

EXPORT = {
    "id": AN_EXPORT,
    "state": "ready",
    "parts_done": 42,
    "parts": 42,
    "size": 18_204_113,
    "created_at": A_TIME,
    "expires_at": "2026-03-03T08:15:30Z",
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
