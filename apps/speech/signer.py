"""The marker of the process, which signs synthetic speech."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from apps.speech import configs
from apps.speech.provenance.marks import MarkError

if TYPE_CHECKING:
    from apps.speech.provenance.certificates import MarkerConfig
    from apps.speech.provenance.signing import Marker

logger = logging.getLogger(__name__)


def marker() -> Marker:
    """Return the marker of the process. Raises CertificateError."""
    return _marker(configs.marker_config())


@cache
def _marker(config: MarkerConfig) -> Marker:
    from apps.speech.provenance.signing import create_marker  # Takes a third of a second.

    return create_marker(config)


def prepare() -> None:
    """Create the marker before the first request needs it. Without one the site still serves everything else."""
    try:
        marker()
    except MarkError as error:
        logger.error("Synthetic speech cannot be signed: %s", error)
