"""Checks the origin of a sound file, for the page `/verify` and the API. Open to everybody."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core import identity
from apps.core.errors import UserError
from apps.core.rate_limits import Limit, network_of, wait_text
from apps.core.times import time_element
from apps.speech import signer
from apps.speech.provenance.inspection import Finding, UnreadableError, Verdict, inspect_in_subprocess
from apps.voices.models import VoiceProfile

FILES_PER_NETWORK = Limit("verify", 60, 3600)
CONCURRENT_INSPECTIONS = 2  # Each uses a process and up to 10 seconds of CPU time.
SLOT_WAIT_SECONDS = 10
_slots = threading.BoundedSemaphore(CONCURRENT_INSPECTIONS)

TITLES = {
    Verdict.MADE_HERE: gettext_lazy("Made here, by AI"),
    Verdict.ALTERED: gettext_lazy("Changed since it was signed"),
    Verdict.ELSEWHERE: gettext_lazy("Signed by somebody else"),
    Verdict.TAGGED: gettext_lazy("Tagged as made by AI"),
    Verdict.UNMARKED: gettext_lazy("No mark found"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding and its explanation for people. `facts` are pairs of a name and a value."""

    finding: Finding
    title: str
    message: str
    facts: list[tuple[str, str]]


def verify(*, upload: UploadedFile[Any], address: str) -> Answer:
    """Inspect a file that was sent from the network address `address`; it is not stored. Raises UserError."""
    _check_rate_limit(address)
    marker = signer.marker().recognising(identity.known_chains())
    if not _slots.acquire(timeout=SLOT_WAIT_SECONDS):
        text = _("Many files are being checked right now. Try again in a moment.")
        raise UserError("busy", text, status=503, headers={"Retry-After": str(SLOT_WAIT_SECONDS)})
    try:
        with tempfile.TemporaryFile() as file:  # It has no name, and is deleted at the end of the block.
            for chunk in upload.chunks():
                file.write(chunk)
            finding = inspect_in_subprocess(file, roots=marker.roots, serial_numbers=marker.serial_numbers)
    except UnreadableError:
        text = _("This file is not a readable sound file. Choose a FLAC, MP3, WAV, M4A, Ogg, WebM, AIFF or WMA file.")
        raise UserError("file_unreadable", text, status=422) from None
    finally:
        _slots.release()
    return Answer(finding, str(TITLES[finding.verdict]), _message(finding), _facts(finding))


def _check_rate_limit(address: str) -> None:
    wait = FILES_PER_NETWORK.take(network_of(address)) if settings.LIMITS else 0
    if wait:
        text = _("Too many files were sent from your network. Wait %(time)s, then try again.")
        message = text % {"time": wait_text(wait)}
        raise UserError("too_many_files", message, status=429, headers={"Retry-After": str(wait)})


def _message(finding: Finding) -> str:
    match finding.verdict, finding.signed_here:
        case Verdict.MADE_HERE, _here:
            return _(
                "An AI on this site spoke this, in the cloned voice of a person who gave their consent. The file has "
                "not been changed since it left the site."
            )
        case Verdict.ALTERED, True:
            return _(
                "An AI on this site spoke this, in the cloned voice of a person who gave their consent. But the file "
                "was changed afterwards, so it may differ from the original."
            )
        case Verdict.ALTERED, False:
            return _(
                "The file was changed after it was signed: its signature is no longer valid. Do not rely on anything "
                "that the file says about itself."
            )
        case Verdict.ELSEWHERE, _here:
            return _(
                "The file has a manifest, but not one from this site. This site cannot tell whether the name of the "
                "signer is true; a tool with a list of known signers can tell you more."
            )
        case Verdict.TAGGED, _here:
            return _(
                "A tag in the file says that an AI made it. Answers that were streamed while they were being spoken "
                "have only this tag. But a tag is not signed: anyone can write one."
            )
        case _:
            return _(
                "Nothing in this file says where it comes from. That does not prove that a person spoke it: a mark is "
                "lost when the sound is recorded again or converted, and not every tool adds a mark."
            )


def _facts(finding: Finding) -> list[tuple[str, str]]:
    says_synthetic = finding.verdict == Verdict.ELSEWHERE and finding.says_synthetic
    facts = {
        _("Made on"): _date(finding.made_at),
        _("Engine"): dict(VoiceProfile.Provider.choices).get(finding.engine, finding.engine),
        _("Claimed signer"): finding.signed_by,
        _("Claims to be made by AI"): _("yes") if says_synthetic else "",
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _date(time: str) -> str:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:  # A manifest from elsewhere, with another date format.
        return time
    return time_element(moment if moment.tzinfo else moment.date())  # Without a zone only the day is known.
