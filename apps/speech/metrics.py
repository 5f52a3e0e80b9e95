"""Metrics of the engines. No label contains words or names of users."""

from itertools import product
from typing import get_args

from prometheus_client import Counter, Gauge

from apps.speech.base import Stage

# Only the operator can correct these.
ACCOUNT_REFUSALS = (
    "provider_key_invalid",
    "provider_quota_exhausted",
    "provider_payment_failed",
    "provider_plan_insufficient",
    "provider_permission_missing",
)

PROVIDER_ERRORS = Counter(
    "voiceclone_provider_errors_total", "Failures of the speech services, by stage and code.", ["stage", "code"]
)
FALLBACKS = Counter(
    "voiceclone_fallbacks_total", "Calls that a second engine took over, by stage and engine.", ["stage", "engine"]
)
SPEECH_QUEUE = Gauge(
    "voiceclone_speech_queue_length",
    "Speech requests that wait because the plan allows no more at once.",
    multiprocess_mode="livesum",
)

# Prometheus sees no increase in a counter that appears with its first failure, and nobody would be told of it.
for labels in product(get_args(Stage), ACCOUNT_REFUSALS):
    PROVIDER_ERRORS.labels(*labels)
