"""Repairs voices whose process was killed during cloning or deletion, and abandoned voices at the provider."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.core.leases import ROW_LEASE, SERVER_STOPPED, has_expired, new_lease
from apps.core.repairs import Repair
from apps.speech import registry
from apps.speech.base import ProviderError, ProviderVoice
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices.deletion import delete_voice, discard_at_provider
from apps.voices.models import VoiceProfile, VoiceTag, is_made_here, tag_in
from apps.voices.services import UNVERIFIED, complete_cloning, fail_cloning

logger = logging.getLogger(__name__)

Status = VoiceProfile.Status


def repairs() -> Iterator[Repair]:
    for voice in VoiceProfile.objects.filter(has_expired(), status=Status.DELETING):
        yield Repair(f"Voice {voice.pk}", "delete it", partial(_delete, voice))
    assigned = set[UUID]()
    for provider, found, row in voices_without_row():
        subject = f"Voice {found.voice_id} at {provider}"
        if row is None or row.pk in assigned or not _is_waiting(row):
            yield Repair(
                subject, "delete it, since no voice here needs it", partial(_discard, provider, found.voice_id)
            )
        elif row.status == Status.FAILED or row.lease_until < timezone.now():
            assigned.add(row.pk)
            if found.needs_verification:
                action = f"delete it, since its provider does not let it speak for voice {row.pk}"
                yield Repair(subject, action, partial(_refuse, row, found.voice_id))
            else:
                yield Repair(subject, f"use it for voice {row.pk}", partial(_complete, row, found.voice_id))
    for voice in VoiceProfile.objects.filter(has_expired(), status=Status.PENDING).exclude(pk__in=assigned):
        yield Repair(f"Voice {voice.pk}", "mark its cloning as failed, to be tried again", partial(_fail, voice))


def unknown_voices() -> Iterator[Repair]:
    """Yield the deletion of each voice that this installation made and its database has lost, with the voice's tag."""
    for provider in VoiceProfile.Provider.values:
        listed = _listed_at(provider)
        # Read the tags after the list, because a tag is stored before its voice is made.
        known = set(VoiceTag.objects.values_list("pk", flat=True))
        for found in listed:
            tag = tag_in(found.name)
            if tag and tag not in known and is_made_here(tag):
                subject = f"Voice {found.voice_id} at {provider}"
                yield Repair(
                    subject, "delete it, since this database has lost it", partial(_discard, provider, found.voice_id)
                )


def voices_without_row() -> Iterator[tuple[str, ProviderVoice, VoiceProfile | None]]:
    """Yield (provider, voice, row): each voice made here that no row has, and the row it was made for, or None."""
    for provider in VoiceTag.objects.order_by("provider").values_list("provider", flat=True).distinct():
        listed = _listed_at(provider)
        # Read the rows after the list, because a row is stored before its voice is made.
        known = set(VoiceProfile.objects.filter(provider=provider).values_list("voice_id", flat=True))
        for found in listed:
            tag = tag_in(found.name)
            if tag and found.voice_id not in known and VoiceTag.objects.filter(pk=tag, provider=provider).exists():
                yield provider, found, VoiceProfile.objects.filter(pk=tag).first()


def _listed_at(provider: str) -> list[ProviderVoice]:
    try:
        return registry.call(lambda engines: engines.voice_cloner(provider).list())
    except ProviderError as error:
        logger.info("The voices at a provider cannot be listed", extra={"provider": provider, "code": error.code})
        return []


def _is_waiting(voice: VoiceProfile) -> bool:
    """Return whether the row still waits for a voice at the provider."""
    if voice.status == Status.FAILED:
        return voice.error_code != UNVERIFIED
    return voice.status == Status.PENDING


def _delete(voice: VoiceProfile) -> bool:
    abandoned = VoiceProfile.objects.filter(has_expired(), pk=voice.pk, status=Status.DELETING)
    if not abandoned.update(lease_until=new_lease()):
        return False
    delete_voice(voice=voice)
    return True


@transaction.atomic
def _complete(voice: VoiceProfile, voice_id: str) -> bool:
    was_pending = voice.status == Status.PENDING
    completed = complete_cloning(voice=voice, voice_id=voice_id)
    if completed and was_pending:
        _settle(voice)
    return completed


def _refuse(voice: VoiceProfile, voice_id: str) -> bool:
    """Delete a voice that its provider does not let speak, and store the reason in the row that it was made for."""
    if not _fail(voice, UNVERIFIED):
        VoiceProfile.objects.filter(pk=voice.pk, status=Status.FAILED).update(error_code=UNVERIFIED)
    return _discard(voice.provider, voice_id)


def _discard(provider: str, voice_id: str) -> bool:
    if VoiceProfile.objects.filter(provider=provider, voice_id=voice_id).exists():  # A row got it after the listing.
        return False
    discard_at_provider(provider, voice_id)
    return True


@transaction.atomic
def _fail(voice: VoiceProfile, error_code: str = SERVER_STOPPED) -> bool:
    if not fail_cloning(voice=voice, error_code=error_code, when=has_expired()):
        return False
    _settle(voice)
    return True


def _settle(voice: VoiceProfile) -> None:
    """Record the usage of the killed process, and release its reservation."""
    day = (voice.lease_until - ROW_LEASE).astimezone(UTC).date()
    reservation = metering.Reservation(voice.owner_id, day, is_counted=settings.LIMITS)
    metering.settle(reservation, kind=UsageRecord.Kind.CLONE, used=metering.Used(reference=voice.pk))
