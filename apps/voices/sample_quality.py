"""Measures how suitable a recording is for voice cloning and gives advice, before any provider is paid.

The limits are ElevenLabs' recommendations for instant voice cloning (one to two minutes, −23 to −18 dB RMS, peaks of at
most −3 dB, no noise, no long silence). Where ElevenLabs gives no number, the number is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.speech.audio.decoding import SLACK_SECONDS
from apps.speech.audio.levels import SpeechLevel, measure_speech
from apps.voices.samples import CheckedSample, check_sample, sample_rules

MIN_SPEECH_DB, MAX_SPEECH_DB = -23, -18
MAX_PEAK_DB = -3
MAX_CLIPPED_SHARE = 0.0001  # 6 ms in a minute: less is inaudible.
MIN_SPEECH_OVER_NOISE_DB = 25  # A quiet living room passes; a fan or a street does not.
INAUDIBLE_DB = -90  # Below the noise floor of 16-bit audio: such pauses are digital silence.
MIN_SPEECH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """One measurement and its verdict. `code` is stable.

    `word` is the verdict in a word or two, and `advice` an instruction; both are empty if it `passed`.
    """

    code: str
    label: str
    value: str
    passed: bool
    word: str
    advice: str


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """The measurements of a recording, with levels in dBFS and shares from 0 to 1, and the verdict on each point."""

    seconds: float
    rms_db: float
    peak_db: float
    clipped_share: float
    speech_db: float
    noise_db: float
    speech_share: float
    points: list[QualityPoint]

    @property
    def passed(self) -> bool:
        return all(point.passed for point in self.points)


def measure_sample(data: bytes, *, user_id: int) -> SampleQuality:
    """Measure an upload without storing it. Raises UserError and AudioError, as cloning does."""
    sample = check_sample(data, user_id=user_id)
    speech = measure_speech(sample.recording)
    return SampleQuality(
        seconds=sample.recording.seconds,
        rms_db=sample.level.rms_db,
        peak_db=sample.level.peak_db,
        clipped_share=sample.level.clipped_share,
        speech_db=speech.speech_db,
        noise_db=speech.noise_db,
        speech_share=speech.speech_share,
        points=_points(sample, speech),
    )


def _points(sample: CheckedSample, speech: SpeechLevel) -> list[QualityPoint]:
    return [
        _length(sample.recording.seconds),
        _level(speech.speech_db),
        _peak(sample.level.peak_db),
        _clipping(sample.level.clipped_share),
        _noise(speech),
        _speech(speech.speech_share),
    ]


def _length(seconds: float) -> QualityPoint:
    rules = sample_rules()
    best = {"from": rules.recommended_min_seconds, "to": rules.recommended_max_seconds}
    word = advice = ""
    if seconds < rules.recommended_min_seconds:
        word = _("Short")
        advice = _("%(from)d to %(to)d seconds are best, all recordings together. Read on, or add another take.") % best
    elif seconds > rules.recommended_max_seconds + SLACK_SECONDS:
        word = _("Long")
        advice = _("%(from)d to %(to)d seconds are best: a longer sample does not improve the voice.") % best
    return _point("length", _("Length"), _("%d s") % seconds, word, advice)


def _level(speech_db: float) -> QualityPoint:
    # Compare the rounded value that people see: "−23 dB" must pass a limit of −23 dB.
    shown = round(speech_db)
    best = {"from": _signed(MIN_SPEECH_DB), "to": _signed(MAX_SPEECH_DB)}
    word = advice = ""
    if shown < MIN_SPEECH_DB:
        word = _("Too quiet")
        advice = _("Come closer, or turn the microphone up: %(from)s to %(to)s dB is best.") % best
    elif shown > MAX_SPEECH_DB:
        word = _("Too loud")
        advice = _("Move back a little, or turn the microphone down: %(from)s to %(to)s dB is best.") % best
    return _point("level", _("Loudness"), _decibels(shown), word, advice)


def _peak(peak_db: float) -> QualityPoint:
    shown = round(peak_db)
    advice = ""
    if shown > MAX_PEAK_DB:
        advice = _("Some sounds are louder than %(maximum)s dB. Speak evenly, a little to the side of the microphone.")
        advice %= {"maximum": _signed(MAX_PEAK_DB)}
    return _point("peak", _("Loudest sound"), _decibels(shown), _("Uneven"), advice)


def _clipping(clipped_share: float) -> QualityPoint:
    clipped = clipped_share > MAX_CLIPPED_SHARE
    advice = _("Parts are clipped and crackle. Turn the microphone down and record again.") if clipped else ""
    return _point("clipping", _("Distortion"), _("some") if clipped else _("none"), _("Crackling"), advice)


def _noise(speech: SpeechLevel) -> QualityPoint:
    advice = ""
    if speech.speech_db - speech.noise_db < MIN_SPEECH_OVER_NOISE_DB:
        advice = _(
            "Too loud compared with your voice. Close the window, switch fans off, and come closer to the microphone."
        )
    value = _decibels(round(speech.noise_db)) if speech.noise_db > INAUDIBLE_DB else _("none")
    return _point("noise", _("Background noise"), value, _("Too noisy"), advice)


def _speech(share: float) -> QualityPoint:
    advice = ""
    if share < MIN_SPEECH_SHARE:
        advice = _("Long pauses do not improve the voice. Read on without waiting, or cut them out.")
    return _point("speech", _("Speech"), _("%d %% of the time") % round(100 * share), _("Long pauses"), advice)


def _point(code: str, label: str, value: str, word: str, advice: str) -> QualityPoint:
    return QualityPoint(code, label, value, passed=not advice, word=word if advice else "", advice=advice)


def _decibels(level: int) -> str:
    return _("%s dB") % _signed(level)


def _signed(level: int) -> str:
    """Return `level` with a Unicode minus sign, which screen readers read out."""
    return f"{level}".replace("-", "−")
