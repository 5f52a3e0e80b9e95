"""Actions on conversations and turns, shared by the pages and the APIs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks import task

from apps.accounts.models import User
from apps.conversations import stopping
from apps.conversations.marking import STORED_MAX_SECONDS, STORED_SAMPLE_RATE, open_answer_mp3
from apps.conversations.models import (
    NOTHING_HEARD,
    RUNNING,
    SOUND_FIELDS,
    TURN_MESSAGES,
    UNFINISHED,
    Conversation,
    Turn,
)
from apps.conversations.pipeline.hearing import QUESTION_SAMPLE_RATE
from apps.conversations.pipeline.spoken_answer import heard_text
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.reconciling import end_abandoned
from apps.conversations.turn import run_turn
from apps.core.errors import RecordingMissingError, UserError
from apps.core.leases import new_lease
from apps.core.recordings import decode_stored, read
from apps.speech import availability, registry
from apps.speech.audio.speech_presence import has_speech
from apps.speech.base import LOCAL, Recording, Stage
from apps.speech.configs import embedded_load
from apps.speech.normalization.spoken_form import spoken_form
from apps.usage import metering
from apps.usage.metering import Reservation
from apps.voices.models import VoiceProfile
from apps.voices.services import require_ready

logger = logging.getLogger(__name__)

MAX_TEXT_CHARACTERS = 2000
MAX_PINNED = 20
# A request deletes as many files of a conversation, within a third of a second; the worker deletes the others.
FILES_AT_ONCE = 100
FILES_PER_TASK = 500
# A turn that is to stop is stored within this time, unless its process was killed.
STOPPED_WITHIN_SECONDS = 2
# The stages before speaking that a turn of each status still needs.
_STAGES_FROM: dict[Turn.Status, tuple[Stage, ...]] = {
    Turn.Status.RECEIVED: ("hear", "think"),
    Turn.Status.HEARD: ("think",),
    Turn.Status.ANSWERED: (),
}
# Why the smallest embedded model answers, though the operator did not ask for it.
_SMALL_MODEL_NOTES = {
    "low_memory": gettext_lazy("The smallest model answers: this machine has too little free memory for a better one."),
    "low_disk": gettext_lazy("The smallest model answers: the disk of this machine is too full for a better one."),
    "too_slow": gettext_lazy("The smallest model answers: this machine is too slow for a better one."),
    "not_downloaded": gettext_lazy("The smallest model answers: the better one is not downloaded yet."),
}


def start_conversation(*, owner: User, voice: VoiceProfile, **choices: str) -> Conversation:
    """Create a conversation in which `voice`, one of the owner's, answers; `choices` as in `change_conversation`."""
    return Conversation.objects.create(owner=owner, voice=voice, **choices)


def chat_models() -> list[str]:
    """Return the names of the language models to choose from, the site's default first."""
    default = availability.model_of(settings.LANGUAGE_MODEL, "think")
    if settings.LANGUAGE_MODEL == LOCAL:
        return [default]
    return list(dict.fromkeys([default, *settings.CHAT_MODELS]))


def chat_model_note() -> str:
    """Return a sentence about the embedded language model if people have to expect less of it, or else ""."""
    if settings.LANGUAGE_MODEL != LOCAL:
        return ""
    choice = availability.local_chat_choice()
    if choice.is_slow:
        return _("This model writes more slowly on this machine than a voice speaks.")
    return str(_SMALL_MODEL_NOTES.get(choice.reason, ""))


def voice_note() -> str:
    """Return a sentence about the embedded voice if answers have pauses because of it, or else ""."""
    if embedded_load() <= 1:
        return ""
    return _("This machine makes speech more slowly than it is heard, so there are pauses in answers.")


def change_conversation(*, conversation: Conversation, **changes: Any) -> None:
    """Change the title, the persona, the voice, the language or the model."""
    for name, value in changes.items():
        setattr(conversation, name, value)
    conversation.save(update_fields=[*changes, "updated_at"])


def pin_conversation(*, conversation: Conversation, pinned: bool) -> None:
    """Pin the conversation, or no longer. Raises UserError (409) if the owner has pinned MAX_PINNED others."""
    if pinned == conversation.pinned:
        return
    if pinned and Conversation.objects.for_user(conversation.owner).pinned().count() >= MAX_PINNED:
        text = _("At most %(count)d conversations can be pinned. Unpin one of them first.")
        raise UserError("too_many_pinned", text % {"count": MAX_PINNED}, status=409)
    conversation.pinned_at = timezone.now() if pinned else None
    conversation.save(update_fields=["pinned_at"])


def delete_conversation(*, conversation: Conversation) -> None:
    """Delete the conversation with its turns at once, and their recordings: those of a long one in the background."""
    delete_conversations(owner=conversation.owner, conversations=[conversation])


def delete_conversations(*, owner: User, conversations: Sequence[Conversation]) -> None:
    """Delete conversations of the owner as `delete_conversation` does."""
    turns = Turn.objects.for_user(owner).filter(conversation__in=conversations)
    names = [name for row in turns.values_list(*SOUND_FIELDS) for name in row if name]
    deleted = [str(conversation.pk) for conversation in conversations]
    # Delete the rows last, so that an interrupted deletion can be repeated.
    delete_files(names[:FILES_AT_ONCE])
    with transaction.atomic():
        for start in range(FILES_AT_ONCE, len(names), FILES_PER_TASK):
            delete_recordings.enqueue(names[start : start + FILES_PER_TASK])
        Conversation.objects.for_user(owner).filter(pk__in=deleted).delete()
    for pk in deleted:
        logger.info("Conversation deleted", extra={"conversation": pk, "user": owner.pk})


@task(queue_name="urgent")
def delete_recordings(names: list[str]) -> None:
    """Delete files whose rows are gone. A file that is missing was deleted by an earlier try."""
    delete_files(names)


def delete_files(names: Iterable[str]) -> None:
    for name in names:
        default_storage.delete(name)


def read_question(*, owner: User, data: bytes) -> Recording:
    """Decode a question in any accepted format.

    Raises UserError (422) if nobody speaks, AudioError, and ProviderError if an engine that would answer it is down.
    """
    for stage in _STAGES_FROM[Turn.Status.RECEIVED]:
        availability.require_working(stage)
    recording = registry.decode(
        data, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS, user_id=owner.pk
    )
    if not has_speech(recording):
        raise UserError(NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]), status=422)
    return recording


def new_turn(
    *, conversation: Conversation, voice: VoiceProfile, text: str = "", recording: Recording | None = None
) -> PreparedTurn:
    """Prepare a turn for a typed question, or a spoken one; `run_turn` stores and answers it.

    A conversation that is not stored yet is stored now. Raises UserError if the owner has reached a limit, and
    ProviderError if an engine that the turn needs is down.
    """
    status = Turn.Status.HEARD if text else Turn.Status.RECEIVED
    require_engines(voice, status)
    seconds = recording.seconds if recording else 0.0
    reservation = _reserve(conversation.owner_id, heard_seconds=seconds)
    if conversation._state.adding:
        conversation.save(force_insert=True)
    turn = Turn(owner_id=conversation.owner_id, conversation=conversation, voice=voice, transcript=text, status=status)
    return PreparedTurn(turn, reservation, recording)


def require_engines(voice: VoiceProfile, status: Turn.Status) -> None:
    """Refuse a turn whose engines are down, before any stage is paid for. Raises ProviderError."""
    for stage in _STAGES_FROM[status]:
        availability.require_working(stage)
    availability.require_working("speak", provider=voice.provider)


def _reserve(owner_id: int, *, heard_seconds: float) -> Reservation:
    """Reserve the most that a turn can use; only the maximum length of its answer is known."""
    return metering.reserve(owner_id=owner_id, heard_seconds=heard_seconds, characters=metering.longest_reply())


def voice_of(*, conversation: Conversation) -> VoiceProfile:
    """Return the voice that answers in `conversation`. Raises UserError if it was deleted or cannot speak."""
    if conversation.voice is None:
        text = _("The voice of this conversation was deleted. Choose another one for it.")
        raise UserError("voice_not_found", text, status=409)
    require_ready(voice=conversation.voice)
    return conversation.voice


def prepare_retry(*, turn: Turn) -> PreparedTurn:
    """Prepare another attempt at a turn that failed or was interrupted; `run_turn` resumes at the stage that ended.

    Raises UserError (409) if the turn is complete, runs or was asked again, or its conversation has no voice, and as
    `new_turn` does.
    """
    if turn.status in RUNNING and end_abandoned(turn=turn):
        turn.refresh_from_db()
    if turn.replaced_by_id is not None:
        raise _turn_replaced()
    if turn.voice is None or not turn.voice.can_speak:
        turn.voice = voice_of(conversation=turn.conversation)
        turn.save(update_fields=["voice"])
    status = _status_before_failure(turn)
    require_engines(turn.voice, status)
    seconds = 0.0 if turn.transcript else turn.question_seconds or 0.0
    reservation = _reserve(turn.owner_id, heard_seconds=seconds)
    # A reply that is not whole is written anew, and what was heard of it does not count.
    forgotten = {} if status == Turn.Status.ANSWERED else {"spoken_text": "", "heard_seconds": None}
    unfinished = Turn.objects.filter(pk=turn.pk, status__in=UNFINISHED, replaced_by=None)
    if not unfinished.update(status=status, lease_until=new_lease(), stop_requested=False, **forgotten):
        metering.release(reservation)
        text = _("Only a turn that failed or was interrupted can go on.")
        raise UserError("turn_not_failed", text, status=409)
    # Load the rows that `run_turn` reads now: it cannot wait for the database on the event loop.
    claimed_turn = Turn.objects.select_related("voice__consent", "conversation").get(pk=turn.pk)
    return PreparedTurn(claimed_turn, reservation)


def _status_before_failure(turn: Turn) -> Turn.Status:
    if not turn.transcript:
        return Turn.Status.RECEIVED
    return Turn.Status.ANSWERED if turn.failed_stage == Turn.Stage.SPEAK else Turn.Status.HEARD


def complete_heard(*, turn: Turn) -> bool:
    """Count an interrupted turn as spoken, if its answer is stored whole. Return whether it is."""
    whole = Turn.objects.filter(pk=turn.pk, status=Turn.Status.INTERRUPTED, failed_stage="", replaced_by=None)
    is_whole = bool(whole.exclude(answer="").update(status=Turn.Status.SPOKEN, spoken_text="", heard_seconds=None))
    if is_whole:
        turn.refresh_from_db()
    return is_whole


def _turn_replaced() -> UserError:
    return UserError("turn_replaced", _("This was asked again already. Reload the page to see it."), status=409)


def ask_again(*, turn: Turn, text: str = "") -> PreparedTurn:
    """Prepare a new turn with the question of a turn that is over, or with `text` in its place; `run_turn` answers it.

    The old turn and those after it are kept as an earlier version, which is not remembered. Raises UserError (409) if
    the turn runs or was asked again already, RecordingMissingError, and as `new_turn` does.
    """
    if turn.status in RUNNING and not end_abandoned(turn=turn):
        raise UserError("turn_running", _("This turn still runs. Stop it, or wait for its end."), status=409)
    if turn.replaced_by_id is not None:
        raise _turn_replaced()
    voice = voice_of(conversation=turn.conversation)
    again = Turn(
        owner_id=turn.owner_id,
        conversation=turn.conversation,
        voice=voice,
        transcript=text or turn.transcript,
        language="" if text else turn.language,
    )
    again.status = Turn.Status.HEARD if again.transcript else Turn.Status.RECEIVED
    require_engines(voice, again.status)
    reservation = _reserve(turn.owner_id, heard_seconds=0.0 if again.transcript else turn.question_seconds or 0.0)
    try:
        if turn.question and not text:
            _copy_question(turn, again)
        with transaction.atomic():
            again.save(force_insert=True)
            _replace(turn, again)
    except BaseException:
        metering.release(reservation)
        delete_files(str(file.name) for file in again.recordings)
        raise
    return PreparedTurn(again, reservation)


def _copy_question(turn: Turn, again: Turn) -> None:
    """Give the new turn a recording of its own. Without one, words that are known are enough."""
    try:
        again.question = ContentFile(read(turn.question), name="question.flac")
    except RecordingMissingError:
        if not turn.transcript:
            raise
    else:
        again.question_seconds = turn.question_seconds


def _replace(turn: Turn, again: Turn) -> None:
    """Let `again` take the place of a turn and of those after it. Raises UserError if another one has done so."""
    current = Turn.objects.filter(conversation=turn.conversation, replaced_by=None).exclude(pk=again.pk)
    if not current.filter(pk=turn.pk).update(replaced_by=again):
        raise _turn_replaced()
    current.filter(created_at__gte=turn.created_at).update(replaced_by=again)


def stop_turn(*, turn: Turn, heard_seconds: float | None = None) -> None:
    """Request the end of a running turn. Its process interrupts it: this one at once, another one within two seconds.

    An answer is synthesized faster than it is heard: a turn that is already spoken becomes interrupted, too, if
    `heard_seconds` is less than the length of its answer.
    """
    running = Turn.objects.filter(pk=turn.pk, status__in=RUNNING)
    if running.update(stop_requested=True, heard_seconds=heard_seconds):
        stopping.interrupt(turn.pk)
        _wait_for_end(running)
    turn.refresh_from_db()
    if heard_seconds is not None and heard_seconds < (turn.answer_seconds or 0):
        Turn.objects.filter(pk=turn.pk, status=Turn.Status.SPOKEN).update(
            status=Turn.Status.INTERRUPTED, spoken_text=_heard_text(turn, heard_seconds), heard_seconds=heard_seconds
        )
        turn.refresh_from_db()


def _wait_for_end(running: QuerySet[Turn]) -> None:
    """Wait until an interrupted turn is stored: the next one remembers what was heard of it."""
    end = time.monotonic() + STOPPED_WITHIN_SECONDS
    while running.exists() and time.monotonic() < end:
        time.sleep(0.03)


def mark_heard(*, turn: Turn, text: str, seconds: float) -> None:
    """Note that of the reply of a turn that is over, only `text` was heard, and of its sound `seconds`."""
    ended = Turn.objects.filter(pk=turn.pk, status__in=(Turn.Status.SPOKEN, Turn.Status.INTERRUPTED))
    ended.update(status=Turn.Status.INTERRUPTED, spoken_text=text)
    ended.filter(failed_stage__in=("", Turn.Stage.SPEAK)).update(heard_seconds=seconds)


def _heard_text(turn: Turn, heard_seconds: float) -> str:
    """Return the part of the reply that is spoken in the first `heard_seconds`, cut at a word."""
    share = heard_seconds / (turn.answer_seconds or 1)
    provider = turn.voice.provider if turn.voice else ""
    spoken = spoken_form(turn.reply, provider=provider, language=turn.conversation.language or turn.language)
    return heard_text(turn.reply, spoken, share)


def answer(prepared: PreparedTurn) -> Turn:
    """Run a turn to its end and return it, done or failed."""

    async def run(engines: registry.Engines) -> None:
        async for _event in run_turn(prepared, engines):
            pass

    registry.call(run)
    return prepared.turn


def answer_mp3(*, turn: Turn) -> File[bytes] | None:
    """Open the stored answer of a turn as MP3, to be closed; None if the turn failed or nothing was spoken."""
    if turn.status == Turn.Status.FAILED or not turn.answer:
        return None
    return open_answer_mp3(turn=turn)


def decode_turn_audio(file: FieldFile) -> Recording:
    """Decode a stored question or answer. Raises RecordingMissingError."""
    return decode_stored(file, sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
