"""Metrics of the engines. No label contains words or names of users."""

from prometheus_client import Counter, Gauge

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
