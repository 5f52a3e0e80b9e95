"""Compares voices with the lists of their providers, and keeps which ones are missing there."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.utils import timezone

from apps.speech import registry
from apps.speech.base import ProviderError, ProviderVoice
from apps.voices.models import VoiceProfile, VoiceTag, tag_in

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Checked:
    """The result of a check.

    `without_id` have no voice at their provider yet, or no longer. `unanswered` has the message of each provider that
    could not be asked. `strays` counts voices that this site made at these providers, and that no row here has.
    """

    present: list[VoiceProfile] = field(default_factory=list)
    missing: list[VoiceProfile] = field(default_factory=list)
    without_id: list[VoiceProfile] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)
    strays: int = 0


def check_at_provider(*, voices: Collection[VoiceProfile]) -> Checked:
    """Look for the voices in the lists of their providers, each of which is asked once, and store what was found."""
    checked = Checked(without_id=[voice for voice in voices if not voice.voice_id])
    for provider, mine in _by_provider(voices).items():
        try:
            listed = registry.call(partial(_list, provider=provider))
        except ProviderError as error:
            logger.info("Voices could not be checked", extra={"provider": provider, "code": error.code})
            checked.unanswered[provider] = error.message
            continue
        there = {found.voice_id for found in listed}
        checked.present += [voice for voice in mine if voice.voice_id in there]
        checked.missing += [voice for voice in mine if voice.voice_id not in there]
        checked.strays += _strays(provider, listed)
    _store(checked.present, is_missing=False)
    _store(checked.missing, is_missing=True)
    return checked


async def _list(engines: registry.Engines, *, provider: str) -> list[ProviderVoice]:
    return await engines.voice_cloner(provider).list()


def _by_provider(voices: Collection[VoiceProfile]) -> dict[str, list[VoiceProfile]]:
    found: dict[str, list[VoiceProfile]] = defaultdict(list)
    for voice in voices:
        if voice.voice_id:
            found[voice.provider].append(voice)
    return found


def _strays(provider: str, listed: list[ProviderVoice]) -> int:
    """Count the listed voices that were made here, as their tags show, and that no row has."""
    rows = set(VoiceProfile.objects.filter(provider=provider).values_list("voice_id", flat=True))
    tags: set[UUID] = {tag for found in listed if found.voice_id not in rows and (tag := tag_in(found.name))}
    return VoiceTag.objects.filter(provider=provider, pk__in=tags).count()


def _store(voices: list[VoiceProfile], *, is_missing: bool) -> None:
    rows = VoiceProfile.objects.filter(pk__in=[voice.pk for voice in voices])
    rows.update(checked_at=timezone.now(), is_missing=is_missing)
