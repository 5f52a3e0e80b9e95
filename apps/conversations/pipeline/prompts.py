"""Builds the messages to the language model."""

from __future__ import annotations

from collections.abc import Sequence

from apps.conversations.languages import Language
from apps.conversations.models import Turn
from apps.speech.base import Message

# Simple enough for the smallest embedded model to follow.
INSTRUCTIONS = (
    "You are a helpful assistant who speaks with a person. "
    "Your reply is read aloud, so answer in one to three short sentences of plain prose.\n"
    "No lists, links, emoji or code. Numbers as words. "
    "Remember what the person tells you, such as their name and work. Answer in the language of the question."
)


def build_messages(*, persona: str, language: str = "", earlier: Sequence[Turn], transcript: str) -> list[Message]:
    """Return the messages for a new reply: instructions and persona, the `earlier` turns, oldest first, the question.

    `language` is a code of `Language`, or "" for the language of the question. Words of a person appear only in the
    user role. A question without a reply is put before the next one: many chat templates insist that roles alternate.
    """
    messages = new_conversation(persona=persona, language=language)
    unanswered: list[str] = []
    for turn in earlier:
        unanswered.append(turn.transcript)
        if turn.remembered_reply:
            messages += [Message("user", "\n\n".join(unanswered)), Message("assistant", turn.remembered_reply)]
            unanswered = []
    return [*messages, Message("user", "\n\n".join([*unanswered, transcript]))]


def new_conversation(*, persona: str = "", language: str = "") -> list[Message]:
    """Return the messages with which every conversation of `persona` and `language` begins."""
    return [Message("system", "\n\n".join(filter(None, [INSTRUCTIONS, _language_rule(language), persona])))]


def _language_rule(language: str) -> str:
    """Return the rule to answer in `language`. It follows the instructions: models give later text more weight."""
    return f"Always answer in {Language(language).name.title()}, whatever the question is in." if language else ""
