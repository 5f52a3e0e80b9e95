"""Consent to the cloning of a voice: giving, verifying, renewing and withdrawing it. It belongs to a person."""

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
from apps.accounts.services import lock_user
from apps.core.errors import UserError
from apps.speech import availability, registry
from apps.speech.audio.flac import to_flac
from apps.speech.audio.levels import is_silent
from apps.speech.audio.speech_presence import has_speech
from apps.speech.base import ProviderError, Recording, Transcript
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices import speakers, statements
from apps.voices.deletion import enqueue_deletions
from apps.voices.models import Consent, ConsentChallenge, ConsentQuerySet, VoiceProfile, VoiceQuerySet

logger = logging.getLogger(__name__)

CHALLENGE_LIFETIME = timedelta(minutes=10)
TIME_TO_READ = timedelta(minutes=1)
CLIP_SAMPLE_RATE = 16_000
MAX_CLIP_SECONDS = 60
MAX_WORD_ERROR = 0.2
MAX_NAME_CHARACTERS = 100
ATTESTED = "attested"


def new_challenge(*, owner: User, language: str = "en", name: str = "") -> ConsentChallenge:
    """Return a new statement for `owner`, called `name`, to read aloud. It replaces all earlier ones."""
    now = timezone.now()
    code_words = statements.new_code_words(language)
    statement = statements.spoken_statement(
        name=name or display_name(owner),
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


def challenge_to_read(*, owner: User, name: str, earlier_pk: UUID | None) -> ConsentChallenge:
    """Return the challenge that waits for a recording if it is `earlier_pk` or to be read by `name`, or else a new one.

    So a recording that was not sent is valid on the page that its speaker opens next, perhaps after signing in again.
    """
    now = timezone.now()
    challenge = ConsentChallenge.objects.for_user(owner).filter(used_at=None, expires_at__gt=now).last()
    if challenge is None:
        return new_challenge(owner=owner, name=name)
    is_earlier = challenge.pk == earlier_pk
    is_readable = challenge.expires_at > now + TIME_TO_READ and _is_statement_of(name, challenge)
    return challenge if is_earlier or is_readable else new_challenge(owner=owner, name=name)


def _is_statement_of(name: str, challenge: ConsentChallenge) -> bool:
    """Whether the challenge is what `name` would have to read today."""
    return challenge.statement == statements.spoken_statement(
        name=name, day=timezone.localdate(), language=challenge.language, code_words=challenge.code_words
    )


def display_name(owner: User) -> str:
    """Return the full name in the account, or else the username."""
    return owner.get_full_name() or owner.username


def give_consent(*, owner: User, challenge_pk: UUID, data: bytes) -> Consent:
    """Store a consent, if the recording `data` is the statement of the challenge, read aloud.

    The first recording that can be transcribed uses up the challenge, even if it is refused. The owner's voices of the
    same speaker get the new consent, as `renew_voices` says. Raises UserError, AudioError and ProviderError.
    """
    challenge = _open_challenge(owner, challenge_pk)
    availability.require_working("hear")
    availability.require_speaker_encoder()
    recording = _decode_clip(owner, data)
    seconds = recording.seconds
    kind = UsageRecord.Kind.TRANSCRIPTION
    with metering.metered(owner_id=owner.pk, kind=kind, heard_seconds=seconds) as used, _claimed(challenge):
        used.hear(seconds, engine=settings.SPEECH_TO_TEXT)
        transcript = registry.call(lambda engines: _transcribe(engines, recording, challenge.language))
    word_error = _verify_statement(challenge, transcript)
    flac = to_flac(recording)
    consent = _store_consent(
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
    """Store a consent of `owner` without a recording. Raises UserError (403) unless the setting CONSENT allows it."""
    if settings.CONSENT != ATTESTED:
        text = _("This site requires a spoken consent. Request a statement, read it aloud and send the recording.")
        raise UserError("attestation_not_allowed", text, status=403)
    statement = statements.attested_statement(name=name or display_name(owner), language=language)
    consent = record_attestation(
        owner=owner, statement=statement, language=language, purpose=statements.WORDINGS[language].purpose
    )
    renew_voices(consent=consent)
    return consent


def record_attestation(*, owner: User, statement: str, language: str, purpose: str) -> Consent:
    """Store a consent without a recording. Call this only if CONSENT is `attested`, or from an operator's command."""
    return _store_consent(
        owner,
        method=Consent.Method.ATTESTED,
        statement=statement,
        statement_version=statements.VERSION,
        language=language,
        purpose=purpose,
    )


def valid_consent(*, owner: User) -> Consent | None:
    """Return the latest consent of `owner` that allows the cloning of a voice, or None."""
    consents = Consent.objects.for_user(owner).valid()
    if settings.CONSENT != ATTESTED:
        consents = consents.filter(method=Consent.Method.SPOKEN)
    return consents.first()


def require_consent(*, owner: User) -> Consent:
    """Return the consent for cloning a voice of `owner`. Raises UserError (403, `consent_required`)."""
    consent = valid_consent(owner=owner)
    if consent is None:
        raise _consent_needed()
    return consent


def refusal_of_cloning(*, owner_pk: int, consents: ConsentQuerySet) -> UserError | None:
    """Return why the owner may not have a voice made with any of `consents` now, or None.

    Call it in the transaction that stores the voice: it locks the owner's account. So a withdrawal, or the deletion of
    the account, either comes first and is seen here, or comes later and sees what this transaction stores.
    """
    owner = lock_user(pk=owner_pk)
    if owner is None or not owner.is_active:
        text = _("This account is switched off or being deleted, so no voice can be made for it.")
        return UserError("permission_denied", text, status=403)
    return None if consents.for_user(owner).valid().exists() else _consent_needed()


def require_valid(*, consent: Consent) -> None:
    """Raise UserError (403, `consent_required`) unless `consent` is valid."""
    if not consent.is_valid:
        text = _(
            "The consent to this voice is no longer valid. Once its speaker renews it at %(page)s, or through "
            "%(api)s, the voice can speak again."
        )
        raise _consent_required(text)


def renew_voices(*, consent: Consent) -> None:
    """Give `consent` to all voices of its owner whose samples are of its speaker.

    A voice that cannot be compared is left out, because the consent is already given: whoever gave it must not be
    told that it failed. Its owner sees that it has no valid consent, and can give another one.
    """
    for voice in _voices_to_renew(consent).prefetch_related("samples"):
        try:
            if speakers.is_speaker_of(consent, voice):
                _renew(voice, consent)
        except Exception:
            logger.exception("A voice did not get the new consent", extra={"voice": str(voice.pk)})


def _voices_to_renew(consent: Consent) -> VoiceQuerySet:
    """Return the owner's voices with another consent that is not withdrawn: a withdrawal is final for a voice."""
    voices = VoiceProfile.objects.filter(owner_id=consent.owner_id, consent__withdrawn_at=None)
    return voices.exclude(status=VoiceProfile.Status.DELETING).exclude(consent=consent)


@transaction.atomic
def _renew(voice: VoiceProfile, consent: Consent) -> None:
    """Give `consent` to `voice`, unless one of them was withdrawn or deleted during the comparison."""
    lock_user(pk=voice.owner_id)
    if Consent.objects.valid().filter(pk=consent.pk).exists():
        _voices_to_renew(consent).filter(pk=voice.pk).update(consent=consent)


def _open_challenge(owner: User, challenge_pk: UUID) -> ConsentChallenge:
    challenge = ConsentChallenge.objects.for_user(owner).filter(pk=challenge_pk).first()
    if challenge is None:
        text = _("This statement does not exist. Read a new one aloud.")
        raise UserError("challenge_not_found", text, status=404)
    if challenge.used_at is not None:
        raise _already_used()
    if challenge.expires_at <= timezone.now():
        text = _("This statement has expired: it was valid for ten minutes. Read a new one aloud.")
        raise UserError("challenge_expired", text, status=410)
    return challenge


def _already_used() -> UserError:
    text = _("This statement was already used for a recording. Read a new one aloud.")
    return UserError("challenge_used", text, status=409)


@contextmanager
def _claimed(challenge: ConsentChallenge) -> Iterator[None]:
    """Mark the challenge as used, unless a concurrent request did; a failure of the provider reverts that."""
    row = ConsentChallenge.objects.filter(pk=challenge.pk)
    if not row.filter(used_at=None).update(used_at=timezone.now()):
        raise _already_used()
    try:
        yield
    except ProviderError:
        row.update(used_at=None)
        raise


def _decode_clip(owner: User, data: bytes) -> Recording:
    recording = registry.decode(data, sample_rate=CLIP_SAMPLE_RATE, max_seconds=MAX_CLIP_SECONDS, user_id=owner.pk)
    if is_silent(recording):
        text = _("This recording is silent. Check the microphone, and read the statement again.")
        raise UserError("consent_silent", text, status=422)
    if not has_speech(recording):
        text = _(
            "Nobody speaks in this recording: it holds only noise. Check the microphone, and read the statement again."
        )
        raise UserError("consent_silent", text, status=422)
    return recording


async def _transcribe(engines: registry.Engines, recording: Recording, language: str) -> Transcript:
    return await engines.speech_to_text.transcribe(recording, language=language)


def _verify_statement(challenge: ConsentChallenge, transcript: Transcript) -> float:
    """Return the word error rate of the statement.

    Raises UserError if it or a code word is missing; its `details` hold both texts, which are not stored.
    """
    word_error = statements.word_error(challenge.statement, transcript.text)
    if word_error > MAX_WORD_ERROR:
        text = _(
            "This recording does not match the statement: %(share)d %% of the words are different. Read a new "
            "statement aloud from beginning to end, clearly and in a quiet room."
        )
        raise _not_heard(
            "consent_statement_not_heard", text % {"share": round(100 * word_error)}, challenge, transcript
        )
    missing = statements.missing_words(challenge.code_words, transcript.text)
    if missing:
        text = _(
            "This recording lacks these code words: %(words)s. Read a new statement aloud, and say its four code "
            "words slowly, one after the other."
        )
        raise _not_heard("consent_code_words_not_heard", text % {"words": ", ".join(missing)}, challenge, transcript)
    return word_error


def _not_heard(code: str, message: str, challenge: ConsentChallenge, transcript: Transcript) -> UserError:
    details = statements.comparison_details(challenge.statement, transcript.text)
    return UserError(code, message, status=422, details=details)


def _store_consent(owner: User, **values: Any) -> Consent:
    now = timezone.now()
    valid_until = now + timedelta(days=settings.CONSENT_VALID_DAYS)
    retain_until = valid_until + timedelta(days=settings.CONSENT_KEPT_DAYS)
    consent = Consent.objects.create(
        owner=owner, given_at=now, valid_until=valid_until, retain_until=retain_until, **values
    )
    logger.info("A consent was given", extra={"consent": str(consent.pk), "user": owner.pk, "method": consent.method})
    return consent


def _consent_needed() -> UserError:
    text = _("Cloning a voice needs the consent of its speaker. Give your consent at %(page)s, or through %(api)s.")
    return _consent_required(text)


def _consent_required(text: str) -> UserError:
    places = {"page": reverse("voices:consent"), "api": reverse("api:consents")}
    return UserError("consent_required", text % places, status=403)


def withdraw_consent(*, consent: Consent) -> Consent:
    """Withdraw the person's consents at once: their voices can no longer speak, and are deleted.

    The deletion, here and at the provider, is queued and retried until it succeeds. A withdrawal cannot be undone.
    """
    with transaction.atomic():
        owner = lock_user(pk=consent.owner_id) if consent.owner_id else None
        withdrawn = Consent.objects.filter(pk=consent.pk, withdrawn_at=None).update(withdrawn_at=timezone.now())
        if withdrawn and owner is not None:
            Consent.objects.for_user(owner).filter(withdrawn_at=None).update(withdrawn_at=timezone.now())
            voices = VoiceProfile.objects.for_user(owner)
            voices.update(status=VoiceProfile.Status.DELETING, is_default=False, error_code="")
            enqueue_deletions(voices.values_list("pk", flat=True))
            logger.info("A consent was withdrawn", extra={"consent": str(consent.pk), "user": consent.owner_id})
    consent.refresh_from_db()
    return consent
