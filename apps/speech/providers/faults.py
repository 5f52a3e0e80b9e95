"""What it means when a provider's API fails, told in the terms of `ProviderError`, and the one place that logs it."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from apps.speech import metrics
from apps.speech.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.speech.base import Stage

logger = logging.getLogger("voiceclone.speech")

RETRYABLE_CODES = {
    "provider_busy",
    "provider_unreachable",
    "provider_unavailable",
    "provider_timeout",
    "provider_failed",
    "provider_incomplete",
    "provider_answer_invalid",
}
_OUTAGE_CODES = {"provider_unreachable", "provider_timeout", "provider_failed", "provider_incomplete"}
_BY_STATUS = {
    401: "provider_key_invalid",
    402: "provider_quota_exhausted",
    403: "provider_plan_insufficient",
    404: "provider_model_missing",
    408: "provider_busy",
    429: "provider_busy",
    503: "provider_busy",
}
_REFUSES_CONTENT = {400, 413, 415, 422}


def provider_error(
    code: str,
    *,
    stage: Stage,
    retry_after: float | None = None,
    status: int | None = None,
    provider_code: str = "",
    request_id: str = "",
    is_outage: bool | None = None,
) -> ProviderError:
    """Log and count a failure, and return the error to raise; whether it `is_outage` is told by `code` and `status`.

    Only `code`, `stage` and what identifies the failure at the provider are logged: its messages repeat keys and texts.
    """
    logger.warning(
        "%s: %s (HTTP %s, code %s, request %s)",
        stage,
        code,
        status or "-",
        _word(provider_code),
        _identifier(request_id),
    )
    metrics.PROVIDER_ERRORS.labels(stage, code).inc()
    if is_outage is None:
        is_outage = code in _OUTAGE_CODES or (status or 0) >= 500
    retryable = code in RETRYABLE_CODES
    return ProviderError(code, stage=stage, retryable=retryable, retry_after=retry_after, is_outage=is_outage)


def error_for_status(
    status: int,
    *,
    stage: Stage,
    headers: Mapping[str, str],
    said: list[str],
    known: Mapping[str, str],
    request_id: str,
) -> ProviderError:
    """Return the error for an answer with HTTP `status`.

    `said` is what the provider calls the failure, `known` what those names are here; a known name counts more than the
    status. A success or a redirect as `status` means that the promised answer is not there.
    """
    provider_code = next((name for name in said if name in known), said[0] if said else "")
    return provider_error(
        known.get(provider_code) or _code_for_status(status, stage),
        stage=stage,
        retry_after=_retry_after(headers),
        status=status,
        provider_code=provider_code,
        request_id=request_id,
    )


def _code_for_status(status: int, stage: Stage) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in _REFUSES_CONTENT and stage in ("hear", "clone"):
        return "provider_audio_refused"
    if status >= 500:
        return "provider_failed"
    return "provider_refused" if status >= 400 else "provider_answer_invalid"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the provider asks to wait: a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # No date, or one without a time zone.
        return None


def _word(value: str) -> str:
    """Return `value` where it looks like the name of a failure: services also write sentences and keys there."""
    return value if re.fullmatch(r"[a-z_+-]{1,60}", value) else "-"


def _identifier(value: str) -> str:
    return re.sub(r"[^\w.:-]", "", value)[:80] or "-"
