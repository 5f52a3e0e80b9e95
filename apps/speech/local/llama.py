"""The local language model: llama.cpp inside this process."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apps.speech.base import Message, ProviderError
from apps.speech.local import chat_choice
from apps.speech.local.config import LocalConfig
from apps.speech.local.processor import PROCESSOR, Pauses
from apps.speech.local.recall import can_drop, drop_oldest, recall, without_repetitions
from apps.speech.local.reply_guard import ReplyGuard
from apps.speech.local.slots import Slots
from apps.speech.local.worker import Listener, shared_worker
from apps.speech.reply_text import ReplyText

if TYPE_CHECKING:
    from xllamacpp import Server

# Of each slot. A slot keeps what was read of one conversation: see `slots`.
CONTEXT_TOKENS = 2048
SLOTS = 3
# The likeliest words of small models are their most correct ones.
SAMPLING = {"temperature": 0.0, "repeat_penalty": 1.1}
# The instructions ask for one to three sentences. What the smallest model says after that is mostly wrong.
MAX_SENTENCES = 4
THREADS = min(2, os.cpu_count() or 1)
# In bytes. A smaller model is quick enough with one thread, and so does not suffer when other processes need a core.
LARGE_MODEL_SIZE = 500_000_000
# How often a thread looks for the other one before it gives up its core. OpenMP's default is fifteen times as much,
# with which generation slows down to one token a second as soon as another process needs a core.
SPIN_COUNT = "20000"
# The minimum number of tokens of an earlier prompt that are reused after the oldest messages before them were dropped.
REUSED_TOKENS = 16
# A speed is measured with a reply to this.
MEASURED_QUESTION = Message("user", "Count from one to twenty in words.")
MEASURED_TOKENS = 24
MEASURED_ROUNDS = 3
DOWNLOAD_CHECK_SECONDS = 1

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
        self._named, self._models_dir = config.chat_model, config.models_dir
        self._max_tokens = config.max_reply_tokens
        self._worker = shared_worker(load, config.models_dir, config.chat_model)

    async def preload(self) -> None:
        await self._worker.preload(stage="think")

    async def upgrade(self, opening: Sequence[Message] = ()) -> None:
        """Replace the small model by the better one, once that is downloaded, if this process waits for it.

        `opening` are messages with which conversations begin. Raises ProviderError.
        """
        while chat_choice.waits_for_better(self._named, self._models_dir):
            await asyncio.sleep(DOWNLOAD_CHECK_SECONDS)
            if chat_choice.better_has_arrived(self._models_dir):
                await self._worker.renew(stage="think")
                await self.read_ahead(opening)
                return

    async def read_ahead(self, messages: Sequence[Message]) -> None:
        """Read `messages`, with which conversations begin, so that no reply waits for that. Raises ProviderError."""
        await self._worker.run(lambda model: read_ahead(model.server, messages), stage="think")

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str]:
        limit = min(max_tokens, self._max_tokens)
        return self._worker.stream(lambda model, listener: write_reply(model, messages, limit, listener), stage="think")


@dataclass(frozen=True, slots=True)
class Generated:
    """The end of a reply, and its costs. Each is 0 if the listener stopped the model.

    `finish_reason` is "stop" at the end, "length" at the limit of tokens, None if the listener stopped the model.
    `read` tokens of the prompt were processed, `cached` ones were not; `written` tokens came at `speed` a second.
    """

    finish_reason: str | None
    read: int
    cached: int
    written: int
    speed: float


CONTEXT_IS_FULL = Generated("length", 0, 0, 0, 0.0)


class LoadedModel(NamedTuple):
    server: Server
    slots: Slots


def load(models_dir: Path, named: str) -> LoadedModel:
    """Load the model that `named` stands for here (see `chat_choice`). Raises FileNotFoundError or ImportError."""
    choice = chat_choice.choose_downloaded(named, chat_choice.inspect(models_dir))
    weights = chat_choice.path_of(choice.model, models_dir)
    server = load_server(weights)
    speed = chat_choice.known_speed(weights, models_dir)
    if speed is None:
        speed = measure_speed(server)
        chat_choice.remember_speed(weights, models_dir, speed)
    chat_choice.note_loaded(named, models_dir, replace(choice, speed=speed))
    return LoadedModel(server, Slots(SLOTS))


def measure_speed(server: Server) -> float:
    """Return how many tokens a second the model writes: the most in a few rounds, as the machine may be busy."""
    speed = 0.0
    for _round in range(MEASURED_ROUNDS):
        speed = max(speed, generate(server, [MEASURED_QUESTION], MEASURED_TOKENS, lambda _delta: True).speed)
        if speed >= chat_choice.SPOKEN_SPEED:
            break
    return round(speed, 2)


def load_server(path: Path) -> Server:
    """Load the model at `path`. Raises FileNotFoundError or ImportError if it is not installed."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # Read when the library is imported.
    from xllamacpp import CommonParams, Server

    if not path.is_file():
        raise FileNotFoundError(path)
    parameters = CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT_TOKENS * SLOTS
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = THREADS if path.stat().st_size >= LARGE_MODEL_SIZE else 1
    parameters.cpuparams_batch.n_threads = THREADS  # For the prompt, which somebody waits for.
    parameters.cache_ram_mib = 0
    parameters.n_cache_reuse = REUSED_TOKENS
    parameters.verbosity = 3 if logger.isEnabledFor(logging.DEBUG) else 0
    # The library always opens an HTTP server. A socket file in a private folder that is deleted at once is an address
    # that no other process can reach.
    with tempfile.TemporaryDirectory(prefix="voiceclone-") as folder:
        parameters.hostnames = [f"{folder}/unused.sock"]
        return Server(parameters)


def read_ahead(server: Server, messages: Sequence[Message]) -> None:
    """Read `messages` in every slot."""
    for slot in range(SLOTS):
        generate(server, messages, 0, lambda _delta: False, slot=slot)


def write_reply(model: LoadedModel, messages: Sequence[Message], max_tokens: int, listener: Listener[str]) -> None:
    """Generate the reply to `messages`, and send the text that may be spoken to `listener`. Raises ProviderError."""
    messages = without_repetitions(messages)
    slot, known = model.slots.choose(messages)
    messages = recall(messages, known=known)
    while True:
        model.slots.note(slot, messages)
        try:
            write_once(model, slot, messages, max_tokens, listener)
        except PromptTooLongError:
            if not can_drop(messages):
                raise ProviderError("provider_refused", stage="think", retryable=False) from None
            messages = drop_oldest(messages)
        else:
            return


def write_once(
    model: LoadedModel, slot: int, messages: Sequence[Message], max_tokens: int, listener: Listener[str]
) -> None:
    """Generate the reply to exactly these messages. Raises PromptTooLongError before it sends anything."""
    text = ReplyText()
    guard = ReplyGuard(max_sentences=MAX_SENTENCES)

    def pass_on(delta: str) -> None:
        if ready := guard.add(delta):
            listener.send(ready)

    def take(delta: str) -> bool:
        pass_on(text.add(delta))
        return not (listener.is_closed or guard.is_over or text.is_spoilt)

    done = generate_with_pauses(model.server, messages, max_tokens, take, slot=slot)
    if text.is_spoilt:
        raise ProviderError("provider_answer_invalid", stage="think", retryable=True)
    is_cut = done.finish_reason == "length"
    pass_on(text.finish(is_cut=is_cut))
    if rest := guard.finish(cut=is_cut):
        listener.send(rest)
    if done.finish_reason:
        logger.info("think: %s prompt tokens, %s cached ones, %s written, %.1f/s", *astuple(done)[1:])


def generate_with_pauses(
    server: Server, messages: Sequence[Message], max_tokens: int, take: Callable[[str], bool], *, slot: int
) -> Generated:
    """Do the same as `generate`, but pause while somebody waits for another engine (see `processor`).

    The library cannot pause. So the model is stopped, and then continues its own beginning, which it has in its cache.
    """
    pauses = Pauses(PROCESSOR)
    written: list[str] = []
    is_taken = True

    def take_until_pause(delta: str) -> bool:
        nonlocal is_taken
        PROCESSOR.note_token()
        written.append(delta)
        is_taken = take(delta)
        return is_taken and (len(written) >= max_tokens or not pauses.is_due())

    while True:
        pauses.make()
        beginning = [Message("assistant", "".join(written))] if written else []
        try:
            with PROCESSOR.writing():
                done = generate(server, [*messages, *beginning], max_tokens - len(written), take_until_pause, slot=slot)
        except PromptTooLongError:
            if not written:
                raise
            return CONTEXT_IS_FULL
        if done.finish_reason or not is_taken:
            return done


def generate(
    server: Server, messages: Sequence[Message], max_tokens: int, take: Callable[[str], bool], *, slot: int = 0
) -> Generated:
    """Pass each delta of the reply to `take` until that returns False. `slot` keeps what was read, for later calls.

    Raises PromptTooLongError, or RuntimeError if the model fails.
    """
    errors: list[dict[str, Any]] = []
    reasons: list[str | None] = [None]
    timings: dict[str, Any] = {}

    def on_chunk(chunk: dict[str, Any]) -> bool:
        # The library swallows exceptions of this callback, so errors are raised later.
        if "error" in chunk:
            errors.append(chunk["error"])
            return True
        timings.update(chunk.get("timings", {}))
        choice = chunk["choices"][0]
        reasons.append(choice["finish_reason"])
        delta = choice["delta"].get("content")
        return bool(delta) and not take(delta)

    request = {
        "messages": [{"role": message.role, "content": ROLE_MARK.sub(" ", message.content)} for message in messages],
        "max_tokens": max_tokens,
        "id_slot": slot,
        "stream": True,
        **SAMPLING,
    }
    server.handle_chat_completions(request, on_chunk)
    if errors and errors[0].get("type") == "exceed_context_size_error":
        raise PromptTooLongError
    if errors:
        message = f"llama.cpp failed with {errors[0].get('type')}"
        raise RuntimeError(message)
    return Generated(
        finish_reason=reasons[-1],
        read=timings.get("prompt_n", 0),
        cached=timings.get("cache_n", 0),
        written=timings.get("predicted_n", 0),
        speed=timings.get("predicted_per_second", 0.0),
    )
