"""The list prices of remote models, in US dollars. docs/deployment.md names their sources and dates."""

from __future__ import annotations

from collections.abc import Collection

HEARD_MINUTE = {"gpt-transcribe": 0.0045}
HEARD_LIVE_MINUTE = {"gpt-live-transcribe": 0.017, "scribe_v2_realtime": 0.0065}
MILLION_TOKENS_READ_AND_WRITTEN = {
    "gpt-6-luna": (0.10, 0.50),
    "gpt-6-sol": (2.0, 10.0),
    "gpt-5.6-luna": (0.20, 1.20),
}
THOUSAND_CHARACTERS_SPOKEN = {
    "eleven_flash_v2": 0.05,
    "eleven_flash_v2_5": 0.05,
    "eleven_turbo_v2": 0.05,
    "eleven_turbo_v2_5": 0.05,
    "eleven_multilingual_v2": 0.10,
    "eleven_v3": 0.10,
}
UNKNOWN_PRICES = (None, None)


def listed_prices(*, hearing: str, live: str, chat: Collection[str], speaking: str) -> dict[str, float | None]:
    """Return the list prices of these models. A price is None if it is unknown or differs between the `chat` models."""
    token_prices = {MILLION_TOKENS_READ_AND_WRITTEN.get(model, UNKNOWN_PRICES) for model in chat}
    read, written = token_prices.pop() if len(token_prices) == 1 else UNKNOWN_PRICES
    return {
        "heard_minute": HEARD_MINUTE.get(hearing),
        "heard_live_minute": HEARD_LIVE_MINUTE.get(live),
        "million_tokens_read": read,
        "million_tokens_written": written,
        "thousand_characters_spoken": THOUSAND_CHARACTERS_SPOKEN.get(speaking),
    }
