"""Whose voice may be cloned: giving, proving, renewing and withdrawing consent. A consent belongs to a person."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core.errors import UserError
from apps.speech import registry
from apps.speech.audio.flac import to_flac
from apps.speech.audio.levels import is_silent
from apps.speech.base import ProviderError, Recording, Transcript
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices import speakers, statements
from apps.voices.deletion import finish_deletion
from apps.voices.models import Consent, ConsentChallenge, VoiceProfile

logger = logging.getLogger(__name__)

CHALLENGE_LIFETIME = timedelta(minutes=10)
CLIP_SAMPLE_RATE = 16_000
MAX_CLIP_SECONDS = 60
MAX_WORD_ERROR = 0.2
MAX_NAME_CHARACTERS = 100
ATTESTED = "attested"


def new_challenge(*, owner: User, language: str = "en", name: str = "") -> ConsentChallenge:
    """Return a new statement for `owner`, called `name`, to read aloud. It takes the place of all earlier ones."""
    now = timezone.now()
    code_words = statements.new_code_words(language)
    statement = statements.spoken_statement(
        name=name or name_of(owner),
        day=timezone.localdate(now),
        language=language,
        code_words=code_words,
    )
    with transaction.atomic():
        ConsentChallenge.objects.for_user(owner).delete()
        return ConsentChallenge.objects.create(
            owner=owner,
            statement=statement,
            statement_version=statements.VERSION,
            language=language,
            purpose=statements.WORDINGS[language].purpose,
            code_words=code_words,
            expires_at=now + CHALLENGE_LIFETIME,
        )


def challenge_to_read(*, owner: User, name: str, earlier: UUID | None) -> ConsentChallenge:
    """Return the challenge `earlier`, as long as a recording of it is taken, or else a new one."""
    taken = ConsentChallenge.objects.for_user(owner).filter(used_at=None, expires_at__gt=timezone.now())
    challenge = taken.filter(pk=earlier).first() if earlier else None
    return challenge or new_challenge(owner=owner, name=name)


def name_of(owner: User) -> str:
    """Return what the account calls its owner."""
    return owner.get_full_name() or owner.username


def give_consent(*, owner: User, challenge_pk: UUID, data: bytes) -> Consent:
    """Store the consent that the recording `data` is, if the statement of that challenge is read in it.

    The challenge is used up by the first recording that could be heard, good or bad. Voices of the same speaker whose
    consent has expired speak again. Raises UserError, AudioError and ProviderError.
    """
    challenge = _open_challenge(owner, challenge_pk)
    recording = _read_clip(owner, data)
    seconds = recording.seconds
    kind = UsageRecord.Kind.TRANSCRIPTION
    with metering.metered(owner_id=owner.pk, kind=kind, heard_seconds=seconds) as used, _claimed(challenge):
        used.hear(seconds, engine=settings.SPEECH_TO_TEXT)
        transcript = registry.call(lambda engines: _hear(engines, recording, challenge.language))
    word_error = _judge(challenge, transcript)
    flac = to_flac(recording)
    consent = _record(
        owner,
        method=Consent.Method.SPOKEN,
        statement=challenge.statement,
        statement_version=challenge.statement_version,
        language=challenge.language,
        purpose=challenge.purpose,
        clip=ContentFile(flac, name="clip.flac"),
        seconds=seconds,
        sha256=hashlib.sha256(flac).hexdigest(),
        transcript=transcript.text,
        word_error=word_error,
    )
    renew_voices(consent=consent)
    return consent


def attest(*, owner: User, language: str = "en", name: str = "") -> Consent:
    """Store that `owner` consents without a recording, where the operator of this site has chosen that."""
    if settings.CONSENT != ATTESTED:
        text = _("On this site consent is spoken. Ask for a statement, read it aloud and send the recording.")
        raise UserError("attestation_not_allowed", text, status=403)
    statement = statements.attested_statement(name=name or name_of(owner), language=language)
    consent = record_attestation(
        owner=owner, statement=statement, language=language, purpose=statements.WORDINGS[language].purpose
    )
    renew_voices(consent=consent)
    return consent


def record_attestation(*, owner: User, statement: str, language: str, purpose: str) -> Consent:
    """Store a consent that nobody spoke. Only the setting, or a command of the operator's, is a reason to call this."""
    return _record(
        owner,
        method=Consent.Method.ATTESTED,
        statement=statement,
        statement_version=statements.VERSION,
        language=language,
        purpose=purpose,
    )


def valid_consent(*, owner: User) -> Consent | None:
    """Return the latest consent of `owner` that a voice may be cloned with, or None."""
    consents = Consent.objects.for_user(owner).valid()
    if settings.CONSENT != ATTESTED:
        consents = consents.filter(method=Consent.Method.SPOKEN)
    return consents.first()


def require_consent(*, owner: User) -> Consent:
    """Return the consent to clone a voice of `owner` with. Raises UserError (403, `consent_required`)."""
    consent = valid_consent(owner=owner)
    if consent is None:
        text = _("First the speaker has to consent. Give your consent at %(page)s, or through %(api)s.")
        raise _consent_required(text)
    return consent


def require_valid(*, consent: Consent) -> None:
    """Raise UserError (403, `consent_required`) unless a voice may speak with `consent`."""
    if not consent.is_valid:
        text = _(
            "The consent to this voice is not valid any more. When its speaker renews it at %(page)s, or through "
            "%(api)s, the voice speaks again."
        )
        raise _consent_required(text)


def renew_voices(*, consent: Consent) -> None:
    """Let the voices of the owner that `consent` is of the same speaker as speak with it."""
    assert consent.owner is not None  # noqa: S101 - It has just been given.
    voices = VoiceProfile.objects.for_user(consent.owner).exclude(status=VoiceProfile.Status.DELETING)
    for voice in voices.exclude(consent=consent).prefetch_related("samples"):
        recordings = [speakers.stored_recording(sample.file, sample.seconds) for sample in voice.samples.all()]
        if speakers.is_same_speaker(consent, recordings):
            VoiceProfile.objects.filter(pk=voice.pk).update(consent=consent)


def _open_challenge(owner: User, challenge_pk: UUID) -> ConsentChallenge:
    challenge = ConsentChallenge.objects.for_user(owner).filter(pk=challenge_pk).first()
    if challenge is None:
        text = _("There is no such statement. Take a new one, and read it aloud.")
        raise UserError("challenge_not_found", text, status=404)
    if challenge.used_at is not None:
        raise _already_used()
    if challenge.expires_at <= timezone.now():
        text = _("This statement was valid for ten minutes, and they are over. Take a new one, and read it aloud.")
        raise UserError("challenge_expired", text, status=410)
    return challenge


def _already_used() -> UserError:
    text = _("A recording of this statement was sent before. Take a new one, and read it aloud.")
    return UserError("challenge_used", text, status=409)


@contextmanager
def _claimed(challenge: ConsentChallenge) -> Iterator[None]:
    """Use the challenge up, which only one of several at once can; a service that fails gives it back."""
    row = ConsentChallenge.objects.filter(pk=challenge.pk)
    if not row.filter(used_at=None).update(used_at=timezone.now()):
        raise _already_used()
    try:
        yield
    except ProviderError:
        row.update(used_at=None)
        raise


def _read_clip(owner: User, data: bytes) -> Recording:
    recording = registry.decode(data, sample_rate=CLIP_SAMPLE_RATE, max_seconds=MAX_CLIP_SECONDS, asker=owner.pk)
    if is_silent(recording):
        text = _("This recording is silent. Check the microphone, and read the statement again.")
        raise UserError("consent_silent", text, status=422)
    return recording


async def _hear(engines: registry.Engines, recording: Recording, language: str) -> Transcript:
    return await engines.speech_to_text.transcribe(recording, language=language)


def _judge(challenge: ConsentChallenge, transcript: Transcript) -> float:
    """Return the word error of the statement; raise UserError where it or the code words were not said."""
    word_error = statements.word_error(challenge.statement, transcript.text)
    if word_error > MAX_WORD_ERROR:
        text = _(
            "The statement was not heard in this recording: %(share)d %% of its words were different. Take a new "
            "one, and read all of it aloud, clearly and in a quiet room."
        )
        raise UserError("consent_statement_not_heard", text % {"share": round(100 * word_error)}, status=422)
    missing = statements.missing_words(challenge.code_words, transcript.text)
    if missing:
        text = _(
            "These code words were not heard: %(words)s. Take a new statement, and say its four code words slowly, "
            "one after the other."
        )
        raise UserError("consent_code_words_not_heard", text % {"words": ", ".join(missing)}, status=422)
    return word_error


def _record(owner: User, **facts: Any) -> Consent:
    now = timezone.now()
    valid_until = now + timedelta(days=settings.CONSENT_VALID_DAYS)
    retain_until = valid_until + timedelta(days=settings.CONSENT_KEPT_DAYS)
    consent = Consent.objects.create(
        owner=owner, given_at=now, valid_until=valid_until, retain_until=retain_until, **facts
    )
    logger.info("A consent was given", extra={"consent": str(consent.pk), "user": owner.pk, "method": consent.method})
    return consent


def _consent_required(text: str) -> UserError:
    places = {"page": reverse("voices:consent"), "api": reverse("api:consents")}
    return UserError("consent_required", text % places, status=403)


def withdraw_consent(*, consent: Consent) -> Consent:
    """Take the person's consent back, at once: their voices are silent from now on, and get deleted everywhere.

    Deleting them, at their provider too, is queued and tried until it is done. What was withdrawn stays so.
    """
    with transaction.atomic():
        withdrawn = Consent.objects.filter(pk=consent.pk, withdrawn_at=None).update(withdrawn_at=timezone.now())
        if withdrawn and consent.owner is not None:
            Consent.objects.for_user(consent.owner).filter(withdrawn_at=None).update(withdrawn_at=timezone.now())
            voices = VoiceProfile.objects.for_user(consent.owner)
            voices.update(status=VoiceProfile.Status.DELETING, is_default=False)
            for voice_pk in voices.values_list("pk", flat=True):
                finish_deletion.enqueue(str(voice_pk))
            logger.info("A consent was withdrawn", extra={"consent": str(consent.pk), "user": consent.owner_id})
    consent.refresh_from_db()
    return consent
