"""Talks to the site through the package that openapi_python.py makes from the API's description."""

from __future__ import annotations

import io
import re
from typing import TypeVar
from uuid import UUID, uuid4

from voiceclone_client import AuthenticatedClient
from voiceclone_client.api.conversations import (
    conversations_create,
    conversations_destroy,
    conversations_retrieve,
    conversations_turns_create,
    full_interaction_create,
    turns_audio_retrieve,
)
from voiceclone_client.api.one_stage import speech_create, transcriptions_create
from voiceclone_client.api.voices import voices_list, voices_retrieve
from voiceclone_client.models import (
    ConversationListCreateInputRequest,
    ConversationWithTurns,
    ErrorResponse,
    FullInteractionInputRequest,
    PaginatedVoiceList,
    SpeechInputRequest,
    TranscriptionsInputRequest,
    TranscriptionsOutput,
    Turn,
    TurnListAudioInputRequest,
    TurnListTextInputRequest,
    Voice,
)
from voiceclone_client.types import File

from tests.clients.calls import RECORDING, TEXT, TOKEN, URL, VOICE, WORDS, call, require_sound

Answer = TypeVar("Answer")

client = AuthenticatedClient(base_url=URL, token=TOKEN)


def recording() -> File:
    return File(io.BytesIO(RECORDING.read_bytes()), file_name="question.wav", mime_type="audio/wav")


def require(kind: type[Answer], answer: object) -> Answer:
    """Return an answer, which has to be of this kind."""
    assert isinstance(answer, kind), answer
    return answer


def my_voice() -> Voice:
    (voice,) = require(PaginatedVoiceList, voices_list.sync(client=client, limit=1)).results
    return voice


def talk() -> None:
    with call("voices_list"):
        assert my_voice().name == VOICE
    with call("conversations_create"):
        body = ConversationListCreateInputRequest(voice=my_voice().id, title="Capitals")
        conversation = require(ConversationWithTurns, conversations_create.sync(client=client, body=body)).id
    ask(conversation)
    with call("conversations_destroy"):
        assert conversations_destroy.sync_detailed(conversation, client=client).status_code == 204
    single_stages()


def ask(conversation: UUID) -> None:
    text = TurnListTextInputRequest(text=TEXT)
    with call("conversations_turns_create"):
        turn = require(Turn, conversations_turns_create.sync(conversation, client=client, body=text))
        assert (turn.status, turn.transcript) == ("spoken", TEXT)
    with call("turns_audio_retrieve"):
        assert len(require(File, turns_audio_retrieve.sync(turn.id, client=client)).payload.read()) > 1000
    with call("conversations_turns_create, a recording"):
        audio = TurnListAudioInputRequest(audio=recording())
        spoken = require(Turn, conversations_turns_create.sync(conversation, client=client, body=audio))
        assert (spoken.status, spoken.transcript) == ("spoken", WORDS)
    with call("conversations_turns_create, streamed"):
        listener = AuthenticatedClient(base_url=URL, token=TOKEN, headers={"Accept": "text/event-stream"})
        events = require(str, conversations_turns_create.sync(conversation, client=listener, body=text))
        names = re.findall(r"^event: (\w+)$", events, re.MULTILINE)
        assert (names[0], names[-1], "spoken" in names) == ("heard", "done", True)
    with call("conversations_retrieve"):
        found = require(ConversationWithTurns, conversations_retrieve.sync(conversation, client=client))
        assert len(found.turns) == 3
    with call("voices_retrieve, an error"):
        error = require(ErrorResponse, voices_retrieve.sync(uuid4(), client=client))
        assert error.error.code == "not_found"


def single_stages() -> None:
    with call("full_interaction_create"):
        question = FullInteractionInputRequest(voice_id=my_voice().voice_id, audio_file=recording())
        answer = full_interaction_create.sync_detailed(client=client, body=question)
        require_sound(require(File, answer.parsed).payload.read(), "mp3")
        assert answer.headers["X-Transcript"] == WORDS
    with call("transcriptions_create"):
        sound = TranscriptionsInputRequest(audio=recording(), language="en")
        heard = require(TranscriptionsOutput, transcriptions_create.sync(client=client, body=sound))
        assert heard.text == WORDS
    with call("speech_create"):
        words = SpeechInputRequest(text=TEXT, voice=VOICE)
        require_sound(require(File, speech_create.sync(client=client, body=words)).payload.read(), "mp3")
    with call("speech_create, streamed"):
        options = {"text": TEXT, "voice": VOICE, "format": "wav"}
        with client.get_httpx_client().stream("POST", "/api/v1/speech", json=options) as response:
            require_sound(b"".join(response.iter_bytes()), "wav")
