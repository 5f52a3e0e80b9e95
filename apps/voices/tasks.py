"""What the worker does for voices. Each may run more than once, since a worker can be killed at any moment."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django_tasks import task

from apps.speech.base import ProviderError
from apps.voices.models import VoiceProfile

logger = logging.getLogger(__name__)

RETRY_DELAYS = [
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
]


@task()
def delete_voice(voice_pk: str, tries: int = 0) -> None:
    """Delete a voice that may not speak any more, here and at its provider; plan another try where that fails.

    It is tried until it succeeds, in the end every six hours. Until then the voice stays "being deleted", for all to
    see.
    """
    from apps.voices import services  # It queues this task itself.

    voice = VoiceProfile.objects.filter(pk=voice_pk, status=VoiceProfile.Status.DELETING).first()
    if voice is None:
        return
    try:
        services.delete_voice(voice=voice)
    except ProviderError as error:
        logger.warning("A voice could not be deleted", extra={"voice": voice_pk, "code": error.code, "tries": tries})
        delay = RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]
        delete_voice.using(run_after=timezone.now() + delay).enqueue(voice_pk, tries + 1)
