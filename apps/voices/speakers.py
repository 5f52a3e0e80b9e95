"""Whether two recordings are of the same person, as far as the speaker encoder can tell."""

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
    """Return how similar each recording is to the clip of `consent`: None for all where it has none.

    Raises UserError (422, `speaker_mismatch`) where one is of somebody else.
    """
    similarities = least_similarities(consent, recordings)
    for number, similarity in enumerate(similarities, start=1):
        if similarity is not None and similarity < threshold():
            text = _(
                "Recording %(number)d does not sound like the person who gave the consent: the similarity is "
                "%(similarity)d %%, and %(threshold)d %% are needed. Only your own voice can be cloned. If it is, "
                "record it again, with the same microphone as the consent, as near to it, alone in a quiet room. "
                "If that cannot be, give your consent again at %(page)s, as you record now."
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
    """Tell whether all recordings are of the speaker of `consent`; an attested one is of whoever they are."""
    similarities = least_similarities(consent, recordings)
    return all(similarity is None or similarity >= threshold() for similarity in similarities)


def threshold() -> float:
    """Return the least cosine at which two recordings count as of the same speaker."""
    return settings.SPEAKER_SIMILARITY / 100


def least_similarities(consent: Consent, recordings: Sequence[Recording]) -> list[float | None]:
    """Return for each recording how similar its least similar piece is to the clip of `consent`, a cosine, -1 to 1.

    None for all where it has no clip.
    """
    if not consent.clip:
        return [None] * len(recordings)
    clip = stored_recording(consent.clip, consent.seconds or math.inf)

    async def compare(engines: registry.Engines) -> list[float | None]:
        speaker = await engines.identify_speaker(clip)
        return [speaker.similarity(await engines.identify_speaker(recording)) for recording in recordings]

    return registry.call(compare)


def stored_recording(file: FieldFile, seconds: float) -> Recording:
    """Return a stored clip or sample, decoded."""
    with file.open("rb") as opened:
        return decode(opened.read(), sample_rate=SAMPLE_RATE, max_seconds=seconds)
