"""What can be done with a voice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts import usage, webhooks
from apps.accounts.models import UsageRecord, User, WebhookEvent
from apps.speech import audio, registry
from apps.speech.base import ProviderError, Recording, VoiceSettings
from apps.voices.models import VoiceProfile, VoiceSample
from apps.voices.samples import SAMPLE_RATE, CheckedSample, check_samples
from voiceclone.errors import UserError

logger = logging.getLogger(__name__)

PREVIEW_MAX_CHARACTERS = 300

SPEAKING: dict[str, Any] = {"silenced_at": None, "silenced_by": "", "silence_note": ""}

SettingChanges: TypeAlias = dict[str, float | None]
"""New values by the name of the setting; None is the engine's own."""


def clone_voice(*, owner: User, name: str, files: Sequence[bytes]) -> VoiceProfile:
    """Clone a voice from `files`, each a recording in any accepted format, and return it, ready.

    The row and the samples are stored before the provider is called: when it fails, the voice is kept as failed, and
    `retry_cloning` goes on from there. Raises UserError, AudioError and ProviderError.
    """
    samples = check_samples(files)
    with usage.metered(owner_id=owner.pk, kind=UsageRecord.Kind.CLONE) as used:
        voice = _store_pending(owner, name, samples)
        used.reference = voice.pk
        return _clone_at_provider(voice, [sample.recording for sample in samples])


def retry_cloning(*, voice: VoiceProfile) -> VoiceProfile:
    """Try again to clone a voice that failed, from the samples that were kept."""
    with usage.metered(owner_id=voice.owner_id, kind=UsageRecord.Kind.CLONE) as used:
        used.reference = voice.pk
        claimed = VoiceProfile.objects.filter(pk=voice.pk, status=VoiceProfile.Status.FAILED).update(
            status=VoiceProfile.Status.PENDING, error_code=""
        )
        if not claimed:
            text = _("Only a voice whose cloning failed can be tried again.")
            raise UserError("voice_not_failed", text, status=409)
        voice.refresh_from_db()
        return _clone_at_provider(voice, [_stored_recording(sample) for sample in voice.samples.all()])


def _store_pending(owner: User, name: str, samples: Sequence[CheckedSample]) -> VoiceProfile:
    with transaction.atomic():
        voice = VoiceProfile.objects.create(owner=owner, name=name, provider=settings.TEXT_TO_SPEECH)
        for sample in samples:
            VoiceSample.objects.create(
                owner=owner,
                voice=voice,
                file=ContentFile(audio.to_flac(sample.recording), name="sample.flac"),
                seconds=sample.recording.seconds,
                rms_db=sample.level.rms_db,
                peak_db=sample.level.peak_db,
                sha256=sample.sha256,
            )
    return voice


def _stored_recording(sample: VoiceSample) -> Recording:
    with sample.file.open("rb") as file:
        return audio.decode(file.read(), sample_rate=SAMPLE_RATE, max_seconds=sample.seconds)


def _clone_at_provider(voice: VoiceProfile, recordings: Sequence[Recording]) -> VoiceProfile:
    cloning = VoiceProfile.objects.filter(pk=voice.pk, status=VoiceProfile.Status.PENDING)
    try:
        voice_id = registry.call(
            lambda engines: engines.voice_cloner(voice.provider).create(voice.provider_name, recordings)
        )
    except ProviderError as error:
        logger.warning("Cloning failed", extra={"voice": str(voice.pk), "code": error.code})
        cloning.update(status=VoiceProfile.Status.FAILED, error_code=error.code)
        _notify(voice, WebhookEvent.VOICE_FAILED, VoiceProfile.Status.FAILED)
        raise
    with transaction.atomic():
        first = not VoiceProfile.objects.for_user(voice.owner).filter(is_default=True).exists()
        updated = cloning.update(voice_id=voice_id, status=VoiceProfile.Status.READY, is_default=first)
    if not updated:
        _discard_at_provider(voice.provider, voice_id)
        raise UserError("voice_not_found", _("This voice was deleted while it was being cloned."), status=404)
    voice.refresh_from_db()
    _notify(voice, WebhookEvent.VOICE_READY, VoiceProfile.Status.READY)
    return voice


def _notify(voice: VoiceProfile, event: WebhookEvent, status: VoiceProfile.Status) -> None:
    data = {"id": voice.pk, "voice_id": voice.voice_id, "status": status}
    webhooks.notify(owner_id=voice.owner_id, event=event, data=data)


def _discard_at_provider(provider: str, voice_id: str) -> None:
    registry.call(lambda engines: engines.voice_cloner(provider).delete(voice_id))


def ready_voice(*, owner: User, **lookup: Any) -> VoiceProfile:
    """Return the one voice of `owner` that `lookup` names, if it can speak."""
    voice = VoiceProfile.objects.for_user(owner).filter(**lookup).first()
    if voice is None:
        raise _no_such_voice()
    require_ready(voice=voice)
    return voice


def named_voice(*, owner: User, name: str) -> VoiceProfile:
    """Return the voice of `owner` with the id, the provider's id or else the name `name`, if it can speak.

    Of several with this name it is one that is ready, of those the default one, or else the newest.
    """
    voices = list(VoiceProfile.objects.for_user(owner).order_by("-is_default", "-created_at"))
    named = [voice for voice in voices if name in {str(voice.pk), voice.voice_id}]
    named = named or [voice for voice in voices if voice.name.casefold() == name.casefold()]
    ready = [voice for voice in named if voice.can_speak]
    if not named:
        raise _no_such_voice()
    voice = (ready or named)[0]
    require_ready(voice=voice)
    return voice


def _no_such_voice() -> UserError:
    return UserError("voice_not_found", _("You have no such voice."), status=404)


def require_ready(*, voice: VoiceProfile) -> None:
    """Raise UserError unless the voice can speak."""
    if voice.silenced_at is not None:
        raise UserError("voice_silenced", voice.silence_message, status=403)
    if voice.status != VoiceProfile.Status.READY:
        text = _("This voice can not speak: it is %(status)s.")
        raise UserError("voice_not_ready", text % {"status": voice.get_status_display()}, status=409)


def rename_voice(*, voice: VoiceProfile, name: str) -> None:
    """Give the voice another name, here: at the provider it keeps the one it was made with."""
    voice.name = name
    voice.save(update_fields=["name", "updated_at"])


def change_settings(*, voice: VoiceProfile, settings: SettingChanges) -> None:
    """Change how the voice speaks; None takes a setting back to the engine's default."""
    voice.settings = changed_settings(voice=voice, settings=settings)
    voice.save(update_fields=["settings", "updated_at"])


def changed_settings(*, voice: VoiceProfile, settings: SettingChanges) -> dict[str, float]:
    """Return the settings of the voice with these changes."""
    return {name: value for name, value in {**voice.settings, **settings}.items() if value is not None}


def make_default(*, voice: VoiceProfile) -> None:
    """Make this the voice that is chosen where its owner names none."""
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
    """Rename the voice, change its settings, make it the default: all that is given or, where that fails, nothing."""
    try:
        # Read again, locked: two changes at once would each take back what the other one did.
        voice.refresh_from_db(from_queryset=VoiceProfile.objects.select_for_update())
    except VoiceProfile.DoesNotExist:
        raise _no_such_voice() from None
    if name:
        rename_voice(voice=voice, name=name)
    if settings:
        change_settings(voice=voice, settings=settings)
    if is_default:
        make_default(voice=voice)


def note_use(*, voice: VoiceProfile) -> None:
    """Remember that the voice has just spoken."""
    VoiceProfile.objects.filter(pk=voice.pk).update(last_used_at=timezone.now())


def speak_preview(*, voice: VoiceProfile, text: str, settings: SettingChanges | None = None) -> bytes:
    """Return `text` spoken by the voice, as MP3; `settings` are tried out, and not kept."""
    voice = ready_voice(owner=voice.owner, pk=voice.pk)
    tried = VoiceSettings(**changed_settings(voice=voice, settings=settings or {}))

    async def speak(engines: registry.Engines) -> Recording:
        engine = engines.text_to_speech(voice.provider)
        chunks = engine.speak(text, voice_id=voice.voice_id, settings=tried, previous_text="")
        return Recording(b"".join([chunk async for chunk in chunks]), engine.sample_rate)

    with usage.metered(owner_id=voice.owner_id, kind=UsageRecord.Kind.SPEECH, characters=len(text)) as used:
        used.reference = voice.pk
        used.speak(len(text), engine=voice.provider)
        recording = registry.call(speak)
    note_use(voice=voice)
    return audio.to_mp3(recording)


def silence_voice(*, voice: VoiceProfile, note: str = "", by: User | None = None) -> None:
    """Let the voice speak no more, anywhere; running turns with it end within a second. `note` is for its owner."""
    silence = {"silenced_at": timezone.now(), "silenced_by": VoiceProfile.Silence.OPERATOR, "silence_note": note}
    VoiceProfile.objects.filter(pk=voice.pk).update(**silence, is_default=False)
    logger.warning("Voice silenced", extra={"voice": str(voice.pk), "user": voice.owner_id, "by": by and by.pk})


def end_silence(*, voice: VoiceProfile, by: User | None = None) -> None:
    """Let a voice that the operator had silenced speak again."""
    VoiceProfile.objects.filter(pk=voice.pk, silenced_by=VoiceProfile.Silence.OPERATOR).update(**SPEAKING)
    who = {"user": voice.owner_id, "by": by and by.pk}
    logger.warning("Voice no longer silenced", extra={"voice": str(voice.pk), **who})


def delete_voice(*, voice: VoiceProfile) -> None:
    """Delete the voice here and at its provider.

    From the first moment it can not speak any more. If the provider fails, it stays "being deleted" until a later
    call gets through; ProviderError says so.
    """
    row = VoiceProfile.objects.filter(pk=voice.pk)
    row.update(status=VoiceProfile.Status.DELETING, is_default=False)
    # Read only now: its cloning may have ended since `voice` was read.
    voice_id = row.values_list("voice_id", flat=True).first()
    if voice_id:
        try:
            _discard_at_provider(voice.provider, voice_id)
        except ProviderError as error:
            row.update(error_code=error.code)
            raise
    files = [sample.file for sample in voice.samples.all()]
    voice.delete()
    for file in files:
        file.storage.delete(str(file.name))
