"""Actions on voices: cloning, changing, previewing and suspending."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import leases
from apps.core.errors import UserError
from apps.speech import availability, registry, signer
from apps.speech.audio.flac import to_flac
from apps.speech.base import SERVER, ProviderError, Recording, SpokenConsent, VoiceCloner, VoiceSettings
from apps.speech.normalization.spoken_form import spoken_form
from apps.speech.provenance.marks import Origin
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices.consent import refusal_of_cloning, require_consent, require_valid
from apps.voices.deletion import finish_deletion, finish_discarding
from apps.voices.models import Consent, VoiceProfile, VoiceSample, VoiceTag, tag_in
from apps.voices.samples import CheckedSample, check_samples
from apps.voices.speakers import clip_of, require_same_speaker, sample_recordings
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

PREVIEW_MAX_CHARACTERS = 300
UNVERIFIED = "provider_voice_unverified"
ANY_ROW = Q()

SettingChanges: TypeAlias = dict[str, float | None]
"""New values by the name of the setting; None is the engine's default."""


def clone_voice(
    *,
    owner: User,
    name: str,
    files: Sequence[bytes],
    consent: Consent | None = None,
    note: Callable[[UUID], None] = lambda _pk: None,
) -> VoiceProfile:
    """Clone a voice from `files`, each a recording in any accepted format, and return it with the status ready.

    All recordings must be of the speaker of `consent`, by default the owner's latest. The row and the samples are
    stored before the provider is called: if it fails, the voice is kept as failed, and `retry_cloning` can continue.
    If the consent is withdrawn or the account deleted meanwhile, nothing is kept, here and at the provider. `note` gets
    the id of the row, in the same transaction. Raises UserError, AudioError and ProviderError.
    """
    consent = consent or require_consent(owner=owner)
    require_valid(consent=consent)
    availability.require_working("clone")
    samples = check_samples(files, user_id=owner.pk)
    recordings = [sample.recording for sample in samples]
    with metering.metered(owner_id=owner.pk, kind=UsageRecord.Kind.CLONE) as used:
        similarities = require_same_speaker(consent, recordings)
        spoken = _spoken_consent(consent, settings.TEXT_TO_SPEECH)
        # Encoded before the transaction, which holds the only write lock of SQLite.
        rows = [_new_sample(*each) for each in zip(samples, similarities, strict=True)]
        with transaction.atomic():
            _require_allowed(owner.pk, consent)
            voice = _store_pending(consent, owner, name, rows)
            note(voice.pk)
        used.reference = voice.pk
        return _clone_at_provider(voice, recordings, spoken)


def retry_cloning(*, voice: VoiceProfile) -> VoiceProfile:
    """Clone a failed voice again, from its stored samples. Raises UserError and ProviderError, as `clone_voice`."""
    consent = require_consent(owner=voice.owner)
    _require_not_suspended(voice)
    availability.require_working("clone", provider=voice.provider)
    with metering.metered(owner_id=voice.owner_id, kind=UsageRecord.Kind.CLONE) as used:
        used.reference = voice.pk
        if voice.status != VoiceProfile.Status.FAILED:
            raise _not_failed()
        recordings = sample_recordings(voice)
        require_same_speaker(consent, recordings)
        spoken = _spoken_consent(consent, voice.provider)
        _claim_failed(voice, consent)
        return _clone_at_provider(voice, recordings, spoken, is_retry=True)


@transaction.atomic
def _claim_failed(voice: VoiceProfile, consent: Consent) -> None:
    _require_allowed(voice.owner_id, consent)
    failed = VoiceProfile.objects.filter(pk=voice.pk, status=VoiceProfile.Status.FAILED)
    lease_until = leases.new_lease()
    if not failed.update(status=VoiceProfile.Status.PENDING, error_code="", consent=consent, lease_until=lease_until):
        raise _not_failed()
    voice.refresh_from_db()


def _not_failed() -> UserError:
    return UserError("voice_not_failed", _("Only a failed voice can be cloned again."), status=409)


def _require_allowed(owner_pk: int, consent: Consent) -> None:
    refusal = refusal_of_cloning(owner_pk=owner_pk, consents=Consent.objects.filter(pk=consent.pk))
    if refusal is not None:
        raise refusal


def _new_sample(sample: CheckedSample, similarity: float | None) -> VoiceSample:
    return VoiceSample(
        file=ContentFile(to_flac(sample.recording), name="sample.flac"),
        seconds=sample.recording.seconds,
        rms_db=sample.level.rms_db,
        peak_db=sample.level.peak_db,
        sha256=sample.sha256,
        speaker_similarity=similarity,
    )


def _store_pending(consent: Consent, owner: User, name: str, samples: Sequence[VoiceSample]) -> VoiceProfile:
    voice = VoiceProfile.objects.create(owner=owner, consent=consent, name=name, provider=settings.TEXT_TO_SPEECH)
    for sample in samples:
        sample.owner, sample.voice = owner, voice
        sample.save()
    return voice


def _clone_at_provider(
    voice: VoiceProfile, recordings: Sequence[Recording], consent: SpokenConsent | None, *, is_retry: bool = False
) -> VoiceProfile:
    VoiceTag.objects.get_or_create(pk=voice.pk, defaults={"provider": voice.provider})

    async def create(engines: registry.Engines) -> str:
        cloner = engines.voice_cloner(voice.provider)
        async with leases.kept(voice):
            # An earlier try may have made a voice although its answer was lost.
            earlier = await _voice_of_earlier_try(voice, cloner) if is_retry else ""
            return earlier or await cloner.create(voice.provider_name, recordings, consent=consent)

    try:
        voice_id = registry.call(create)
    except ProviderError as error:
        logger.warning("Cloning failed", extra={"voice": str(voice.pk), "code": error.code})
        fail_cloning(voice=voice, error_code=error.code)
        raise
    complete_or_discard(voice=voice, voice_id=voice_id)
    _require_not_suspended(voice)
    return voice


def _spoken_consent(consent: Consent, provider: str) -> SpokenConsent | None:
    """Return the recording of `consent` if the provider needs it; None if it was attested without one."""
    clip = clip_of(consent) if provider == SERVER else None
    return SpokenConsent(clip, consent.language) if clip else None


async def _voice_of_earlier_try(voice: VoiceProfile, cloner: VoiceCloner) -> str:
    """Return the provider's id of a voice that an earlier try made, or ""."""
    found = next((listed for listed in await cloner.list() if tag_in(listed.name) == voice.pk), None)
    if found is None:
        return ""
    if found.needs_verification:
        await cloner.delete(found.voice_id)
        raise ProviderError(UNVERIFIED, stage="clone", retryable=False)
    return found.voice_id


@transaction.atomic
def fail_cloning(*, voice: VoiceProfile, error_code: str, when: Q = ANY_ROW) -> bool:
    """Mark the voice as failed if it is still being cloned and meets `when`; return whether it was marked."""
    cloning = VoiceProfile.objects.filter(when, pk=voice.pk, status=VoiceProfile.Status.PENDING)
    if not cloning.update(status=VoiceProfile.Status.FAILED, error_code=error_code):
        return False
    _notify(voice, WebhookEvent.VOICE_FAILED, VoiceProfile.Status.FAILED)
    return True


@transaction.atomic
def complete_cloning(*, voice: VoiceProfile, voice_id: str) -> bool:
    """Store the provider's id of `voice` and make it ready, if it still waits for one; return whether it did.

    If the consent is no longer valid, or the owner's account no longer active, both voices are deleted instead: the row
    keeps the id until the queue has deleted the provider's voice. A suspended voice becomes ready and stays suspended.
    """
    refusal = refusal_of_cloning(owner_pk=voice.owner_id, consents=Consent.objects.filter(voices=voice.pk))
    waiting = VoiceProfile.objects.filter(
        pk=voice.pk, voice_id="", status__in=[VoiceProfile.Status.PENDING, VoiceProfile.Status.FAILED]
    )
    row = waiting.select_for_update(of=("self",)).first()
    if row is None:
        return False
    if refusal is not None:
        waiting.update(voice_id=voice_id, status=VoiceProfile.Status.DELETING, error_code="")
        finish_deletion.enqueue(str(voice.pk))
        return False
    others = VoiceProfile.objects.filter(owner=voice.owner_id, is_default=True)
    is_default = row.suspended_at is None and not others.exists()
    waiting.update(voice_id=voice_id, status=VoiceProfile.Status.READY, error_code="", is_default=is_default)
    voice.refresh_from_db()
    _notify(voice, WebhookEvent.VOICE_READY, VoiceProfile.Status.READY)
    return True


def complete_or_discard(*, voice: VoiceProfile, voice_id: str) -> None:
    """Make `voice` ready, or delete the provider's voice if `voice` no longer waits for it or may not have it.

    Raises UserError if `voice` is not kept: 403 if its consent was withdrawn, else 404 (`voice_not_found`).
    """
    if complete_cloning(voice=voice, voice_id=voice_id):
        return
    if not VoiceProfile.objects.filter(pk=voice.pk, voice_id=voice_id).exists():
        _discard(voice, voice_id)
    if not VoiceProfile.objects.filter(pk=voice.pk, status=VoiceProfile.Status.READY).exists():
        raise _not_kept(voice)
    voice.refresh_from_db()


@transaction.atomic
def _not_kept(voice: VoiceProfile) -> UserError:
    refusal = refusal_of_cloning(owner_pk=voice.owner_id, consents=Consent.objects.filter(pk=voice.consent_id))
    text = _("This voice was deleted while it was being cloned.")
    return refusal or UserError("voice_not_found", text, status=404)


def _notify(voice: VoiceProfile, event: WebhookEvent, status: VoiceProfile.Status) -> None:
    data = {"id": voice.pk, "voice_id": voice.voice_id, "status": status}
    webhooks.notify(owner_id=voice.owner_id, event=event, data=data)


def _discard(voice: VoiceProfile, voice_id: str) -> None:
    """Delete the provider's voice, with retries: a `voice` that is being deleted gets its id, to be deleted with it."""
    deleting = VoiceProfile.objects.filter(pk=voice.pk, status=VoiceProfile.Status.DELETING, voice_id="")
    if deleting.update(voice_id=voice_id):
        finish_deletion.enqueue(str(voice.pk))
    else:
        finish_discarding.call(voice.provider, voice_id)


def ready_voice(*, owner: User, **lookup: Any) -> VoiceProfile:
    """Return the voice of `owner` that matches `lookup`. Raises UserError if there is none or it cannot speak."""
    voice = VoiceProfile.objects.for_user(owner).filter(**lookup).first()
    if voice is None:
        raise _no_such_voice()
    require_ready(voice=voice)
    return voice


def named_voice(*, owner: User, name: str, default_names: Collection[str] = ()) -> VoiceProfile:
    """Return the voice of `owner` whose id, provider's id or else name is `name`.

    Among several with this name, voices that can speak come first, then the default one, then the newest. Each of
    `default_names`, in lower case, means all voices unless one is called so. Raises UserError if there is none or it
    cannot speak.
    """
    voices = list(VoiceProfile.objects.for_user(owner).order_by("-is_default", "-created_at"))
    named = [voice for voice in voices if name in {str(voice.pk), voice.voice_id}]
    named = named or [voice for voice in voices if voice.name.casefold() == name.casefold()]
    if not named and name.casefold() in default_names:
        named = voices
    if not named:
        raise _no_such_voice()
    ready = [voice for voice in named if voice.can_speak]
    voice = (ready or named)[0]
    require_ready(voice=voice)
    return voice


def default_voice(*, owner: User) -> VoiceProfile:
    """Return the voice of `owner` that is used when none is named: the default one, or the newest that can speak.

    Raises UserError if there is none or it cannot speak.
    """
    voices = list(VoiceProfile.objects.for_user(owner).order_by("-is_default", "-created_at"))
    if not voices:
        raise UserError("voice_not_found", _("You have no voice yet. Clone one first."), status=404)
    voice = next((voice for voice in voices if voice.can_speak), voices[0])
    require_ready(voice=voice)
    return voice


def speaking_voices(*, owner: User) -> list[VoiceProfile]:
    """Return the voices of `owner` that can speak, the default one first, then the newest."""
    return list(VoiceProfile.objects.that_speak().for_user(owner).order_by("-is_default", "-created_at"))


def _no_such_voice() -> UserError:
    return UserError("voice_not_found", _("You have no such voice."), status=404)


def require_ready(*, voice: VoiceProfile) -> None:
    """Raise UserError unless the voice can speak. Needs no query: the voice was read with its consent."""
    _require_not_suspended(voice)
    if voice.status != VoiceProfile.Status.READY:
        text = _("This voice cannot speak: it is %(status)s.")
        raise UserError("voice_not_ready", text % {"status": voice.get_status_display()}, status=409)
    require_valid(consent=voice.consent)


def _require_not_suspended(voice: VoiceProfile) -> None:
    if voice.suspended_at is not None:
        raise UserError("voice_silenced", voice.suspension_message, status=403)


def rename_voice(*, voice: VoiceProfile, name: str) -> None:
    """Rename the voice here; the provider keeps the original name."""
    voice.name = name
    voice.save(update_fields=["name", "updated_at"])


def change_settings(*, voice: VoiceProfile, settings: SettingChanges) -> None:
    """Change the speech settings of the voice; None resets a setting to the engine's default."""
    voice.settings = changed_settings(voice=voice, settings=settings)
    voice.save(update_fields=["settings", "updated_at"])


def changed_settings(*, voice: VoiceProfile, settings: SettingChanges) -> dict[str, Any]:
    """Return the settings of the voice with the changes applied."""
    return {name: value for name, value in {**voice.settings, **settings}.items() if value is not None}


def make_default(*, voice: VoiceProfile) -> None:
    """Make this the voice that is used when its owner names none."""
    if not voice.can_speak:
        raise UserError("voice_not_ready", _("Only a voice that is ready can be the default."), status=409)
    with transaction.atomic():
        VoiceProfile.objects.filter(owner_id=voice.owner_id, is_default=True).update(is_default=False)
        voice.is_default = True
        voice.save(update_fields=["is_default", "updated_at"])


@transaction.atomic
def change_voice(
    *, voice: VoiceProfile, name: str = "", settings: SettingChanges | None = None, is_default: bool = False
) -> None:
    """Rename the voice, change its settings, make it the default: all given changes, or none if one fails."""
    try:
        # Read again and lock the row, so that concurrent changes do not overwrite each other.
        voice.refresh_from_db(from_queryset=VoiceProfile.objects.select_for_update())
    except VoiceProfile.DoesNotExist:
        raise _no_such_voice() from None
    if name:
        rename_voice(voice=voice, name=name)
    if settings:
        change_settings(voice=voice, settings=settings)
    if is_default:
        make_default(voice=voice)


def note_use(*, voice: VoiceProfile, characters: int) -> None:
    """Store that the voice has just spoken so many characters."""
    row = VoiceProfile.objects.filter(pk=voice.pk)
    row.update(last_used_at=timezone.now(), spoken_characters=F("spoken_characters") + characters)


def speak_preview(
    *, voice: VoiceProfile, text: str, settings: SettingChanges | None = None, by: User | None = None
) -> bytes:
    """Return `text` spoken by the voice, as MP3. `settings` apply to this call only; `by` pays instead of the owner."""
    voice = ready_voice(owner=voice.owner, pk=voice.pk)
    availability.require_working("speak", provider=voice.provider)
    changed = VoiceSettings(**changed_settings(voice=voice, settings=settings or {}))
    text = spoken_form(text, provider=voice.provider)

    async def speak(engines: registry.Engines) -> Recording:
        engine = engines.text_to_speech(voice.provider)
        chunks = engine.speak(text, voice_id=voice.voice_id, settings=changed, previous_text="")
        return Recording(b"".join([chunk async for chunk in chunks]), engine.sample_rate)

    with metering.metered(owner_id=(by or voice.owner).pk, kind=UsageRecord.Kind.SPEECH, characters=len(text)) as used:
        used.reference = voice.pk
        used.speak(len(text), engine=voice.provider)
        recording = registry.call(speak)
    if by is None:
        note_use(voice=voice, characters=len(text))
    return signer.marker().to_mp3(recording, Origin(voice.provider, timezone.now()))
