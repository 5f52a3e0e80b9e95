from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest

from apps.speech.base import ProviderError
from apps.speech.local.worker import Listener, ModelWorker, shared_worker


class Machine:
    """A fake model that detects concurrent use."""

    def __init__(self) -> None:
        self.loaded_in = threading.current_thread()
        self.busy = threading.Lock()

    def work(self, seconds: float = 0.01) -> threading.Thread:
        assert self.busy.acquire(blocking=False), "used concurrently"
        time.sleep(seconds)
        self.busy.release()
        return threading.current_thread()

    def count(self, listener: Listener[int]) -> None:
        self.counted = 0
        while not listener.is_closed and self.counted < 1000:
            listener.send(self.counted)
            self.counted += 1
            time.sleep(0.002)


def test_a_model_is_loaded_once_and_never_used_concurrently() -> None:
    loads: list[Machine] = []

    def load() -> Machine:
        loads.append(Machine())
        return loads[-1]

    worker = ModelWorker(load)

    async def ask() -> set[threading.Thread]:
        return set(await asyncio.gather(*[worker.run(Machine.work, stage="hear") for _ in range(10)]))

    threads = asyncio.run(ask()) | asyncio.run(ask())  # Two event loops, like those of a server and a background task.
    assert len(loads) == 1
    assert threads == {loads[0].loaded_in} != {threading.main_thread()}


def test_all_callers_share_a_model() -> None:
    def load(_path: Path) -> Machine:
        return Machine()

    with_threads: list[ModelWorker[Machine]] = []
    threads = [threading.Thread(target=lambda: with_threads.append(shared_worker(load, Path("a")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, with_threads))) == 1
    assert shared_worker(load, Path("b")) is not with_threads[0]


def test_a_model_does_not_block_the_event_loop() -> None:
    async def ask() -> int:
        work = asyncio.ensure_future(ModelWorker(Machine).run(lambda machine: machine.work(0.2), stage="hear"))
        ticks = 0
        while not work.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(ask()) > 5


def test_a_call_that_waits_for_the_model_can_be_cancelled() -> None:
    worker = ModelWorker(Machine)
    used: list[str] = []

    async def ask() -> None:
        first = asyncio.ensure_future(worker.run(lambda machine: machine.work(0.1), stage="hear"))
        second = asyncio.ensure_future(worker.run(lambda _machine: used.append("second"), stage="hear"))
        await asyncio.sleep(0.02)
        second.cancel()
        await first
        await worker.run(lambda _machine: used.append("third"), stage="hear")

    asyncio.run(ask())
    assert used == ["third"]


def test_items_arrive_in_order() -> None:
    def produce(_machine: Machine, listener: Listener[int]) -> None:
        for number in range(50):
            listener.send(number)

    async def ask() -> list[int]:
        return [item async for item in ModelWorker(Machine).stream(produce, stage="think")]

    assert asyncio.run(ask()) == list(range(50))


def test_closing_the_stream_stops_the_work() -> None:
    worker = ModelWorker(Machine)

    async def ask() -> int:
        items = worker.stream(Machine.count, stage="think")
        async for item in items:
            if item == 5:
                break
        await items.aclose()
        return await worker.run(lambda machine: machine.counted, stage="think")

    assert asyncio.run(ask()) < 100


def test_closing_the_event_loop_stops_the_work() -> None:
    worker = ModelWorker(Machine)

    async def ask() -> None:
        await anext(worker.stream(Machine.count, stage="think"))

    asyncio.run(ask())
    assert asyncio.run(worker.run(lambda machine: machine.counted, stage="think")) < 100


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def produce(_machine: Machine, listener: Listener[str]) -> None:
        listener.send("one")
        raise RuntimeError

    async def ask() -> None:
        items = ModelWorker(Machine).stream(produce, stage="think")
        assert await anext(items) == "one"
        with pytest.raises(ProviderError, match="provider_failed"):
            await anext(items)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (FileNotFoundError("model.bin"), "models_missing", False),
        (ModuleNotFoundError("No module named 'kokoro_onnx'"), "models_missing", False),
        (RuntimeError("out of memory"), "provider_failed", True),
    ],
)
def test_every_error_becomes_a_provider_error(error: Exception, code: str, retryable: bool) -> None:
    def load() -> Machine:
        raise error

    worker = ModelWorker(load)
    with pytest.raises(ProviderError) as raised:
        asyncio.run(worker.preload(stage="speak"))
    assert (raised.value.code, raised.value.stage, raised.value.retryable) == (code, "speak", retryable)
    with pytest.raises(ProviderError):  # Each call tries again, because the files may have been installed meanwhile.
        asyncio.run(worker.preload(stage="speak"))


def test_words_of_the_user_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def use(_machine: Machine) -> None:
        message = "cannot speak: my secret"
        raise ValueError(message)

    with caplog.at_level(logging.DEBUG), pytest.raises(ProviderError) as raised:
        asyncio.run(ModelWorker(Machine).run(use, stage="speak"))
    assert "ValueError" in caplog.text
    assert "in use" in caplog.text
    assert "my secret" not in caplog.text
    assert raised.value.__cause__ is None
