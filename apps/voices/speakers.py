"""Compares the speakers of samples with the speaker of a consent, with the speaker encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.conf import settings
from django.db.models.fields.files import FieldFile
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.errors import UserError
from apps.speech import registry
from apps.speech.audio.decoding import decode
from apps.speech.base import Recording
from apps.voices.models import Consent
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


def is_same_speaker(consent: Consent, recordings: Sequence[Recording]) -> bool:
    """Return whether all recordings are of the speaker of `consent`; an attested consent fits every speaker."""
    similarities = similarities_to_clip(consent, recordings)
    return all(similarity is None or similarity >= similarity_threshold() for similarity in similarities)


def similarity_threshold() -> float:
    """Return the lowest cosine at which two recordings count as the same speaker's."""
    return settings.SPEAKER_SIMILARITY / 100


def similarities_to_clip(consent: Consent, recordings: Sequence[Recording]) -> list[float | None]:
    """Return, for each recording, the cosine (-1 to 1) between its least similar segment and the clip of `consent`.

    All are None if the consent has no clip.
    """
    if not consent.clip:
        return [None] * len(recordings)
    clip = speaker_recording(consent.clip, consent.seconds or math.inf)

    async def compare(engines: registry.Engines) -> list[float | None]:
        speaker = await engines.identify_speaker(clip)
        return [speaker.similarity(await engines.identify_speaker(recording)) for recording in recordings]

    return registry.call(compare)


def speaker_recording(file: FieldFile, max_seconds: float) -> Recording:
    """Decode a stored sample, or the clip of a consent."""
    with file.open("rb") as opened:
        return decode(opened.read(), sample_rate=SAMPLE_RATE, max_seconds=max_seconds)
