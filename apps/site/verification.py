"""`/verify`: what a sound file says of where it comes from, for everybody who asks, on a page and in the API."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.errors import UserError
from apps.core.rate_limits import Limit, network_of
from apps.speech import registry
from apps.speech.provenance.inspection import Finding, UnreadableError, Verdict, inspect_in_subprocess
from apps.voices.models import VoiceProfile

FILES_OF_AN_ADDRESS = Limit("verify", 60, 3600)
AT_ONCE = 2  # Each takes a process and up to 10 seconds of a processor.
PATIENCE_SECONDS = 10
_places = threading.BoundedSemaphore(AT_ONCE)

TITLES = {
    Verdict.MADE_HERE: gettext_lazy("Made here, by AI"),
    Verdict.ALTERED: gettext_lazy("Changed since it was signed"),
    Verdict.ELSEWHERE: gettext_lazy("Signed by somebody else"),
    Verdict.TAGGED: gettext_lazy("Tagged as made by AI"),
    Verdict.UNMARKED: gettext_lazy("No mark found"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding, and what it means in words."""

    finding: Finding
    title: str
    message: str
    facts: list[tuple[str, str]]


def verify(*, upload: UploadedFile[Any], address: str) -> Answer:
    """Examine a file for whoever asks from `address`; nothing of it is kept. Raises UserError."""
    _count(address)
    marker = registry.marker()
    if not _places.acquire(timeout=PATIENCE_SECONDS):
        text = _("Many files are being examined right now. Try again in a moment.")
        raise UserError("busy", text, status=503, headers={"Retry-After": str(PATIENCE_SECONDS)})
    try:
        with tempfile.TemporaryFile() as file:  # It has no name, and is gone with this block.
            for chunk in upload.chunks():
                file.write(chunk)
            finding = inspect_in_subprocess(file, roots=marker.roots, serial_numbers=marker.serial_numbers)
    except UnreadableError:
        text = _("This cannot be read as a sound file. Choose a FLAC, MP3, WAV, M4A, Ogg or WebM file.")
        raise UserError("file_unreadable", text, status=422) from None
    finally:
        _places.release()
    return Answer(finding, str(TITLES[finding.verdict]), _message(finding), _facts(finding))


def _count(address: str) -> None:
    wait = FILES_OF_AN_ADDRESS.take(network_of(address)) if settings.LIMITS else 0
    if wait:
        text = _("Too many files were sent from your network. Wait %(minutes)d minutes, then try again.")
        message = text % {"minutes": -(-wait // 60)}
        raise UserError("too_many_files", message, status=429, headers={"Retry-After": str(wait)})


def _message(finding: Finding) -> str:
    match finding.verdict, finding.signed_here:
        case Verdict.MADE_HERE, _here:
            return _(
                "An AI spoke this on this site, in the cloned voice of a person who consented to that. The file is "
                "exactly as it left the site."
            )
        case Verdict.ALTERED, True:
            return _(
                "An AI spoke this on this site, in the cloned voice of a person who consented to that. But the file "
                "was changed afterwards: what you hear need not be what was made here."
            )
        case Verdict.ALTERED, False:
            return _(
                "The file was signed, and changed afterwards: the signature no longer fits. Nothing that it says of "
                "itself can be relied on."
            )
        case Verdict.ELSEWHERE, _here:
            return _(
                "The file carries a manifest, but not one of this site. Whether its signer is who they say they are is "
                "not known here; a tool with a list of known signers can tell you more."
            )
        case Verdict.TAGGED, _here:
            return _(
                "A tag in the file says that an AI made it. Answers that were sent while they were still being spoken "
                "carry nothing else. But a tag is not signed: anyone can write one."
            )
        case _:
            return _(
                "Nothing in this file says where it comes from. That does not prove that a person spoke it: a mark is "
                "lost when sound is recorded again or converted, and not everyone marks what they make."
            )


def _facts(finding: Finding) -> list[tuple[str, str]]:
    says_synthetic = finding.verdict == Verdict.ELSEWHERE and finding.says_synthetic
    facts = {
        _("Made on"): _date(finding.made_at),
        _("Engine"): dict(VoiceProfile.Provider.choices).get(finding.engine, finding.engine),
        _("Signed by, it says"): finding.signed_by,
        _("Says that an AI made it"): _("yes") if says_synthetic else "",
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _date(time: str) -> str:
    try:
        return f"{date_format(timezone.localtime(datetime.fromisoformat(time)), 'DATETIME_FORMAT')} (UTC)"
    except ValueError:  # Somebody else's, who writes dates otherwise.
        return time
