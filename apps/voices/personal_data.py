"""Personal data in voices, samples and consents: its export, suspension, erasure and retention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.mail import mail
from apps.core.personal_data import (
    IN_USE,
    Due,
    Erased,
    Kept,
    NotYetError,
    PersonalData,
    Retained,
    Table,
    delete_folder,
    erase_rows,
)
from apps.speech.base import ProviderError
from apps.voices.deletion import delete_voice
from apps.voices.models import Consent, ConsentChallenge, VoiceProfile, VoiceQuerySet, VoiceSample
from apps.voices.suspension import NOT_SUSPENDED

# No cloning takes longer.
MAX_CLONING_TIME = timedelta(minutes=10)
# After its expiry: people may ask why a statement was refused.
CHALLENGE_RETENTION = timedelta(days=1)


class VoicesData(PersonalData):
    """Voices, the recordings that they were cloned from, and the consents that allow it."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [
            Table("voices", _("Voices and their providers"), VoiceProfile.objects.for_user(owner)),
            Table(
                "voice-samples",
                _("Recordings that voices were cloned from"),
                VoiceSample.objects.for_user(owner),
                files=("file",),
            ),
            Table(
                "consents",
                _("Your consents to the use of your voice"),
                Consent.objects.for_user(owner),
                files=("clip",),
            ),
            Table(
                "consent-challenges",
                _("Statements of consent for you to read aloud"),
                ConsentChallenge.objects.for_user(owner),
            ),
        ]

    def suspend(self, owner: AbstractUser) -> None:
        suspension = {"suspended_at": timezone.now(), "suspended_by": VoiceProfile.Suspension.ERASURE}
        VoiceProfile.objects.for_user(owner).filter(suspended_at=None).update(**suspension)

    def resume(self, owner: AbstractUser) -> None:
        VoiceProfile.objects.for_user(owner).filter(suspended_by=VoiceProfile.Suspension.ERASURE).update(
            **NOT_SUSPENDED
        )

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete each voice at its provider and here. If a provider fails, only the row of its voice stays."""
        problems = []
        for voice in VoiceProfile.objects.for_user(owner):
            try:
                yield from _erase_voice(voice)
            except NotYetError as error:
                problems.append(error.code)
        if problems:
            raise NotYetError(problems[0])
        delete_folder(f"samples/{owner.pk}")
        yield from erase_rows(_("Statements of consent to read aloud"), ConsentChallenge.objects.for_user(owner))
        yield from _erase_consents(owner)

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your voices, and the recordings that they were cloned from"),
                gettext_lazy("to speak in your voice, and to repeat its cloning after a failure"),
                _voice_term(),
            ),
            Kept(
                gettext_lazy("Your consent: the statement that you read aloud, its recording and the date"),
                gettext_lazy("to clone no other voice than yours, and to prove that you allowed it"),
                _consent_term(),
            ),
        ]

    def due(self, now: datetime) -> list[Due]:
        # The others are only waiting for the worker.
        failed = VoiceProfile.objects.filter(status=VoiceProfile.Status.DELETING).exclude(error_code="")
        repeated = [_deletion(_("voice whose deletion failed"), voice, voice.updated_at) for voice in failed]
        return [*repeated, *_consents_due(now), *(_idle_due(now) if settings.RETENTION_DAYS else [])]


def _voice_term() -> str:
    days = settings.RETENTION_DAYS
    if not days:
        return _("until you delete the voice")
    text = ngettext(
        "until you delete the voice, or it has not spoken for %(days)d day",
        "until you delete the voice, or it has not spoken for %(days)d days",
        days,
    ) % {"days": days}
    notice = settings.RETENTION_NOTICE_DAYS
    if notice:
        announced = ngettext("we tell you %(days)d day before", "we tell you %(days)d days before", notice)
        text = f"{text}; {announced % {'days': notice}}"
    return text


def _consent_term() -> str:
    return _(
        "%(valid)d days, and another %(kept)d days as proof; if you delete your account, the record stays without your "
        "name, your words and your voice"
    ) % {"valid": settings.CONSENT_VALID_DAYS, "kept": settings.CONSENT_KEPT_DAYS}


def _erase_consents(owner: AbstractUser) -> Iterator[Erased | Retained]:
    """Erase the person from their consents; the remaining proof stays until `retain_until`."""
    for consent in Consent.objects.for_user(owner):
        _delete_clip(consent)
        Consent.objects.filter(pk=consent.pk).update(**Consent.ERASED)
        yield Erased(_("Consent: your name, your words and their recording"), 1)
        what = _("Proof that you consented: dates, version of the statement, scores and the hash of the recording")
        yield Retained(what, consent.retain_until, str(consent.pk))
    delete_folder(f"consents/{owner.pk}")


def _delete_clip(consent: Consent) -> None:
    if consent.clip:
        consent.clip.storage.delete(str(consent.clip.name))


def _consents_due(now: datetime) -> list[Due]:
    """Return consents past `retain_until` that no voice needs, and challenges past CHALLENGE_RETENTION."""
    expired = Consent.objects.filter(retain_until__lte=now, voices=None)
    consents = [
        Due(
            what=_("consent past its retention period"),
            since=consent.retain_until,
            rows=[str(consent.pk)],
            owner_id=consent.owner_id,
            act=partial(_delete_consent, consent),
        )
        for consent in expired
    ]
    stale = ConsentChallenge.objects.filter(expires_at__lte=now - CHALLENGE_RETENTION)
    challenges = [
        Due(
            what=_("expired statement of consent"),
            since=challenge.expires_at,
            rows=[str(challenge.pk)],
            owner_id=challenge.owner_id,
            act=partial(_delete_challenge, challenge),
        )
        for challenge in stale
    ]
    return [*consents, *challenges]


def _delete_consent(consent: Consent) -> None:
    consent.delete()
    _delete_clip(consent)


def _delete_challenge(challenge: ConsentChallenge) -> None:
    challenge.delete()


def _erase_voice(voice: VoiceProfile) -> Iterator[Erased]:
    if voice.status == VoiceProfile.Status.PENDING and voice.updated_at > timezone.now() - MAX_CLONING_TIME:
        raise NotYetError(IN_USE)
    samples = VoiceSample.objects.filter(voice=voice)
    yield from erase_rows(_("Recordings that a voice was cloned from"), samples, files=["file"])
    _delete(voice)
    yield Erased(
        _("Voice made with %(provider)s, deleted there and here") % {"provider": voice.get_provider_display()}, 1
    )


def _delete(voice: VoiceProfile) -> None:
    try:
        delete_voice(voice=voice)
    except ProviderError as error:
        raise NotYetError(error.code) from None


def _deletion(what: str, voice: VoiceProfile, since: datetime) -> Due:
    act = partial(_delete, voice)
    return Due(what=what, since=since, rows=[str(voice.pk)], owner_id=voice.owner_id, act=act)


def _idle_due(now: datetime) -> list[Due]:
    term, notice = timedelta(days=settings.RETENTION_DAYS), timedelta(days=settings.RETENTION_NOTICE_DAYS)
    voices = VoiceProfile.objects.exclude(status=VoiceProfile.Status.DELETING)
    voices = voices.exclude(suspended_by=VoiceProfile.Suspension.ERASURE)
    idle = voices.annotate(idle_since=Coalesce("last_used_at", "created_at"))
    announced = Q(idle_notice_at__gte=F("idle_since"))
    expired = idle.filter(idle_since__lte=now - term)
    if notice:
        expired = expired.filter(announced, idle_notice_at__lte=now - notice)
    deletions = [_deletion(_("idle voice"), voice, voice.last_activity_at) for voice in expired]
    expiring = idle.filter(idle_since__lte=now - max(term - notice, timedelta(0))).exclude(announced)
    return [*deletions, *(_announcements(expiring) if notice else [])]


def _announcements(voices: VoiceQuerySet) -> list[Due]:
    """Return one announcement for each owner, about all their voices in `voices`."""
    by_owner: dict[int, list[VoiceProfile]] = defaultdict(list)
    for voice in voices.select_related("owner"):
        by_owner[voice.owner_id].append(voice)
    return [
        Due(
            what=_("idle voice"),
            since=min(voice.last_activity_at for voice in mine),
            rows=[str(voice.pk) for voice in mine],
            owner_id=owner_id,
            is_announcement=True,
            act=partial(_announce, mine),
        )
        for owner_id, mine in by_owner.items()
    ]


def _announce(voices: list[VoiceProfile]) -> None:
    """Mail the owner; if the mail cannot be sent, the next run tries again. The page shows the same date."""
    owner = voices[0].owner
    now = timezone.now()
    for voice in voices:
        voice.idle_notice_at = now
    subject = ngettext("A voice will be deleted", "Voices will be deleted", len(voices))
    sent = mail(to=owner.email, subject=subject, template="voices/email/idle_voices.txt", voices=voices)
    if owner.email and not sent:
        raise NotYetError("mail_not_sent")
    VoiceProfile.objects.filter(pk__in=[voice.pk for voice in voices]).update(idle_notice_at=now)
