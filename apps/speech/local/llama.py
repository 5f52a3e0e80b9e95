"""The local language model: llama.cpp inside this process."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.speech.base import Message, ProviderError
from apps.speech.local.config import LocalConfig
from apps.speech.local.processor import PROCESSOR, Pauses
from apps.speech.local.reply_guard import ReplyGuard
from apps.speech.local.worker import Listener, shared_worker

if TYPE_CHECKING:
    from xllamacpp import Server

CONTEXT_TOKENS = 2048
# The maximum length of a conversation in a prompt. One core reads about a hundred tokens a second while the user waits.
PROMPT_TOKENS = 768
# English has more than four. A low estimate only drops the oldest messages a little early.
CHARACTERS_PER_TOKEN = 3
TOKENS_PER_MESSAGE = 8
TEMPERATURE = 0.0
REPEAT_PENALTY = 1.1
# For processed prompts of recent conversations. The default of llama.cpp is 8 GB.
PROMPT_CACHE_MEBIBYTES = 256
MAX_THREADS = 2
# Rounds of a loop in which one thread waits for the other before it gives up its core. The default is fifteen times more,
# and generation slows down to one token a second as soon as another process needs a core.
SPIN_COUNT = "20000"
# The minimum number of tokens of an earlier prompt that are reused after the oldest messages before them were dropped.
REUSED_TOKENS = 16

# llama.cpp interprets these inside a message, too, so a user could write messages in another role.
ROLE_MARK = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|</?(?:s|(?:start|end)_of_turn|bos|eos)>|\[/?INST\]|<</?SYS>>", re.IGNORECASE
)

logger = logging.getLogger(__name__)


class PromptTooLongError(Exception):
    """The messages do not fit into the model's context."""


class LocalLanguageModel:
    """A LanguageModel that runs a GGUF file."""

    name = "local"

    def __init__(self, config: LocalConfig) -> None:
        self._max_tokens = config.max_reply_tokens
        self._worker = shared_worker(load_server, config.chat_model_path)

    async def preload(self) -> None:
        await self._worker.preload(stage="think")

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str]:
        limit = min(max_tokens, self._max_tokens)
        return self._worker.stream(
            lambda server, listener: write_reply(server, messages, limit, listener), stage="think"
        )


def load_server(path: Path) -> Server:
    """Load the model at `path`. Raises FileNotFoundError or ImportError if it is not installed."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # Read when the library is imported.
    from xllamacpp import CommonParams, Server

    if not path.is_file():
        raise FileNotFoundError(path)
    parameters = CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    parameters.cache_ram_mib = PROMPT_CACHE_MEBIBYTES
    parameters.n_cache_reuse = REUSED_TOKENS
    parameters.verbosity = 3 if logger.isEnabledFor(logging.DEBUG) else 0
    # The library always opens an HTTP server. A socket file in a private folder that is deleted at once is an address
    # that no other process can reach.
    with tempfile.TemporaryDirectory(prefix="voiceclone-") as folder:
        parameters.hostnames = [f"{folder}/unused.sock"]
        return Server(parameters)


def write_reply(server: Server, messages: Sequence[Message], max_tokens: int, listener: Listener[str]) -> None:
    """Generate the reply to `messages`, and send the text that may be spoken to `listener`. Raises ProviderError."""
    messages = list(messages)
    while estimated_tokens(messages) > PROMPT_TOKENS and can_drop(messages):
        messages = drop_oldest(messages)
    while True:
        try:
            write_once(server, messages, max_tokens, listener)
        except PromptTooLongError:
            if not can_drop(messages):
                raise ProviderError("provider_refused", stage="think", retryable=False) from None
            messages = drop_oldest(messages)
        else:
            return


def write_once(server: Server, messages: Sequence[Message], max_tokens: int, listener: Listener[str]) -> None:
    """Generate the reply to exactly these messages. Raises PromptTooLongError before it sends anything."""
    guard = ReplyGuard()

    def take(delta: str) -> bool:
        if ready := guard.add(delta):
            listener.send(ready)
        return not (listener.is_closed or guard.is_looping)

    cut = generate_with_pauses(server, messages, max_tokens, take) == "length"
    if rest := guard.finish(cut=cut):
        listener.send(rest)


def generate_with_pauses(
    server: Server, messages: Sequence[Message], max_tokens: int, take: Callable[[str], bool]
) -> str | None:
    """Do the same as `generate`, but pause while somebody else needs the processor.

    The library cannot pause. So the model is stopped, and then continues its own beginning, which it has in its cache.
    """
    pauses = Pauses(PROCESSOR)
    written: list[str] = []
    is_taken = True

    def take_until_pause(delta: str) -> bool:
        nonlocal is_taken
        written.append(delta)
        is_taken = take(delta)
        return is_taken and (len(written) >= max_tokens or not pauses.is_due())

    while True:
        pauses.make()
        beginning = [Message("assistant", "".join(written))] if written else []
        try:
            reason = generate(server, [*messages, *beginning], max_tokens - len(written), take_until_pause)
        except PromptTooLongError:
            if not written:
                raise
            return "length"
        if reason or not is_taken:
            return reason


def generate(server: Server, messages: Sequence[Message], max_tokens: int, take: Callable[[str], bool]) -> str | None:
    """Pass each delta of the reply to `take` until that returns False.

    Returns the finish reason: "stop" at the end, "length" at the limit of tokens, None if `take` stopped the model.
    Raises PromptTooLongError, or RuntimeError if the model fails.
    """
    errors: list[dict[str, Any]] = []
    reasons: list[str | None] = [None]

    def on_chunk(chunk: dict[str, Any]) -> bool:
        # The library swallows exceptions of this callback, so errors are raised later.
        if "error" in chunk:
            errors.append(chunk["error"])
            return True
        choice = chunk["choices"][0]
        reasons.append(choice["finish_reason"])
        delta = choice["delta"].get("content")
        return bool(delta) and not take(delta)

    request = {
        "messages": [{"role": message.role, "content": ROLE_MARK.sub(" ", message.content)} for message in messages],
        "max_tokens": max_tokens,
        "temperature": TEMPERATURE,
        "repeat_penalty": REPEAT_PENALTY,
        "stream": True,
    }
    server.handle_chat_completions(request, on_chunk)
    if errors and errors[0].get("type") == "exceed_context_size_error":
        raise PromptTooLongError
    if errors:
        message = f"llama.cpp failed with {errors[0].get('type')}"
        raise RuntimeError(message)
    return reasons[-1]


def estimated_tokens(messages: Sequence[Message]) -> int:
    characters = sum(len(message.content) for message in messages)
    return characters // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


def can_drop(messages: Sequence[Message]) -> bool:
    """Tell whether there are messages besides the instructions and the message to answer."""
    return sum(message.role != "system" for message in messages) > 1


def drop_oldest(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` without the oldest exchange, a question and the answers to it. Keep the instructions."""
    instructions = [message for message in messages if message.role == "system"]
    exchanges = [message for message in messages if message.role != "system"][1:]
    while len(exchanges) > 1 and exchanges[0].role == "assistant":
        exchanges = exchanges[1:]
    return [*instructions, *exchanges]
