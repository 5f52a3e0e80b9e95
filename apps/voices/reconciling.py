"""Voices whose process was killed while it had them cloned or deleted, and voices at the provider that nobody has."""

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
from apps.voices.models import VoiceProfile, VoiceTag, tag_in
from apps.voices.services import UNVERIFIED, fail_cloning, take_voice

logger = logging.getLogger(__name__)

Status = VoiceProfile.Status


def repairs() -> Iterator[Repair]:
    for voice in VoiceProfile.objects.filter(has_expired(), status=Status.DELETING):
        yield Repair(f"Voice {voice.pk}", "delete it", partial(_delete, voice))
    taken = set[UUID]()
    for provider, found, row in _voices_without_row():
        subject = f"Voice {found.voice_id} at {provider}"
        if row is None or row.pk in taken or not _is_wanted(row):
            yield Repair(subject, "delete it, since no voice here is it", partial(_discard, provider, found.voice_id))
        elif row.status == Status.FAILED or row.lease_until < timezone.now():
            taken.add(row.pk)
            if found.needs_verification:
                action = f"delete it, since it may not speak for voice {row.pk}"
                yield Repair(subject, action, partial(_refuse, row, found.voice_id))
            else:
                yield Repair(subject, f"take it for voice {row.pk}", partial(_take, row, found.voice_id))
    for voice in VoiceProfile.objects.filter(has_expired(), status=Status.PENDING).exclude(pk__in=taken):
        yield Repair(f"Voice {voice.pk}", "end its cloning as failed, to be tried again", partial(_fail, voice))


def _voices_without_row() -> Iterator[tuple[str, ProviderVoice, VoiceProfile | None]]:
    """Yield the voices at each provider that were made here and are no row's, with the row they were made for."""
    for provider in VoiceTag.objects.order_by("provider").values_list("provider", flat=True).distinct():
        listed = _listed_at(provider)
        # Rows are read after the list: who has a voice made stores its row first.
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


def _is_wanted(voice: VoiceProfile) -> bool:
    """Return whether the row still waits for its voice."""
    if voice.status == Status.FAILED:
        return voice.error_code != UNVERIFIED
    return voice.status == Status.PENDING


def _delete(voice: VoiceProfile) -> bool:
    begun = VoiceProfile.objects.filter(has_expired(), pk=voice.pk, status=Status.DELETING)
    if not begun.update(lease_until=new_lease()):
        return False
    delete_voice(voice=voice)
    return True


@transaction.atomic
def _take(voice: VoiceProfile, voice_id: str) -> bool:
    was_pending = voice.status == Status.PENDING
    taken = take_voice(voice=voice, voice_id=voice_id)
    if taken and was_pending:
        _settle(voice)
    return taken


def _refuse(voice: VoiceProfile, voice_id: str) -> bool:
    """Delete a voice that its provider does not let speak, and say so in the row that it was made for."""
    if not _fail(voice, UNVERIFIED):
        VoiceProfile.objects.filter(pk=voice.pk, status=Status.FAILED).update(error_code=UNVERIFIED)
    return _discard(voice.provider, voice_id)


def _discard(provider: str, voice_id: str) -> bool:
    if VoiceProfile.objects.filter(provider=provider, voice_id=voice_id).exists():  # It was taken since it was listed.
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
    """Record the use of a process that could not do so; it no longer runs."""
    day = (voice.lease_until - ROW_LEASE).astimezone(UTC).date()
    reservation = metering.Reservation(voice.owner_id, day, is_counted=settings.LIMITS)
    metering.settle(reservation, kind=UsageRecord.Kind.CLONE, used=metering.Used(reference=voice.pk))
