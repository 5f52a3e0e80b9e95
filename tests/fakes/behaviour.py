"""How the fake provider behaves, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HALF_ANSWER_BYTES = 1000  # Less than the events of a short reply have, and much less than a second of speech.


@dataclass
class Behaviour:
    """What the fake says, and how fast: a rate of 0 is as fast as it can. A `key` of None is any but an empty one.

    A `key` of "" is none: the server asks for no key, like those that people run themselves.
    """

    key: str | None = "test-key"
    transcript: str = "What is the capital of France?"
    languages: list[str] = field(default_factory=list)
    reply: str = "The capital of France is Paris. It lies on the Seine."
    finish_reason: str = "stop"
    reasoning: str = ""  # Streamed before the reply, in this field of the deltas; in `content`, between <think> marks.
    reasoning_field: str = "reasoning_content"
    voice_limit: int | None = None
    speech_limit: int = 0  # Requests for speech at once; 0 is no limit.
    requires_verification: bool = False
    hear_seconds: float = 0
    first_token_seconds: float = 0
    tokens_per_second: float = 0
    first_audio_seconds: float = 0
    audio_speed: float = 0  # Times real time.
    # Heard through a WebSocket: tests/fakes/live.py
    spoken_seconds: float = 0  # The voiced sound that the transcript takes; 0: its first sound tells all of it.
    partial_seconds: float = 0
    final_seconds: float = 0
    repeated_seconds: float = 1  # How often the last partial is sent again while nobody speaks.
    socket_idle_seconds: float = 10  # After so long without sound ElevenLabs closes the socket; 0 is never.
    automatic_commit_seconds: float = 90
    deltas_know_their_item: bool = True
    keeps_sound: bool = True
    failing_share: float = 0  # Of all calls, 0 to 1: each goes wrong in one of the ways of FAILURES.


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path begins with `path`."""

    path: str
    times: int
    status: int | None = None
    body: Mapping[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    cut_after_bytes: int | None = None
    without_end: bool = False
    hang_at_end: bool = False
    # Of a WebSocket: when it closes, or with `hang_at_end` answers no more. An error may precede.
    after_seconds: float | None = None
    at_commit: bool = False
    socket_error: str = ""
    failed_code: str = ""


# How services fail, as arguments of a Fault.
FAILURES: list[dict[str, Any]] = [
    {"status": 500, "body": {"detail": "Internal Server Error"}},
    {"status": 503, "body": "<html><h1>Service Unavailable</h1></html>"},
    {"status": 429, "body": {"detail": {"code": "system_busy"}}, "headers": {"retry-after": "1"}},
    {"status": 200, "body": "<html><h1>Welcome</h1></html>"},
    {"status": 200, "body": {"unexpected": [1, None]}},
    {"cut_after_bytes": 0},
    {"cut_after_bytes": HALF_ANSWER_BYTES},
    {"without_end": True},
    {"hang_at_end": True},
    {"delay_seconds": 12},
]


class Moment(Enum):
    """How far a request has come, as the provider sees it."""

    HALF_RECEIVED = "half of the request is there"
    RECEIVED = "the whole request is there, and nothing is done"
    DONE = "it is done, and nothing is answered"
    HALF_ANSWERED = "a part of the answer is sent"
    ANSWERED = "the whole answer is sent"
