"""Settings for HTTP headers: the content security policy, and the headers that other origins may send and read."""

from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF

DIRECTIVES: dict[str, list[str]] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "connect-src": [SELF],
    "font-src": [SELF],
    "img-src": [SELF, "data:"],
    "media-src": [SELF, "blob:"],
    "manifest-src": [SELF],
    "base-uri": [NONE],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    "Idempotent-Replayed",
    "X-Transcript",
    "X-Response-Text",
    "X-Text-Encoding",
    "X-Conversation-Id",
    "X-Turn-Id",
    "X-AI-Generated",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
]


def content_security_policy(*, media: list[str]) -> dict[str, dict[str, list[str]]]:
    """Return the policy. `media` are the origins of sound beside the site itself."""
    return {"DIRECTIVES": {**DIRECTIVES, "media-src": [*DIRECTIVES["media-src"], *media]}}
