"""Decodes and checks the recordings that a voice is cloned from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core.errors import UserError
from apps.speech import registry
from apps.speech.audio import silero
from apps.speech.audio.decoding import SLACK_SECONDS
from apps.speech.audio.levels import Level, is_silent, measure
from apps.speech.audio.resampling import resample
from apps.speech.audio.speech_presence import has_speech
from apps.speech.base import Recording

SAMPLE_RATE = 44_100  # Hz
MAX_FILES = 10


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """An accepted upload: its decoded audio, its level and the SHA-256 of the uploaded bytes."""

    recording: Recording
    level: Level
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleRules:
    """The limits in seconds of speech, for all recordings of a voice together."""

    min_seconds: int
    max_seconds: int
    recommended_min_seconds: int
    recommended_max_seconds: int


def sample_rules() -> SampleRules:
    """Return the rules from the settings."""
    return SampleRules(
        min_seconds=settings.MIN_SAMPLE_SECONDS,
        max_seconds=settings.MAX_SAMPLE_SECONDS,
        recommended_min_seconds=settings.RECOMMENDED_MIN_SAMPLE_SECONDS,
        recommended_max_seconds=settings.RECOMMENDED_MAX_SAMPLE_SECONDS,
    )


def check_samples(files: Sequence[bytes], *, user_id: int) -> list[CheckedSample]:
    """Decode `files` for the user with the primary key `user_id`, and check each and their total length.

    A file that is sent more than once counts once. Raises UserError and AudioError. The messages name the measured and
    the accepted values.
    """
    if not files:
        raise UserError("sample_missing", _("Send at least one recording of the voice."), status=422)
    if len(files) > MAX_FILES:
        text = _("You sent %(count)d recordings; a voice takes at most %(maximum)d. Send fewer, longer ones.")
        raise UserError("too_many_samples", text % {"count": len(files), "maximum": MAX_FILES}, status=422)
    distinct = list(dict.fromkeys(files))
    samples = [check_sample(data, user_id=user_id) for data in distinct]
    _check_length(sum(sample.recording.seconds for sample in samples), repeated=len(files) - len(distinct))
    return samples


def check_sample(data: bytes, *, user_id: int) -> CheckedSample:
    """Decode and measure one recording. Raises UserError and AudioError if it is unusable for cloning."""
    recording = registry.decode(data, sample_rate=SAMPLE_RATE, max_seconds=settings.MAX_SAMPLE_SECONDS, user_id=user_id)
    level = measure(recording)
    if is_silent(recording):
        text = _(
            "This recording is silent: its level is %(level).0f dB, and speech lies between −30 and −15 dB. "
            "Check the microphone and record again."
        )
        raise UserError("sample_silent", text % {"level": level.rms_db}, status=422)
    if not has_speech(resample(recording, sample_rate=silero.SAMPLE_RATE)):
        text = _("Nobody speaks in this recording: it holds only noise. Check the microphone and record again.")
        raise UserError("sample_silent", text, status=422)
    return CheckedSample(recording, level, hashlib.sha256(data).hexdigest())


def _check_length(seconds: float, *, repeated: int) -> None:
    rules = sample_rules()
    values = {
        "seconds": seconds,
        "minimum": rules.min_seconds,
        "maximum": rules.max_seconds,
        "from": rules.recommended_min_seconds,
        "to": rules.recommended_max_seconds,
    }
    if seconds < rules.min_seconds:
        text = _("You sent %(seconds).1f seconds. At least %(minimum)d are needed; %(from)d to %(to)d are best.")
        if repeated:
            text += " " + _("You sent the same file more than once; it counts once.")
        raise UserError("sample_too_short", text % values, status=422)
    if seconds > rules.max_seconds + SLACK_SECONDS:
        text = _("You sent %(seconds).1f seconds. At most %(maximum)d are accepted; %(from)d to %(to)d are best.")
        raise UserError("sample_too_long", text % values, status=422)
