"""Which recordings a voice can be cloned from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core.errors import UserError
from apps.speech import registry
from apps.speech.audio.decoding import SLACK_SECONDS
from apps.speech.audio.levels import Level, is_silent, measure
from apps.speech.base import Recording

SAMPLE_RATE = 44_100
MAX_FILES = 10


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """An upload that passed: its sound, its level and the SHA-256 of the bytes that came."""

    recording: Recording
    level: Level
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleRules:
    """How many seconds of speech a voice needs, all recordings together."""

    min_seconds: int
    max_seconds: int
    recommended_min_seconds: int
    recommended_max_seconds: int


def sample_rules() -> SampleRules:
    """Return the rules in force."""
    return SampleRules(
        min_seconds=settings.MIN_SAMPLE_SECONDS,
        max_seconds=settings.MAX_SAMPLE_SECONDS,
        recommended_min_seconds=settings.RECOMMENDED_MIN_SAMPLE_SECONDS,
        recommended_max_seconds=settings.RECOMMENDED_MAX_SAMPLE_SECONDS,
    )


def check_samples(files: Sequence[bytes], *, asker: int) -> list[CheckedSample]:
    """Decode `files` for the user with the key `asker` and return them as samples.

    Raises what is wrong with them, with what was measured and wanted.
    """
    if not files:
        raise UserError("sample_missing", _("Send at least one recording of the voice."), status=422)
    if len(files) > MAX_FILES:
        text = _("%(count)d recordings are more than the %(most)d that fit in one voice. Send fewer, longer ones.")
        raise UserError("too_many_samples", text % {"count": len(files), "most": MAX_FILES}, status=422)
    samples = [check_sample(data, asker=asker) for data in files]
    _check_length(sum(sample.recording.seconds for sample in samples))
    return samples


def check_sample(data: bytes, *, asker: int) -> CheckedSample:
    """Decode one recording and measure it; raise UserError or AudioError where no voice can be made from it."""
    recording = registry.decode(data, sample_rate=SAMPLE_RATE, max_seconds=settings.MAX_SAMPLE_SECONDS, asker=asker)
    level = measure(recording)
    if is_silent(recording):
        text = _(
            "This recording is silent: its level is %(level).0f dB, and speech lies between −30 and −15 dB. "
            "Check the microphone and record again."
        )
        raise UserError("sample_silent", text % {"level": level.rms_db}, status=422)
    return CheckedSample(recording, level, hashlib.sha256(data).hexdigest())


def _check_length(seconds: float) -> None:
    rules = sample_rules()
    measures = {
        "seconds": seconds,
        "least": rules.min_seconds,
        "most": rules.max_seconds,
        "from": rules.recommended_min_seconds,
        "to": rules.recommended_max_seconds,
    }
    if seconds < rules.min_seconds:
        text = _("The recording has %(seconds).1f seconds. At least %(least)d are needed; %(from)d to %(to)d are best.")
        raise UserError("sample_too_short", text % measures, status=422)
    if seconds > rules.max_seconds + SLACK_SECONDS:
        text = _(
            "The recordings have %(seconds).1f seconds together. At most %(most)d fit; %(from)d to %(to)d are best."
        )
        raise UserError("sample_too_long", text % measures, status=422)
