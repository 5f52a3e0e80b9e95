"""What the processes of a site share, or divide among them if they share nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from apps.speech import configs
from apps.speech.availability import all_breakers
from apps.speech.providers.slots import Slots, SpeechSlots

if TYPE_CHECKING:
    from apps.speech.providers.shared_limits import SharedLimits

logger = logging.getLogger(__name__)


def shared_limits() -> SharedLimits | None:
    """Return the limits that all processes share through Redis, for the running event loop; None without Redis."""
    config = configs.shared_limits_config()
    if config is None:
        return None
    from apps.speech.providers.shared_limits import SharedLimits

    return SharedLimits(config, all_breakers)


def slots(limits: SharedLimits | None, engine: str, size: int) -> SpeechSlots:
    """Return the slots of `engine` that all processes share or, without Redis, this process's share of them."""
    return limits.slots(engine, size) if limits else Slots(configs.share_of(size))


def tell_shares() -> None:
    """Tell the operator of several processes without Redis which limits are divided among them."""
    for name, size in configs.divided_limits().items():
        message = "Without SHARED_LIMITS_URL, this process takes %d of the %d slots of %s: PROCESSES is %d"
        logger.warning(message, configs.share_of(size), size, name, configs.processes())
