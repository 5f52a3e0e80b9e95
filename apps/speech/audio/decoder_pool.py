"""Decodes uploads in separate processes, so that hostile bytes can harm FFmpeg only there.

docs/decisions/0015-decoding-in-children.md says why this is not the pool of a library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import apps
from apps.speech.audio import decoder_process
from apps.speech.audio.decoder_process import ANSWER, JOB, READY, RECORDING
from apps.speech.audio.decoding import SLACK_SECONDS, decode_plain_wav, too_costly
from apps.speech.base import AudioBusyError, AudioError, Recording

logger = logging.getLogger(__name__)

PROJECT_DIR = Path(apps.__path__[0]).parent
START_SECONDS = 60
PIPE_BYTES = 1_048_576  # The largest size that Linux allows unprivileged users. A spoken question fits into it.
MAX_ERROR_BYTES = 10_000
# The process ended, hangs, or sent an invalid answer.
PROCESS_ERRORS = (OSError, EOFError, ValueError, TypeError, KeyError, struct.error)


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """`processes` run at the same time. Each is replaced after `jobs`.

    A job may take `cpu_seconds` of CPU time, `seconds` in all and `memory_bytes`. It may wait `wait_seconds` for a free
    process.
    """

    processes: int
    jobs: int
    cpu_seconds: int
    seconds: float
    memory_bytes: int
    wait_seconds: float


class DecoderPool:
    """Processes that wait for uploads, for all threads. They start when they are first needed, or by `warm_up`.

    A process that fails is replaced at once. If there are several processes, one user cannot occupy all of them.
    """

    def __init__(self, limits: DecoderLimits) -> None:
        self._limits = limits
        self._max_per_user = max(1, limits.processes - 1)
        self._busy: Counter[Hashable] = Counter()
        self._slot_released = threading.Condition()
        self._idle: deque[_Decoder] = deque()

    def warm_up(self) -> None:
        """Start all processes and wait until they are ready."""
        while len(self._idle) < self._limits.processes:
            self._idle.append(_Decoder(self._limits))
        for decoder in list(self._idle):
            decoder.wait_until_ready()

    def decode(self, data: bytes, *, sample_rate: int, max_seconds: float, user_id: Hashable) -> Recording:
        """Decode as `decoding.decode` does, with the same result and errors. `user_id` is any key of the user.

        Also raises AudioError audio_too_costly if a limit is exceeded or the process dies, and AudioBusyError if no
        process gets free for this user in time.
        """
        plain = decode_plain_wav(data, sample_rate=sample_rate, max_seconds=max_seconds)
        if plain is not None:
            return plain
        with self._place_for(user_id):
            return self._decode(data, sample_rate, max_seconds)

    @contextlib.contextmanager
    def _place_for(self, user_id: Hashable) -> Iterator[None]:
        with self._slot_released:
            if not self._slot_released.wait_for(lambda: self._is_free_for(user_id), self._limits.wait_seconds):
                raise AudioBusyError(retry_after=round(self._limits.seconds))
            self._busy[user_id] += 1
        try:
            yield
        finally:
            with self._slot_released:
                self._busy[user_id] -= 1
                self._busy += Counter()  # Drops the keys with a count of 0.
                self._slot_released.notify_all()

    def _is_free_for(self, user_id: Hashable) -> bool:
        return self._busy.total() < self._limits.processes and self._busy[user_id] < self._max_per_user

    def _decode(self, data: bytes, sample_rate: int, max_seconds: float) -> Recording:
        decoder = self._idle_decoder()
        must_replace = True
        try:
            answer = decoder.decode(data, sample_rate, max_seconds)
            must_replace = decoder.jobs_done >= self._limits.jobs
        except AudioError:
            must_replace = decoder.jobs_done >= self._limits.jobs
            raise
        except PROCESS_ERRORS as error:
            logger.warning("A recording exceeded the limits of decoding", extra={"fault": type(error).__name__})
            raise too_costly() from error
        finally:
            self._put_back(decoder, must_replace=must_replace)
        return answer

    def _put_back(self, decoder: _Decoder, *, must_replace: bool) -> None:
        if must_replace:
            decoder.kill()
            decoder = _Decoder(self._limits)  # It starts in the background.
        self._idle.append(decoder)

    def _idle_decoder(self) -> _Decoder:
        """Return the process that has waited longest. Start one if none is alive."""
        with contextlib.suppress(IndexError):
            while True:
                decoder = self._idle.popleft()
                if decoder.is_alive:
                    return decoder
                decoder.kill()
        return _Decoder(self._limits)

    def close(self) -> None:
        """Kill all idle processes."""
        while self._idle:
            self._idle.pop().kill()


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._seconds = limits.seconds
        self._is_ready = False
        self.jobs_done = 0
        # Not a fork, because this process has threads, and with a new environment, because this one contains keys.
        self._process = subprocess.Popen(  # noqa: S603 - the command contains no input
            [sys.executable, "-P", "-s", "-m", decoder_process.__name__, *_arguments(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pipesize=PIPE_BYTES,
            env={"PYTHONPATH": str(PROJECT_DIR), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl+C does not reach it, and its forks are killed with it.
        )
        self._jobs, self._answers = _non_blocking(self._process.stdin), _non_blocking(self._process.stdout)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until the process has started. Raises OSError and EOFError."""
        if not self._is_ready:
            self._read(len(READY), time.monotonic() + START_SECONDS)
            self._is_ready = True

    def decode(self, data: bytes, sample_rate: int, max_seconds: float) -> Recording:
        """Decode one file. Raises AudioError, or PROCESS_ERRORS, after which the process has to be replaced."""
        self.wait_until_ready()
        self.jobs_done += 1
        deadline = time.monotonic() + self._seconds
        self._write(JOB.pack(len(data), sample_rate, max_seconds), deadline)
        self._write(data, deadline)
        kind, size = ANSWER.unpack(self._read(ANSWER.size, deadline))
        max_size = 2 * sample_rate * (max_seconds + SLACK_SECONDS + 1) if kind == RECORDING else MAX_ERROR_BYTES
        if size > max_size:
            raise ValueError("the answer is longer than any valid one")
        body = self._read(size, deadline)
        if kind != RECORDING:
            raise _to_audio_error(body)
        return Recording(body, sample_rate)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:  # Closes the pipes and waits until the process has ended.
            pass

    def _write(self, data: bytes, deadline: float) -> None:
        remaining = memoryview(data)
        while remaining:
            _wait(self._jobs, select.POLLOUT, deadline)
            remaining = remaining[os.write(self._jobs, remaining) :]

    def _read(self, size: int, deadline: float) -> bytes:
        chunks = []
        while size:
            _wait(self._answers, select.POLLIN, deadline)
            chunk = os.read(self._answers, size)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


def _arguments(limits: DecoderLimits) -> list[str]:
    return [str(limits.cpu_seconds), str(limits.memory_bytes)]


def _non_blocking(pipe: IO[bytes] | None) -> int:
    """Make `pipe` non-blocking and return its file descriptor."""
    assert pipe is not None  # noqa: S101 - Popen was called with PIPE
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise TimeoutError


def _to_audio_error(body: bytes) -> AudioError:
    code, text, values = json.loads(body)
    if not (isinstance(code, str) and isinstance(text, str) and isinstance(values, Mapping)):
        raise TypeError
    error = AudioError(code, text, values)
    _ = error.message  # Raises here, and not where the message is shown, if a value of the text is missing.
    return error
