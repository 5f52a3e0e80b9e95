"""The speed of the fake providers, and the lower bound of response times that follows from it."""

from __future__ import annotations

from pathlib import Path

from apps.conversations.pipeline.sentences import SpeechChunker

QUESTION = (Path(__file__).parent.parent / "tests/data/speech/austen-0930.wav").read_bytes()  # 3.3 seconds.

HEAR_SECONDS = 0.3
FIRST_TOKEN_SECONDS = 0.35
TOKENS_PER_SECOND = 60
FIRST_AUDIO_SECONDS = 0.15
AUDIO_SPEED = 8  # Times real time.
# What is heard while it is spoken.
PARTIAL_SECONDS = FINAL_SECONDS = 0.15

# 90 tokens of one word each. The first sentence has twelve tokens and no comma before the tenth: an early comma would
# improve the figures.
REPLY = (
    "The quietest time to visit the coast is late spring, before summer. "
    "The hillsides are green then, the roads are quiet, and most of the smaller hotels have rooms at half the price. "
    "If you like walking, follow the path along the cliffs; it starts behind the harbour, climbs slowly, and reaches "
    "the lighthouse in about two hours. "
    "Remember something warm, because the wind often turns cold towards evening, even when the morning was bright "
    "enough. "
    "Would you like me to recommend a restaurant, or should we plan the journey?"
)
TOKENS = REPLY.split(" ")
# As it begins, but ten seconds of sound. For live conversations, which hear it to its end.
SHORT_REPLY = (
    "The quietest time to visit the coast is late spring, before summer. "
    "The hillsides are green then, the roads are quiet, and the hotels are cheap."
)
FIRST_SENTENCE_TOKENS = 12


def first_segment() -> tuple[str, int]:
    """Return the first segment that the application speaks, and the number of tokens that it needs for that."""
    chunker = SpeechChunker()
    for count, token in enumerate(TOKENS, 1):
        if segments := chunker.feed(token if count == 1 else f" {token}"):
            return segments[0], count
    return REPLY, len(TOKENS)


def bound_ms(tokens: int) -> float:
    """Return the milliseconds from a question to the first audio if speech begins as soon as `tokens` have arrived."""
    return 1000 * HEAR_SECONDS + answer_ms(tokens)


def answer_ms(tokens: int) -> float:
    """Return the milliseconds of `bound_ms` that follow once the question is known."""
    # FIRST_TOKEN_SECONDS includes the first token.
    return 1000 * (FIRST_TOKEN_SECONDS + (tokens - 1) / TOKENS_PER_SECOND + FIRST_AUDIO_SECONDS)
