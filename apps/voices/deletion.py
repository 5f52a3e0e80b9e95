"""Deletes voices here and at their provider, with retries."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django_tasks import task

from apps.accounts.models import User
from apps.core import leases
from apps.speech import registry
from apps.speech.base import ProviderError
from apps.voices.models import VoiceProfile

logger = logging.getLogger(__name__)

DELETION_RETRY_DELAYS = [
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
]
# Later tries come after all first ones: what a provider refuses again and again makes nobody else wait.
RETRY_PRIORITY = -100


def delete_voice(*, voice: VoiceProfile) -> None:
    """Delete the voice here and at its provider.

    The voice cannot speak from the start of the deletion. If the provider fails, the status stays "being deleted"
    until a later call succeeds. Raises ProviderError.
    """
    row = VoiceProfile.objects.filter(pk=voice.pk)
    row.update(status=VoiceProfile.Status.DELETING, is_default=False, error_code="", lease_until=leases.new_lease())
    # Read it only now: cloning may have ended since `voice` was read.
    voice_id = row.values_list("voice_id", flat=True).first()
    if voice_id:
        try:
            discard_at_provider(voice.provider, voice_id)
        except ProviderError as error:
            row.update(error_code=error.code)
            raise
    # Delete the row last: if the process is killed, the row still leads to everything that is left.
    for sample in voice.samples.all():
        sample.file.storage.delete(str(sample.file.name))
    if row.filter(voice_id=voice_id or "").delete()[0]:
        logger.info("Voice deleted", extra={"voice": str(voice.pk), "user": voice.owner_id})
    if row.exists():  # Cloning ended after `voice_id` was read, and stored an id.
        delete_voice(voice=voice)


def discard_at_provider(provider: str, voice_id: str) -> None:
    """Delete a voice at its provider; a missing voice counts as deleted."""
    registry.call(lambda engines: engines.voice_cloner(provider).delete(voice_id))


def delete_voices(*, voices: Collection[VoiceProfile], by: User) -> None:
    """Let the queue delete voices here and at their providers, with retries. They can no longer speak from now on."""
    pks = [voice.pk for voice in voices]
    with transaction.atomic():
        rows = VoiceProfile.objects.filter(pk__in=pks)
        rows.update(status=VoiceProfile.Status.DELETING, is_default=False, error_code="")
        enqueue_deletions(pks)
    for voice in voices:
        extra = {"voice": str(voice.pk), "user": voice.owner_id, "by": by.pk}
        logger.warning("Voice deleted by an administrator", extra=extra)


def enqueue_deletions(voice_pks: Iterable[UUID]) -> None:
    """Queue the deletion of a person's voices. Everybody's first voice comes before anybody's second one."""
    for number, voice_pk in enumerate(voice_pks):
        finish_deletion.using(priority=max(-number, RETRY_PRIORITY + 1)).enqueue(str(voice_pk))


@task(queue_name="urgent")
def finish_deletion(voice_pk: str, tries: int = 0) -> None:
    """Delete a voice that is being deleted, here and at its provider; schedule another try if the provider fails.

    Tries go on until one succeeds, in the end every six hours. Until then the voice is shown as "being deleted".
    """
    voice = VoiceProfile.objects.filter(pk=voice_pk, status=VoiceProfile.Status.DELETING).first()
    if voice is None:
        return
    try:
        delete_voice(voice=voice)
    except ProviderError as error:
        logger.warning("A voice could not be deleted", extra={"voice": voice_pk, "code": error.code, "tries": tries})
        later = finish_deletion.using(run_after=_next_try(tries), priority=RETRY_PRIORITY)
        later.enqueue(voice_pk, tries + 1)


@task(queue_name="urgent")
def finish_discarding(provider: str, voice_id: str, tries: int = 0) -> None:
    """Delete a provider's voice whose row is already deleted; schedule another try if the provider fails."""
    try:
        discard_at_provider(provider, voice_id)
    except ProviderError as error:
        logger.warning("A voice could not be discarded", extra={"code": error.code, "tries": tries})
        later = finish_discarding.using(run_after=_next_try(tries), priority=RETRY_PRIORITY)
        later.enqueue(provider, voice_id, tries + 1)


def _next_try(tries: int) -> datetime:
    return timezone.now() + DELETION_RETRY_DELAYS[min(tries, len(DELETION_RETRY_DELAYS) - 1)]
