"""Converts failures of a provider's API to ProviderError, and logs and counts them."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from apps.speech import metrics, request_ids
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
_CONTENT_STATUSES = {400, 413, 415, 422}


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
    """Log and count a failure, and return the error to raise. `is_outage` is derived from `code` and `status` if None.

    The log contains `code`, `stage` and the identifiers of the failure at the provider, but none of the provider's
    messages, because these repeat keys and texts of users.
    """
    logger.warning(
        "%s: %s (HTTP %s, code %s, request %s)",
        stage,
        code,
        status or "-",
        _safe_code(provider_code),
        request_ids.safe(request_id) or "-",
    )
    request_ids.note(stage, request_id)
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
    provider_codes: list[str],
    known_codes: Mapping[str, str],
    request_id: str,
) -> ProviderError:
    """Return the error for a response with HTTP `status`.

    `provider_codes` are the provider's codes of the failure, and `known_codes` maps such codes to ours. A known code
    has priority over the status. A 2xx or 3xx `status` means that the response is not the expected one.
    """
    first_code = provider_codes[0] if provider_codes else ""
    provider_code = next((code for code in provider_codes if code in known_codes), first_code)
    return provider_error(
        known_codes.get(provider_code) or _code_for_status(status, stage),
        stage=stage,
        retry_after=_retry_after(headers),
        status=status,
        provider_code=provider_code,
        request_id=request_id,
    )


def _code_for_status(status: int, stage: Stage) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in _CONTENT_STATUSES and stage in ("hear", "clone"):
        return "provider_audio_refused"
    if status >= 500:
        return "provider_failed"
    return "provider_refused" if status >= 400 else "provider_answer_invalid"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause in seconds that the provider asks for: a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # Not a date, or a date without a time zone.
        return None


def _safe_code(value: str) -> str:
    """Return `value` if it looks like an error code, else "-": some services put sentences and keys there."""
    return value if re.fullmatch(r"[a-z_+-]{1,60}", value) else "-"
