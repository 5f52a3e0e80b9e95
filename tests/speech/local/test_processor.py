from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack

import pytest

from apps.speech.local import processor
from apps.speech.local.processor import (
    AMPLE_SECONDS,
    MAX_PLAYBACKS,
    MAX_STOPPING_SECONDS,
    Pauses,
    Playback,
    Processor,
)

PATIENCE_SECONDS = 10
SHORTLY = 0.05


@pytest.fixture
def shared() -> Processor:
    return Processor()


class Waiting:
    """A thread that waits for the processor; `is_over` is set when it goes on."""

    def __init__(self, shared: Processor) -> None:
        self.is_over = threading.Event()
        self.was_free = False
        self._shared = shared
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self.was_free = self._shared.wait_until_free(PATIENCE_SECONDS)
        self.is_over.set()


@pytest.fixture
def waiting(shared: Processor) -> Iterator[tuple[Waiting, ExitStack]]:
    """A model that waits for two engines, and what ends their needs."""
    with ExitStack() as needs:
        needs.enter_context(shared.needed())
        needs.enter_context(shared.needed(Playback()))
        yield Waiting(shared), needs


def test_nobody_waits_for_a_free_processor(shared: Processor) -> None:
    assert not shared.is_needed()
    assert shared.wait_until_free(0)


def test_the_model_waits_until_no_engine_needs_the_processor(waiting: tuple[Waiting, ExitStack]) -> None:
    model, needs = waiting
    assert not model.is_over.wait(SHORTLY)
    needs.close()
    assert model.is_over.wait(PATIENCE_SECONDS)
    assert model.was_free


def test_the_model_goes_on_as_soon_as_enough_sound_is_there(shared: Processor) -> None:
    playback = Playback()
    with shared.needed(playback):
        model = Waiting(shared)
        shared.add_sound(playback, AMPLE_SECONDS / 2)
        assert not model.is_over.wait(SHORTLY)
        shared.add_sound(playback, AMPLE_SECONDS)
        assert model.is_over.wait(PATIENCE_SECONDS)


def test_sound_is_used_up_while_it_is_played(shared: Processor) -> None:
    playback = Playback()
    shared.add_sound(playback, AMPLE_SECONDS + SHORTLY)
    with shared.needed(playback):
        assert not shared.is_needed()
        time.sleep(2 * SHORTLY)  # The sound is played meanwhile.
        assert shared.is_needed()


def test_an_engine_that_fails_no_longer_needs_the_processor(shared: Processor) -> None:
    with pytest.raises(RuntimeError), shared.needed():
        raise RuntimeError
    assert not shared.is_needed()


def test_no_pause_lasts_for_ever_and_writing_follows_it(shared: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "MAX_PAUSE_SECONDS", SHORTLY)
    pauses = Pauses(shared)
    with shared.needed():
        assert pauses.is_due()
        pauses.make()
        assert not pauses.is_due()
        assert shared.is_needed()


def test_a_pause_is_due_again_after_some_writing(shared: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "MAX_PAUSE_SECONDS", 0)
    monkeypatch.setattr(processor, "MIN_WRITING_SECONDS", SHORTLY)
    pauses = Pauses(shared)
    with shared.needed():
        pauses.make()
        assert not pauses.is_due()
        time.sleep(2 * SHORTLY)  # The model writes meanwhile.
        assert pauses.is_due()


def test_the_segments_of_an_answer_share_its_playback(shared: Processor) -> None:
    first = shared.playback("Yes.", voice_id="jane", previous_text="")
    other_voice = shared.playback("Yes.", voice_id="john", previous_text="")
    second = shared.playback("It is.", voice_id="jane", previous_text="Yes.")
    third = shared.playback("Why?", voice_id="jane", previous_text="Yes. It is.")
    assert first is second is third is not other_voice


def test_an_answer_that_begins_like_another_has_its_own_playback(shared: Processor) -> None:
    first = shared.playback("Yes.", voice_id="jane", previous_text="")
    second = shared.playback("Yes.", voice_id="jane", previous_text="")
    assert first is not second


def test_answers_that_nobody_continues_are_forgotten(shared: Processor) -> None:
    first = shared.playback("0", voice_id="jane", previous_text="")
    for number in range(1, MAX_PLAYBACKS + 1):
        shared.playback(str(number), voice_id="jane", previous_text="")
    assert shared.playback("And more.", voice_id="jane", previous_text="0") is not first


def test_a_voice_needs_the_processor_until_its_sound_ends_or_nobody_listens(shared: Processor) -> None:
    async def sound() -> AsyncGenerator[bytes]:
        yield b"one"
        yield b"two"

    async def needs() -> list[bool]:
        whole = shared.speaking(sound(), Playback())
        seen = [shared.is_needed() async for _pcm in whole]
        seen.append(shared.is_needed())
        stopped = shared.speaking(sound(), Playback())
        await anext(stopped)
        seen.append(shared.is_needed())
        await stopped.aclose()
        return [*seen, shared.is_needed()]

    assert asyncio.run(needs()) == [True, True, False, True, False]


def test_many_conversations_neither_block_nor_starve_each_other(shared: Processor) -> None:
    written = [0] * 4
    speaks = threading.Event()
    speaks.set()

    def speak() -> None:
        while speaks.is_set():
            with shared.needed(Playback()):
                time.sleep(0.001)

    def write(number: int) -> None:
        pauses = Pauses(shared)
        for _token in range(20):
            pauses.make()
            written[number] += 1

    voices = [threading.Thread(target=speak) for _ in range(3)]
    models = [threading.Thread(target=write, args=[number]) for number in range(len(written))]
    for thread in (*voices, *models):
        thread.start()
    for thread in models:
        thread.join(PATIENCE_SECONDS)
    speaks.clear()
    for thread in voices:
        thread.join(PATIENCE_SECONDS)
    assert written == [20] * 4
    assert not shared.is_needed()


class TestWaitingForTheModelToStop:
    def test_the_voice_waits_until_it_has_stopped(self) -> None:
        shared, playback = Processor(), Playback()
        is_writing, may_stop = threading.Event(), threading.Event()

        def write() -> None:
            with shared.writing():
                is_writing.set()
                may_stop.wait()

        model = threading.Thread(target=write)
        model.start()
        is_writing.wait()
        threading.Timer(0.1, may_stop.set).start()
        started = time.monotonic()
        shared.wait_until_still(playback)
        assert time.monotonic() - started > 0.09
        model.join()

    def test_a_model_that_does_not_stop_holds_it_up_for_a_moment_only(self) -> None:
        shared = Processor()
        with shared.writing():
            started = time.monotonic()
            shared.wait_until_still(Playback())
            assert MAX_STOPPING_SECONDS <= time.monotonic() - started < PATIENCE_SECONDS

    def test_it_does_not_wait_while_enough_is_left_to_play(self) -> None:
        shared, playback = Processor(), Playback()
        playback.add(AMPLE_SECONDS + 10)
        with shared.writing():
            started = time.monotonic()
            shared.wait_until_still(playback)
            assert time.monotonic() - started < MAX_STOPPING_SECONDS
