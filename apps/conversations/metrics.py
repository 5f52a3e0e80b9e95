"""Metrics of turns, updated when each attempt is over. No label contains personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.conversations.models import Turn

SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5, 8, 13, 30, 60, 120)

TURNS = Counter(
    "voiceclone_turns_total",
    "Turns by their end, by the code of their error, and by whether it was the first attempt or a retry.",
    ["end", "code", "attempt"],
)
STAGE_SECONDS = Histogram(
    "voiceclone_turn_stage_seconds",
    "Seconds from the question to the transcript (heard), the first word, the first sound, and the end of a turn.",
    ["stage"],
    buckets=SECONDS,
)
LIVE_SESSIONS = Gauge("voiceclone_live_sessions", "Live sessions that are open.")
REPLIES_ON_TRUST = Counter(
    "voiceclone_replies_on_trust_total",
    "Replies that were begun before the question had surely ended, those that were thrown away included.",
)


def attempt_counter(turn: Turn) -> Callable[[], None]:
    """Return a function that counts the attempt that begins now. Call it when the attempt is over.

    A retry does not count the times of earlier stages again.
    """
    is_new = turn._state.adding
    earlier = dict.fromkeys(turn.timings) if is_new else turn.timings

    def count() -> None:
        TURNS.labels(turn.status, turn.error_code, "first" if is_new else "retry").inc()
        for name, milliseconds in turn.timings.items():
            if milliseconds is not None and milliseconds != earlier[name]:
                STAGE_SECONDS.labels(name.removesuffix("_ms")).observe(milliseconds / 1000)

    return count
