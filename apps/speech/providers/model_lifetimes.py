"""The dates on which OpenAI shuts down models.

Source: developers.openai.com/api/docs/deprecations, as quoted in the types of its Python SDK 3.54 (November 2026).
"""

from __future__ import annotations

import re
from datetime import date

ANNOUNCED_ENDS = {
    # Language models
    "gpt-5.1-chat-latest": date(2026, 7, 23),
    "gpt-5-chat-latest": date(2026, 7, 23),
    "gpt-5.3-chat-latest": date(2026, 8, 10),
    "gpt-5.2-chat-latest": date(2026, 8, 10),
    "gpt-3.5-turbo": date(2026, 10, 23),
    "gpt-4": date(2026, 10, 23),
    "gpt-4-turbo": date(2026, 10, 23),
    "gpt-4.1-nano": date(2026, 10, 23),
    "gpt-4o-2024-05-13": date(2026, 10, 23),  # Earlier than its family.
    "o1": date(2026, 10, 23),
    "o3-mini": date(2026, 10, 23),
    "o4-mini": date(2026, 10, 23),
    "gpt-5": date(2026, 12, 11),
    "gpt-5-mini": date(2026, 12, 11),
    "gpt-5-nano": date(2026, 12, 11),
    "o3": date(2026, 12, 11),
    "gpt-4.1": date(2027, 1, 14),
    "gpt-4.1-mini": date(2027, 1, 14),
    "gpt-4o": date(2027, 1, 14),
    "gpt-4o-mini": date(2027, 1, 14),
    "gpt-5.1": date(2027, 4, 1),
    "gpt-5.4-nano": date(2027, 4, 1),
    # Speech to text
    "gpt-4o-mini-transcribe": date(2027, 2, 26),
    "gpt-4o-transcribe": date(2027, 2, 26),
    "gpt-4o-transcribe-diarize": date(2027, 2, 26),
    "whisper-1": date(2027, 2, 26),
}


def announced_end(model: str) -> date | None:
    """Return the day on which `model` is shut down, or None if no day has been announced.

    A snapshot ("gpt-4o-2024-08-06") ends with its family unless it has its own day.
    """
    family = re.sub(r"-\d{4}-\d\d-\d\d$", "", model)
    return ANNOUNCED_ENDS.get(model) or ANNOUNCED_ENDS.get(family)
