"""The actions on conversations and turns, for all front doors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations.marking import STORED_MAX_SECONDS, STORED_SAMPLE_RATE, answer_as_mp3
from apps.conversations.models import NOTHING_HEARD, RUNNING, TURN_MESSAGES, Conversation, Turn
from apps.conversations.pipeline.hearing import QUESTION_SAMPLE_RATE
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.reconciling import end_abandoned
from apps.conversations.turn import run_turn
from apps.core.errors import UserError
from apps.core.leases import new_lease
from apps.speech import registry
from apps.speech.audio.decoding import decode
from apps.speech.audio.levels import is_silent
from apps.speech.base import Recording, Stage
from apps.usage import metering
from apps.usage.metering import Reservation
from apps.voices.models import VoiceProfile
from apps.voices.services import require_ready

MAX_TEXT_CHARACTERS = 2000
# The stages before the voice that a turn of each status still needs.
_STAGES_FROM: dict[Turn.Status, tuple[Stage, ...]] = {
    Turn.Status.RECEIVED: ("hear", "think"),
    Turn.Status.HEARD: ("think",),
    Turn.Status.ANSWERED: (),
}


def start_conversation(*, owner: User, voice: VoiceProfile, **choices: str) -> Conversation:
    """Begin a conversation in which `voice`, one of the owner's, answers; `choices` are `change_conversation`'s."""
    return Conversation.objects.create(owner=owner, voice=voice, **choices)


def chat_models() -> list[str]:
    """Return the names of the language models to choose from, the site's own first."""
    if settings.LANGUAGE_MODEL == registry.LOCAL:
        return [Path(settings.LOCAL_CHAT_MODEL).name]  # The operator may name a file by its path.
    return list(dict.fromkeys([settings.OPENAI_CHAT_MODEL, *settings.OPENAI_CHAT_MODELS]))


def search_conversations(*, owner: User, words: str) -> QuerySet[Conversation]:
    """Return the owner's conversations in whose title or turns all of `words` occur."""
    conversations = Conversation.objects.for_user(owner).select_related("voice")
    for word in words.split():
        said = Turn.objects.for_user(owner).filter(_says(word))
        conversations = conversations.filter(Q(title__icontains=word) | Q(pk__in=said.values("conversation")))
    return conversations


def with_excerpts(conversations: QuerySet[Conversation], *, words: str) -> QuerySet[Conversation]:
    """Annotate what is to be shown of each: question and reply of the latest turn in which all of `words` occur."""
    turns = Turn.objects.filter(conversation=OuterRef("pk"))
    for word in words.split():
        turns = turns.filter(_says(word))
    latest = turns.order_by("-created_at")[:1]
    return conversations.annotate(
        excerpt_question=Subquery(latest.values("transcript")), excerpt_reply=Subquery(latest.values("reply"))
    )


def _says(word: str) -> Q:
    return Q(transcript__icontains=word) | Q(reply__icontains=word)


def change_conversation(*, conversation: Conversation, **changes: Any) -> None:
    """Change the title, the persona, the voice, the language or the model."""
    for name, value in changes.items():
        setattr(conversation, name, value)
    conversation.save(update_fields=[*changes, "updated_at"])


def delete_conversation(*, conversation: Conversation) -> None:
    """Delete the conversation with its turns and all their recordings."""
    turns = Turn.objects.for_user(conversation.owner).filter(conversation=conversation)
    # The rows are deleted last: after an interruption, the deletion can be repeated from them.
    _delete_files([file for turn in turns for file in turn.recordings])
    conversation.delete()


def _delete_files(files: Iterable[FieldFile]) -> None:
    for file in files:
        file.storage.delete(str(file.name))


def read_question(*, owner: User, data: bytes) -> Recording:
    """Decode a question in any accepted format. Raises UserError (422) where it is silent, and AudioError."""
    recording = registry.decode(
        data, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS, asker=owner.pk
    )
    if is_silent(recording):
        raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]), status=422)
    return recording


def new_turn(
    *, conversation: Conversation, voice: VoiceProfile, text: str = "", recording: Recording | None = None
) -> PreparedTurn:
    """Prepare a turn for a typed question, or a spoken one; `run_turn` stores and answers it.

    A conversation that is not stored yet is stored now. Raises UserError where the owner has reached a limit, and
    ProviderError where an engine that it needs is down.
    """
    status = Turn.Status.HEARD if text else Turn.Status.RECEIVED
    _require_engines(voice, status)
    seconds = recording.seconds if recording else 0.0
    reservation = _reserve(conversation.owner_id, heard_seconds=seconds)
    if conversation._state.adding:
        conversation.save(force_insert=True)
    turn = Turn(owner_id=conversation.owner_id, conversation=conversation, voice=voice, transcript=text, status=status)
    return PreparedTurn(turn, reservation, recording)


def _require_engines(voice: VoiceProfile, status: Turn.Status) -> None:
    """Refuse a turn whose engines are down, before any stage is paid for. Raises ProviderError."""
    for stage in _STAGES_FROM[status]:
        registry.require_working(stage)
    registry.require_working("speak", provider=voice.provider)


def _reserve(owner_id: int, *, heard_seconds: float) -> Reservation:
    """Reserve what a turn may use; of its answer, only the greatest length is known."""
    return metering.reserve(owner_id=owner_id, heard_seconds=heard_seconds, characters=metering.longest_reply())


def voice_of(*, conversation: Conversation) -> VoiceProfile:
    """Return the voice that answers in `conversation`, if it can speak."""
    if conversation.voice is None:
        text = _("The voice of this conversation was deleted. Choose another one for it.")
        raise UserError("voice_not_found", text, status=409)
    require_ready(voice=conversation.voice)
    return conversation.voice


def prepare_retry(*, turn: Turn) -> PreparedTurn:
    """Prepare another attempt at a failed turn; `run_turn` then goes on from the stage that failed."""
    if turn.status in RUNNING and end_abandoned(turn=turn):
        turn.refresh_from_db()
    if turn.voice is None or not turn.voice.can_speak:
        turn.voice = voice_of(conversation=turn.conversation)
        turn.save(update_fields=["voice"])
    status = _status_before_failure(turn)
    _require_engines(turn.voice, status)
    seconds = 0.0 if turn.transcript else turn.question_seconds or 0.0
    reservation = _reserve(turn.owner_id, heard_seconds=seconds)
    claimed = Turn.objects.filter(pk=turn.pk, status=Turn.Status.FAILED).update(status=status, lease_until=new_lease())
    if not claimed:
        metering.release(reservation)
        raise UserError("turn_not_failed", _("Only a turn that failed can be tried again."), status=409)
    # With the rows that `run_turn` reads: it cannot wait for the database on the event loop.
    claimed_turn = Turn.objects.select_related("voice__consent", "conversation").get(pk=turn.pk)
    return PreparedTurn(claimed_turn, reservation)


def _status_before_failure(turn: Turn) -> Turn.Status:
    if not turn.transcript:
        return Turn.Status.RECEIVED
    return Turn.Status.ANSWERED if turn.failed_stage == Turn.Stage.SPEAK else Turn.Status.HEARD


def stop_turn(*, turn: Turn, heard_seconds: float | None = None) -> None:
    """Ask for the end of a running turn: it is interrupted within two seconds, in any process.

    An answer is made faster than it is heard: one that is over is interrupted all the same where no more than
    `heard_seconds` of it were heard.
    """
    Turn.objects.filter(pk=turn.pk, status__in=RUNNING).update(stop_requested=True)
    if heard_seconds is not None and heard_seconds < (turn.answer_seconds or 0):
        Turn.objects.filter(pk=turn.pk, status=Turn.Status.SPOKEN).update(
            status=Turn.Status.INTERRUPTED, spoken_text=_heard_text(turn, heard_seconds)
        )
    turn.refresh_from_db()


def _heard_text(turn: Turn, heard_seconds: float) -> str:
    """Return the part of the reply that is spoken in its first `heard_seconds`, to the word."""
    share = heard_seconds / (turn.answer_seconds or 1)
    return turn.reply[: round(share * len(turn.reply))].rpartition(" ")[0]


def answer(prepared: PreparedTurn) -> Turn:
    """Run a turn to its end and return it, done or failed."""

    async def run(engines: registry.Engines) -> None:
        async for _event in run_turn(prepared, engines):
            pass

    registry.call(run)
    return prepared.turn


def answer_mp3(*, turn: Turn) -> bytes:
    """Return the stored answer of a turn as MP3, b"" where the turn failed or nothing was spoken."""
    if turn.status == Turn.Status.FAILED or not turn.answer:
        return b""
    return answer_as_mp3(turn=turn)


def decode_turn_audio(file: FieldFile) -> Recording:
    """Return a stored question or answer, decoded."""
    with file.open("rb") as opened:
        return decode(opened.read(), sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
