from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.speech.base import Message, ProviderError
from apps.speech.local import chat_choice
from apps.speech.local.config import LocalConfig
from apps.speech.local.llama import LocalLanguageModel
from apps.speech.local.processor import PROCESSOR

QUIET_SECONDS = 1.5  # Longer than a token takes on a busy machine.
INSTRUCTIONS = Message("system", "You are a friendly voice assistant. Answer in one or two short sentences.")


def ask(config: LocalConfig, *messages: Message, max_tokens: int = 60) -> list[str]:
    async def run() -> list[str]:
        model = LocalLanguageModel(config)
        return [delta async for delta in model.reply(messages, max_tokens=max_tokens)]

    return asyncio.run(run())


async def next_within(reply: AsyncGenerator[str], seconds: float) -> asyncio.Future[str]:
    """Return the next delta, which may not be there yet after `seconds`."""
    upcoming = asyncio.ensure_future(anext(reply))
    await asyncio.wait({upcoming}, timeout=seconds)
    return upcoming


def test_it_replies_in_deltas(config: LocalConfig) -> None:
    deltas = ask(config, INSTRUCTIONS, Message("user", "What is the capital of France?"))
    assert len(deltas) > 3
    assert len("".join(deltas).split()) > 3


def test_a_reply_ends_with_a_complete_sentence(config: LocalConfig) -> None:
    question = Message("user", "Tell me a long story about a dog.")
    # Without a limit of tokens in the way, a reply ends after a few sentences.
    reply = "".join(ask(replace(config, max_reply_tokens=400), INSTRUCTIONS, question, max_tokens=400))
    assert reply.endswith((".", "!", "?", '"', "…"))
    assert len(reply) < 400 * 8


def test_the_number_of_tokens_is_limited(config: LocalConfig) -> None:
    reply = "".join(ask(replace(config, max_reply_tokens=5), Message("user", "Tell me a long story."), max_tokens=400))
    assert 1 <= len(reply.split()) <= 5


def test_it_stops_when_nobody_listens(config: LocalConfig) -> None:
    model = LocalLanguageModel(config)

    async def run() -> float:
        reply = model.reply([Message("user", "Count from one to one hundred in words.")], max_tokens=150)
        await anext(reply)
        started = time.perf_counter()
        await reply.aclose()
        await model.preload()  # Waits until the model is idle.
        return time.perf_counter() - started

    assert asyncio.run(run()) < 2  # The time for a few tokens. All tokens take twice as long, even on a fast machine.


def test_it_pauses_while_the_processor_is_needed(config: LocalConfig) -> None:
    question = Message("user", "Count from one to twenty in words.")
    uninterrupted = "".join(ask(config, INSTRUCTIONS, question))

    async def run() -> tuple[list[str], bool, list[str]]:
        reply = LocalLanguageModel(config).reply([INSTRUCTIONS, question], max_tokens=60)
        before = [await anext(reply) for _ in range(5)]
        with PROCESSOR.needed():
            while (upcoming := await next_within(reply, QUIET_SECONDS)).done():  # What was on the way.
                before.append(upcoming.result())
            await asyncio.sleep(QUIET_SECONDS)
            is_silent = not upcoming.done()
        return before, is_silent, [await upcoming, *[delta async for delta in reply]]

    before, is_silent, after = asyncio.run(run())
    assert is_silent
    assert "".join(before + after) == uninterrupted


def test_the_first_load_measures_the_model(config: LocalConfig, tmp_path: Path) -> None:
    weights = chat_choice.path_of(chat_choice.SMALL, config.models_dir).absolute()
    named = replace(config, chat_model=str(weights), models_dir=tmp_path)
    ask(named, Message("user", "Hello."), max_tokens=1)
    speed = chat_choice.known_speed(weights, tmp_path)
    assert speed is not None
    assert speed > 0
    assert chat_choice.in_force(str(weights), tmp_path) == chat_choice.Choice(str(weights), "named", speed)


def test_auto_answers_with_the_small_model_while_only_that_is_there(config: LocalConfig, tmp_path: Path) -> None:
    (tmp_path / chat_choice.SMALL).symlink_to(config.models_dir / chat_choice.SMALL)
    assert ask(replace(config, chat_model=chat_choice.AUTO, models_dir=tmp_path), Message("user", "Hello."))
    choice = chat_choice.in_force(chat_choice.AUTO, tmp_path)
    assert choice.model == chat_choice.SMALL
    assert choice.reason in {"not_downloaded", "low_memory", "low_disk"}
    assert choice.speed


def test_the_better_model_takes_over_once_it_is_downloaded(config: LocalConfig, tmp_path: Path) -> None:
    (tmp_path / chat_choice.SMALL).symlink_to(config.models_dir / chat_choice.SMALL)
    better = chat_choice.path_of(chat_choice.BETTER, tmp_path)
    model = LocalLanguageModel(replace(config, chat_model=chat_choice.AUTO, models_dir=tmp_path))

    async def run() -> None:
        await model.preload()
        if not chat_choice.waits_for_better(chat_choice.AUTO, tmp_path):
            pytest.skip("this machine has no room for the better model")
        taking_over = asyncio.create_task(model.upgrade([INSTRUCTIONS]))
        await asyncio.sleep(0)
        better.parent.mkdir()
        better.symlink_to(chat_choice.path_of(chat_choice.SMALL, config.models_dir))  # Stands for the large file.
        # The small one answers meanwhile.
        assert [delta async for delta in model.reply([Message("user", "Hello.")], max_tokens=5)]
        await taking_over
        assert [delta async for delta in model.reply([Message("user", "Hello.")], max_tokens=5)]

    asyncio.run(run())
    choice = chat_choice.in_force(chat_choice.AUTO, tmp_path)
    assert (choice.model, choice.reason) == (chat_choice.BETTER, "fits")


def test_what_was_read_ahead_is_not_read_again(config: LocalConfig, caplog: pytest.LogCaptureFixture) -> None:
    instructions = Message("system", f"{INSTRUCTIONS.content} " + "Be kind to everybody. " * 20)
    model = LocalLanguageModel(config)

    async def run() -> None:
        await model.read_ahead([instructions])
        assert [delta async for delta in model.reply([instructions, Message("user", "Hello.")], max_tokens=5)]

    with caplog.at_level(logging.INFO, logger="apps.speech.local.llama"):
        asyncio.run(run())
    [told] = [record.getMessage() for record in caplog.records if "cached" in record.msg]
    read, cached, _written = map(int, re.findall(r" (\d+) ", told))
    assert cached > 100
    assert read < 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_address_is_reachable_from_outside(config: LocalConfig, tmp_path: Path) -> None:
    already_listening = listening_inodes()
    weights = chat_choice.path_of(config.chat_model, config.models_dir)
    loaded_anew = replace(config, chat_model=str(weights.absolute()), models_dir=tmp_path)
    ask(loaded_anew, Message("user", "Hello"), max_tokens=1)
    held = {str(descriptor.readlink()) for descriptor in Path("/proc/self/fd").iterdir() if descriptor.is_socket()}
    assert not held & {f"socket:[{inode}]" for inode in listening_inodes() - already_listening}
    paths = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "unused.sock" in line]
    assert not any(Path(path).exists() for path in paths)


def listening_inodes() -> set[str]:
    """Return the inodes of all listening TCP sockets of this machine."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes.add(fields[9])
    return inodes


def test_a_long_conversation_is_shortened_until_it_fits(config: LocalConfig) -> None:
    early = [Message("user", "word " * 400), Message("assistant", "fine " * 400)] * 8
    assert ask(config, INSTRUCTIONS, *early, Message("user", "Say hello."), max_tokens=20)


def test_a_message_that_is_too_long_is_refused(config: LocalConfig) -> None:
    with pytest.raises(ProviderError) as raised:
        ask(config, INSTRUCTIONS, Message("user", "word " * 4000))
    assert (raised.value.code, raised.value.stage, raised.value.retryable) == ("provider_refused", "think", False)


def test_concurrent_replies_are_not_mixed_up(config: LocalConfig) -> None:
    model = LocalLanguageModel(config)

    async def run() -> list[str]:
        async def one(word: str) -> str:
            reply = model.reply([Message("user", f"Repeat this word: {word}")], max_tokens=12)
            return "".join([delta async for delta in reply])

        return await asyncio.gather(*map(one, ("elephant", "strawberry", "mountain")))

    assert len(set(asyncio.run(run()))) == 3


def test_it_prints_nothing(config: LocalConfig, capfd: pytest.CaptureFixture[str]) -> None:
    ask(config, Message("user", "Hello"), max_tokens=2)
    assert capfd.readouterr() == ("", "")


def test_a_missing_model_is_an_error(config_without_models: LocalConfig) -> None:
    with pytest.raises(ProviderError) as raised:
        ask(config_without_models, Message("user", "Hello"))
    assert (raised.value.code, raised.value.stage, raised.value.retryable) == ("models_missing", "think", False)


def test_an_invalid_model_file_is_an_error(config: LocalConfig, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing else")
    with pytest.raises(ProviderError, match="provider_failed"):
        ask(replace(config, chat_model=str(tmp_path / "broken.gguf")), Message("user", "Hello"))
