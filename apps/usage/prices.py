"""What remote models cost by the lists of their makers, in US dollars. docs/deployment.md says whence and when."""

from __future__ import annotations

from collections.abc import Collection

HEARD_MINUTE = {"gpt-transcribe": 0.0045}
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
UNKNOWN = (None, None)


def listed_prices(*, hearing: str, chat: Collection[str], speaking: str) -> dict[str, float | None]:
    """Return the prices of these models: None where no list has one, or where the `chat` models differ in it."""
    of_tokens = {MILLION_TOKENS_READ_AND_WRITTEN.get(model, UNKNOWN) for model in chat}
    read, written = of_tokens.pop() if len(of_tokens) == 1 else UNKNOWN
    return {
        "heard_minute": HEARD_MINUTE.get(hearing),
        "million_tokens_read": read,
        "million_tokens_written": written,
        "thousand_characters_spoken": THOUSAND_CHARACTERS_SPOKEN.get(speaking),
    }
