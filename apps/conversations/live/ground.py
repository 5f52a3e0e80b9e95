"""What a live session reads from and stores in the database. Everything here blocks: call it in a thread."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.conversations import services
from apps.conversations.live.access import Caller, is_still_valid
from apps.conversations.models import LISTENER_LEFT, Conversation, Turn
from apps.conversations.openai_base import STOCK_VOICES
from apps.conversations.pipeline.state import PreparedTurn
from apps.conversations.pipeline.thinking import remembered_turns
from apps.core.errors import UserError
from apps.speech import availability
from apps.speech.audio.flac import to_flac
from apps.speech.base import Recording
from apps.usage import metering
from apps.usage.metering import Reservation, Used
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile
from apps.voices.services import default_voice, named_voice
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)


class CallerLeftError(UserError):
    """The caller may no longer use the socket."""


@dataclass(frozen=True, slots=True)
class OpenedQuestion:
    """A question that may be answered: `voice` can speak, and `reservation` is within the limits of its owner.

    `earlier` are the turns that its answer remembers, as of its beginning.
    """

    reservation: Reservation
    voice: VoiceProfile
    earlier: list[Turn]


def open_conversation(caller: Caller, *, voice_name: str, conversation_id: str, model: str) -> Conversation:
    """Return the conversation with this id, or a new one that its first turn stores. Raises UserError.

    Without `voice_name` the voice of the conversation speaks, or else the caller's default voice.
    """
    owner = caller.user
    if not conversation_id:
        voice = _voice_of_address(owner, voice_name) if voice_name else default_voice(owner=owner)
        chosen = model if model in services.chat_models()[1:] else ""
        return Conversation(owner=owner, voice=voice, model=chosen)
    conversation = _own_conversation(owner, conversation_id)
    if voice_name:
        conversation.voice = _voice_of_address(owner, voice_name)
    else:
        services.voice_of(conversation=conversation)
    return conversation


def _voice_of_address(owner: User, name: str) -> VoiceProfile:
    return named_voice(owner=owner, name=name, default_names=STOCK_VOICES)


def _own_conversation(owner: User, conversation_id: str) -> Conversation:
    conversations = Conversation.objects.for_user(owner).select_related("voice__consent")
    try:
        return conversations.get(pk=UUID(conversation_id))
    except (ValueError, Conversation.DoesNotExist):
        raise UserError("conversation_not_found", _("You have no such conversation."), status=404) from None


def open_question(caller: Caller, conversation: Conversation, *, is_spoken: bool) -> OpenedQuestion:
    """Check that a question may be asked now, and reserve what it can use. Raises UserError and ProviderError."""
    if not is_still_valid(caller):
        raise CallerLeftError("authentication_failed", _("This session has ended. Sign in again."), status=401)
    voice = named_voice(owner=caller.user, name=str(conversation.voice_id))
    if is_spoken:
        availability.require_live_hearing()
    services.require_engines(voice, Turn.Status.HEARD)
    reservation = metering.reserve(
        owner_id=caller.user.pk,
        heard_seconds=settings.MAX_QUESTION_SECONDS if is_spoken else 0,
        characters=metering.longest_reply(),
    )
    if conversation._state.adding:
        conversation.save(force_insert=True)
    return OpenedQuestion(reservation, voice, remembered_turns(conversation.pk, before=timezone.now()))


def prepare_retry(caller: Caller, conversation: Conversation, turn_id: str) -> PreparedTurn:
    """Prepare another attempt at a turn of this conversation. Raises UserError and ProviderError."""
    turns = Turn.objects.for_user(caller.user).filter(conversation=conversation.pk)
    try:
        turn = turns.select_related("voice__consent", "conversation__voice__consent").get(pk=UUID(turn_id))
    except (ValueError, Turn.DoesNotExist):
        raise UserError("turn_not_found", _("This conversation has no such turn."), status=404) from None
    return services.prepare_retry(turn=turn)


def voice_named(caller: Caller, name: str, *, current: VoiceProfile | None) -> VoiceProfile:
    """Return a voice of the caller's that can speak. Unless one is called so, OpenAI's voices are the current one.

    Raises UserError.
    """
    try:
        return named_voice(owner=caller.user, name=name)
    except UserError:
        if current is None or name.casefold() not in STOCK_VOICES:
            raise
        return current


def keep_question(turn: Turn, recording: Recording | None, reservation: Reservation, used: Used) -> None:
    """Store a question whose asker left before it was answered: another attempt answers it."""
    turn.failed_stage = Turn.Stage.THINK if turn.transcript else Turn.Stage.HEAR
    turn.status, turn.error_code = Turn.Status.FAILED, LISTENER_LEFT
    if recording is not None:
        turn.question = ContentFile(to_flac(recording), name="question.flac")
        turn.question_seconds = recording.seconds
    try:
        turn.save(force_insert=True)
    except OSError:  # The words matter more than the recording.
        logger.exception("The recording of a question could not be stored")
        turn.question = ""
        turn.save(force_insert=True)
    used.reference = turn.pk
    metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=used)
    data = {"turn_id": turn.pk, "conversation_id": turn.conversation_id, "status": turn.status}
    webhooks.notify(owner_id=turn.owner_id, event=WebhookEvent.TURN_DONE, data=data)


def settle(reservation: Reservation, used: Used) -> None:
    """Settle a question that did not become a turn."""
    if used == Used():
        metering.release(reservation)
    else:
        metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=used)


def forget_empty(conversation: Conversation) -> None:
    """Delete the conversation of a session in which nothing was asked in the end."""
    if not conversation._state.adding:
        Conversation.objects.filter(pk=conversation.pk, turns__isnull=True).delete()


def delete_turn(turn: Turn) -> None:
    """Delete a turn whose question went on, with its recordings: the new turn has all of it."""
    stored = Turn.objects.for_user(turn.owner).filter(pk=turn.pk).first()
    if stored is not None:
        services.delete_files(str(file.name) for file in stored.recordings)
        stored.delete()
