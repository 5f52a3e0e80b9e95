"""One thread for each local model. It loads the model once and runs all calls in order.

Models take a second to load and hundreds of megabytes of memory, and concurrent calls only slow each other down. So all
engines of a process share a model, on any event loop, and computation never blocks an event loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar, cast

from apps.speech.base import ProviderError, Stage

Model = TypeVar("Model")
Result = TypeVar("Result")
Item = TypeVar("Item")

logger = logging.getLogger(__name__)
_creating = threading.Lock()
_END = object()


class Listener(Generic[Item]):
    """Passes items from the thread of a model to the event loop of the caller."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._closed = threading.Event()
        self.items: asyncio.Queue[object] = asyncio.Queue()

    @property
    def is_closed(self) -> bool:
        """Whether the caller is gone, so that further items are not needed."""
        return self._closed.is_set()

    def send(self, item: Item) -> None:
        try:
            self._loop.call_soon_threadsafe(self.items.put_nowait, item)
        except RuntimeError:  # The event loop was closed before the generator.
            self.close()

    def close(self) -> None:
        self._closed.set()


class ModelWorker(Generic[Model]):
    """The thread of one model. `load` returns the model; it runs once, in the thread, when the model is first used."""

    def __init__(self, load: Callable[[], Model]) -> None:
        self._load = load
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def run(self, use: Callable[[Model], Result], *, stage: Stage) -> Result:
        """Run `use` in the thread when the model is free, and return its result. Raises ProviderError."""
        return await asyncio.wrap_future(self._thread.submit(self._run, use, stage))

    async def stream(self, produce: Callable[[Model, Listener[Item]], None], *, stage: Stage) -> AsyncGenerator[Item]:
        """Yield the items that `produce` sends to its listener while it runs. Raises ProviderError."""
        listener = Listener[Item](asyncio.get_running_loop())
        work = asyncio.ensure_future(self.run(lambda model: produce(model, listener), stage=stage))
        work.add_done_callback(lambda _work: listener.items.put_nowait(_END))
        try:
            while (item := await listener.items.get()) is not _END:
                yield cast("Item", item)
            await work
        finally:
            listener.close()
            work.cancel()

    async def preload(self, *, stage: Stage) -> None:
        """Load the model, so that its first use does not wait. Raises ProviderError."""
        await self.run(lambda _model: None, stage=stage)

    async def renew(self, *, stage: Stage) -> None:
        """Load the model again beside the one in use, which serves all calls until then. Raises ProviderError."""
        self._model = await asyncio.to_thread(_with_provider_errors, self._load, stage)

    def _run(self, use: Callable[[Model], Result], stage: Stage) -> Result:
        """Run `use` in the thread, and load the model before its first use."""
        if self._model is None:
            self._model = _with_provider_errors(self._load, stage)
        model = self._model
        return _with_provider_errors(lambda: use(model), stage)


def _with_provider_errors(work: Callable[[], Result], stage: Stage) -> Result:
    """Return the result of `work`. Convert every error of a native library to a ProviderError."""
    try:
        return work()
    except ProviderError:
        raise
    except (FileNotFoundError, ImportError) as error:
        logger.error("The model of stage %s is not installed: %s", stage, error)
        raise ProviderError("models_missing", stage=stage, retryable=False) from None
    except Exception as error:  # noqa: BLE001 - native libraries raise anything
        # The message may contain words of the user; the frames do not.
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("The model of stage %s raised %s\n%s", stage, type(error).__name__, frames)
        raise ProviderError("provider_failed", stage=stage, retryable=True) from None


@functools.cache
def _worker(load: Callable[..., Model], *arguments: Hashable) -> ModelWorker[Model]:
    return ModelWorker(functools.partial(load, *arguments))


def shared_worker(load: Callable[..., Model], *arguments: Hashable) -> ModelWorker[Model]:
    """Return the only worker in the process for the model that `load(*arguments)` returns."""
    with _creating:
        return _worker(load, *arguments)
