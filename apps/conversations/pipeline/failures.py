"""Turns an exception of a stage into the Failed event of its turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from django.conf import settings

from apps.conversations.models import INTERNAL_ERROR, NOTHING_HEARD, TURN_MESSAGES, Turn
from apps.conversations.pipeline.hearing import NothingHeardError
from apps.conversations.pipeline.state import TurnProgress
from apps.conversations.pipeline.writer import STORAGE_ERRORS
from apps.conversations.turn_events import Failed
from apps.core.errors import STORAGE_UNAVAILABLE, RecordingMissingError, StorageDownError
from apps.speech.base import PROVIDER_MESSAGES, RECORDINGS_UNAVAILABLE, ProviderError

logger = logging.getLogger(__name__)


async def failure_of(stages: Awaitable[None], progress: TurnProgress) -> Failed | None:
    """Run the stages of a turn, for at most TURN_SECONDS; return the failure, or None."""
    try:
        async with asyncio.timeout(settings.TURN_SECONDS):
            await stages
    except ProviderError as error:
        return Failed(error.stage, error.code, error.message, error.retryable)
    except NothingHeardError:
        return Failed(Turn.Stage.HEAR, NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]), retryable=False)
    except RecordingMissingError as error:
        return Failed(progress.stage, error.code, error.message, retryable=False)
    except TimeoutError:
        logger.warning("A turn took longer than TURN_SECONDS")
        message = str(PROVIDER_MESSAGES["provider_timeout"])
        return Failed(progress.stage, "provider_timeout", message, retryable=True)
    except StorageDownError:
        logger.exception("The storage of recordings does not answer a turn")
        return _retryable(progress.stage, RECORDINGS_UNAVAILABLE)
    except STORAGE_ERRORS:
        logger.exception("A turn could not be stored")
        return _retryable(progress.stage, STORAGE_UNAVAILABLE)
    except Exception:
        logger.exception("A turn failed")
        return _retryable(progress.stage, INTERNAL_ERROR)
    return None


def _retryable(stage: Turn.Stage, code: str) -> Failed:
    return Failed(stage, code, str(TURN_MESSAGES[code]), retryable=True)
