"""What can be done with a conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations.models import NOTHING_HEARD, TURN_MESSAGES, Conversation, Turn
from apps.conversations.turn import QUESTION_SAMPLE_RATE, RUNNING, run_turn
from apps.speech import audio, registry
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile
from apps.voices.services import require_ready
from voiceclone.errors import UserError

MAX_TEXT_CHARACTERS = 2000
STORED_SAMPLE_RATE = 24_000
STORED_MAX_SECONDS = 3600


def start_conversation(*, owner: User, voice: VoiceProfile, title: str = "", persona: str = "") -> Conversation:
    """Begin a conversation in which `voice`, one of the owner's, answers."""
    return Conversation.objects.create(owner=owner, voice=voice, title=title, persona=persona)


def search_conversations(*, owner: User, words: str) -> QuerySet[Conversation]:
    """Return the owner's conversations in whose title or turns all of `words` occur."""
    conversations = Conversation.objects.for_user(owner).select_related("voice")
    for word in words.split():
        said = Turn.objects.for_user(owner).filter(Q(transcript__icontains=word) | Q(reply__icontains=word))
        conversations = conversations.filter(Q(title__icontains=word) | Q(pk__in=said.values("conversation")))
    return conversations


def change_conversation(*, conversation: Conversation, **changes: Any) -> None:
    """Change the title, the persona or the voice."""
    for name, value in changes.items():
        setattr(conversation, name, value)
    conversation.save(update_fields=[*changes, "updated_at"])


def delete_conversation(*, conversation: Conversation) -> None:
    """Delete the conversation with its turns and all their recordings."""
    turns = Turn.objects.for_user(conversation.owner).filter(conversation=conversation)
    files = [file for turn in turns for file in (turn.question, turn.answer) if file]
    conversation.delete()
    _delete_files(files)


def _delete_files(files: Iterable[FieldFile]) -> None:
    for file in files:
        file.storage.delete(str(file.name))


def read_question(*, data: bytes) -> Recording:
    """Return the recording that `data` is, in any accepted format; raise what is wrong with it."""
    recording = audio.decode(data, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS)
    if audio.is_silent(recording):
        raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]), status=422)
    return recording


def new_turn(*, conversation: Conversation, voice: VoiceProfile, text: str = "") -> Turn:
    """Return a turn for a typed question, or a spoken one; `run_turn` stores and answers it."""
    status = Turn.Status.HEARD if text else Turn.Status.RECEIVED
    return Turn(owner_id=conversation.owner_id, conversation=conversation, voice=voice, transcript=text, status=status)


def voice_of(*, conversation: Conversation) -> VoiceProfile:
    """Return the voice that answers in `conversation`, if it can speak."""
    if conversation.voice is None:
        text = _("The voice of this conversation was deleted. Choose another one for it.")
        raise UserError("voice_not_found", text, status=409)
    require_ready(voice=conversation.voice)
    return conversation.voice


def prepare_retry(*, turn: Turn) -> Turn:
    """Take a failed turn up again; `run_turn` then goes on from the stage that failed."""
    if turn.voice is None or turn.voice.status != VoiceProfile.Status.READY:
        turn.voice = voice_of(conversation=turn.conversation)
        turn.save(update_fields=["voice"])
    claimed = Turn.objects.filter(pk=turn.pk, status=Turn.Status.FAILED).update(status=_status_before_failure(turn))
    if not claimed:
        raise UserError("turn_not_failed", _("Only a turn that failed can be tried again."), status=409)
    # With what `run_turn` reads: it can not wait for the database on the event loop.
    return Turn.objects.select_related("voice", "conversation").get(pk=turn.pk)


def _status_before_failure(turn: Turn) -> Turn.Status:
    if not turn.transcript:
        return Turn.Status.RECEIVED
    return Turn.Status.ANSWERED if turn.failed_stage == Turn.Stage.SPEAK else Turn.Status.HEARD


def stop_turn(*, turn: Turn) -> None:
    """Ask for the end of a running turn: within two seconds it is interrupted, in whatever process it runs."""
    Turn.objects.filter(pk=turn.pk, status__in=RUNNING).update(stop_requested=True)


def answer(*, turn: Turn, recording: Recording | None = None) -> Turn:
    """Run `turn` to its end and return it, done or failed. `recording` is its question, where it is at hand."""

    async def run(engines: registry.Engines) -> None:
        async for _event in run_turn(turn, engines, recording=recording):
            pass

    registry.call(run)
    return turn


def stored_recording(file: FieldFile) -> Recording:
    """Return a stored question or answer, decoded."""
    with file.open("rb") as opened:
        return audio.decode(opened.read(), sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
