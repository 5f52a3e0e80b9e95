"""Compares the speakers of samples with the speaker of a consent, with the speaker encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.errors import RecordingMissingError, UserError
from apps.core.recordings import decode_stored
from apps.speech import registry
from apps.speech.base import Recording
from apps.voices.models import Consent, VoiceProfile
from apps.voices.samples import SAMPLE_RATE


def require_same_speaker(consent: Consent, recordings: Sequence[Recording]) -> list[float | None]:
    """Return the similarity of each recording to the clip of `consent`, as `similarities_to_clip` does.

    Raises UserError (422, `speaker_mismatch`) if a recording is of another speaker.
    """
    similarities = similarities_to_clip(consent, recordings)
    for number, similarity in enumerate(similarities, start=1):
        if similarity is not None and similarity < similarity_threshold():
            text = _(
                "Recording %(number)d does not sound like the person who gave the consent: the similarity is "
                "%(similarity)d %%, and %(threshold)d %% are needed. You can clone only your own voice. If this is "
                "your voice, record it again, alone in a quiet room, with the same microphone as for the consent and "
                "at the same distance. If you cannot, give your consent again at %(page)s, as you record now."
            )
            values = {
                "number": number,
                "similarity": max(0, math.floor(100 * similarity)),
                "threshold": settings.SPEAKER_SIMILARITY,
                "page": reverse("voices:consent"),
            }
            raise UserError("speaker_mismatch", text % values, status=422)
    return similarities


def is_speaker_of(consent: Consent, voice: VoiceProfile) -> bool:
    """Return whether all samples of `voice` are of the speaker of `consent`; an attested consent fits every speaker.

    Raises RecordingMissingError and ProviderError.
    """
    if not consent.clip:
        return True
    similarities = similarities_to_clip(consent, sample_recordings(voice))
    return all(similarity is None or similarity >= similarity_threshold() for similarity in similarities)


def sample_recordings(voice: VoiceProfile) -> list[Recording]:
    """Decode the stored samples of `voice`. Raises RecordingMissingError."""
    return [
        decode_stored(sample.file, sample_rate=SAMPLE_RATE, max_seconds=sample.seconds)
        for sample in voice.samples.all()
    ]


def similarity_threshold() -> float:
    """Return the lowest cosine at which two recordings count as the same speaker's."""
    return settings.SPEAKER_SIMILARITY / 100


def similarities_to_clip(consent: Consent, recordings: Sequence[Recording]) -> list[float | None]:
    """Return, for each recording, the cosine (-1 to 1) between its least similar segment and the clip of `consent`.

    All are None if the consent has no clip. Raises ProviderError, and UserError as `clip_of` does.
    """
    clip = clip_of(consent)
    if clip is None:
        return [None] * len(recordings)

    async def compare(engines: registry.Engines) -> list[float | None]:
        speaker = await engines.identify_speaker(clip)
        return [speaker.similarity(await engines.identify_speaker(recording)) for recording in recordings]

    return registry.call(compare)


def clip_of(consent: Consent) -> Recording | None:
    """Decode the recording of `consent`; return None if it was attested without one.

    Raises UserError (410, `recording_missing`), which asks for a new consent.
    """
    if not consent.clip:
        return None
    try:
        return decode_stored(consent.clip, sample_rate=SAMPLE_RATE, max_seconds=consent.seconds or math.inf)
    except RecordingMissingError as error:
        text = _("The recording of your consent is missing on the server. Give your consent again at %(page)s.")
        raise UserError(error.code, text % {"page": reverse("voices:consent")}, status=error.status) from None
