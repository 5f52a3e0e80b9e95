"""The language model on this machine: llama.cpp, inside the process."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.speech.base import Message, ProviderError
from apps.speech.local.config import LocalConfig
from apps.speech.local.reply_guard import ReplyGuard
from apps.speech.local.worker import Listener, shared_worker

if TYPE_CHECKING:
    from xllamacpp import Server

CONTEXT_TOKENS = 2048
PROMPT_TOKENS = 768
"""How much of a conversation the model is told. One core reads about a hundred tokens a second, and a person waits."""
CHARACTERS_PER_TOKEN = 3
"""English has more than four; a guess on the low side only forgets the oldest messages a little early."""
TOKENS_PER_MESSAGE = 8
TEMPERATURE = 0.0
REPEAT_PENALTY = 1.1
PROMPT_CACHE_MEBIBYTES = 256
"""Conversations that llama.cpp keeps ready to go on with. Its own default is 8 GB."""
NICENESS = 10
"""Behind the voice where both want a processor: a reply that is written sooner than it is spoken helps nobody."""
REUSED_TOKENS = 16
"""The shortest stretch of an earlier prompt that is not read again where the oldest messages before it were dropped."""

# llama.cpp reads these inside of a message as it reads its own: who says them would speak as somebody else.
ROLE_MARK = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|</?(?:s|(?:start|end)_of_turn|bos|eos)>|\[/?INST\]|<</?SYS>>", re.IGNORECASE
)

logger = logging.getLogger(__name__)


class PromptTooLongError(Exception):
    """The messages do not fit into the model's context."""


class LocalLanguageModel:
    """A LanguageModel on a GGUF file."""

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
    """Load the model at `path`. Raises FileNotFoundError or ImportError where it is not installed."""
    from xllamacpp import CommonParams, Server

    if not path.is_file():
        raise FileNotFoundError(path)
    parameters = CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    # With two threads, writing collapses to a few tokens a second as soon as anything else runs on the machine.
    parameters.cpuparams.n_threads = 1
    parameters.cache_ram_mib = PROMPT_CACHE_MEBIBYTES
    parameters.n_cache_reuse = REUSED_TOKENS
    parameters.verbosity = 3 if logger.isEnabledFor(logging.DEBUG) else 0
    if sys.platform == "linux":  # Elsewhere a thread has no niceness of its own. Those of the model inherit this one's.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    # The library insists on serving HTTP, to anyone. A socket file in a private folder that is deleted at once is an
    # address that nobody can reach.
    with tempfile.TemporaryDirectory(prefix="voiceclone-") as folder:
        parameters.hostnames = [f"{folder}/unused.sock"]
        return Server(parameters)


def write_reply(server: Server, messages: Sequence[Message], max_tokens: int, listener: Listener[str]) -> None:
    """Have the model answer `messages`, and send what is fit to be spoken. Raises ProviderError."""
    messages = list(messages)
    while estimated_tokens(messages) > PROMPT_TOKENS and can_forget(messages):
        messages = forget_oldest(messages)
    while True:
        try:
            write_once(server, messages, max_tokens, listener)
        except PromptTooLongError:
            if not can_forget(messages):
                raise ProviderError("provider_refused", stage="think", retryable=False) from None
            messages = forget_oldest(messages)
        else:
            return


def write_once(server: Server, messages: Sequence[Message], max_tokens: int, listener: Listener[str]) -> None:
    """Have the model answer exactly these messages. Raises PromptTooLongError before anything was sent."""
    guard = ReplyGuard()

    def take(delta: str) -> bool:
        if ready := guard.add(delta):
            listener.send(ready)
        return not (listener.gone or guard.looping)

    cut = generate(server, messages, max_tokens, take) == "length"
    if rest := guard.finish(cut=cut):
        listener.send(rest)


def generate(server: Server, messages: Sequence[Message], max_tokens: int, take: Callable[[str], bool]) -> str | None:
    """Give each piece of the model's answer to `take`, until that returns False.

    Returns why the model ended: "stop" where it was done, "length" at the limit, None where `take` stopped it.
    Raises PromptTooLongError, or RuntimeError where the model fails.
    """
    problems: list[dict[str, Any]] = []
    reasons: list[str | None] = [None]

    def on_chunk(chunk: dict[str, Any]) -> bool:
        # What is raised here is swallowed by the library: problems are kept for later.
        if "error" in chunk:
            problems.append(chunk["error"])
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
    if problems and problems[0].get("type") == "exceed_context_size_error":
        raise PromptTooLongError
    if problems:
        message = f"llama.cpp failed with {problems[0].get('type')}"
        raise RuntimeError(message)
    return reasons[-1]


def estimated_tokens(messages: Sequence[Message]) -> int:
    characters = sum(len(message.content) for message in messages)
    return characters // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


def can_forget(messages: Sequence[Message]) -> bool:
    """Tell whether there is a message besides the instructions and the one to answer."""
    return sum(message.role != "system" for message in messages) > 1


def forget_oldest(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` without the oldest exchange: its question, and the answers to it. Instructions stay."""
    instructions = [message for message in messages if message.role == "system"]
    exchanges = [message for message in messages if message.role != "system"][1:]
    while len(exchanges) > 1 and exchanges[0].role == "assistant":
        exchanges = exchanges[1:]
    return [*instructions, *exchanges]
