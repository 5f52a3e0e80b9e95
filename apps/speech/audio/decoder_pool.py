"""Decodes uploads in processes of their own: what FFmpeg makes of hostile bytes stays there.

Why not a library's pool: docs/decisions/0015-decoding-in-children.md.
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
from apps.speech.audio.decoder_process import ANSWER, JOB, READY, RECORDING
from apps.speech.audio.decoding import SLACK_SECONDS, decode_plain_wav, too_costly
from apps.speech.base import AudioBusyError, AudioError, Recording

logger = logging.getLogger(__name__)

PROJECT_DIR = Path(apps.__path__[0]).parent
START_SECONDS = 60
PIPE_BYTES = 1_048_576  # What Linux allows everyone: a spoken question goes through at once.
MAX_REFUSAL_BYTES = 10_000
# A process that has ended, hangs, or answers what makes no sense.
FAILURES = (OSError, EOFError, ValueError, TypeError, KeyError, struct.error)


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """`processes` decode at once, and each is exchanged after `jobs`.

    A job may take so much time and memory, and wait so long for a free process.
    """

    processes: int
    jobs: int
    cpu_seconds: int
    seconds: float
    memory_bytes: int
    wait_seconds: float


class DecoderPool:
    """Processes that wait for uploads. Any thread may ask; a process starts when it is first needed, or by `warm_up`.

    A process that fails is replaced at once. Nobody has all of several processes at once: what is left is for others.
    """

    def __init__(self, limits: DecoderLimits) -> None:
        self._limits = limits
        self._most_for_one = max(1, limits.processes - 1)
        self._busy: Counter[Hashable] = Counter()
        self._one_less_busy = threading.Condition()
        self._idle: deque[_Decoder] = deque()

    def warm_up(self) -> None:
        """Start all processes and wait until they are ready."""
        while len(self._idle) < self._limits.processes:
            self._idle.append(_Decoder(self._limits))
        for decoder in list(self._idle):
            decoder.wait_until_ready()

    def decode(self, data: bytes, *, sample_rate: int, max_seconds: float, asker: Hashable) -> Recording:
        """Do what `audio.decode` does for `asker`, whoever that is, and raise what it raises.

        Raises also AudioError audio_too_costly, where a limit is exceeded or the process dies, and AudioBusyError,
        where no process is free in time, or none for this asker.
        """
        plain = decode_plain_wav(data, sample_rate=sample_rate, max_seconds=max_seconds)
        if plain is not None:
            return plain
        with self._place_for(asker):
            return self._decode(data, sample_rate, max_seconds)

    @contextlib.contextmanager
    def _place_for(self, asker: Hashable) -> Iterator[None]:
        with self._one_less_busy:
            if not self._one_less_busy.wait_for(lambda: self._is_free_for(asker), self._limits.wait_seconds):
                raise AudioBusyError(retry_after=round(self._limits.seconds))
            self._busy[asker] += 1
        try:
            yield
        finally:
            with self._one_less_busy:
                self._busy[asker] -= 1
                self._busy += Counter()  # Forgets whom nothing is decoded for.
                self._one_less_busy.notify_all()

    def _is_free_for(self, asker: Hashable) -> bool:
        return self._busy.total() < self._limits.processes and self._busy[asker] < self._most_for_one

    def _decode(self, data: bytes, sample_rate: int, max_seconds: float) -> Recording:
        decoder = self._idle_decoder()
        is_spent = True
        try:
            answer = decoder.decode(data, sample_rate, max_seconds)
            is_spent = decoder.jobs_done >= self._limits.jobs
        except AudioError:
            is_spent = decoder.jobs_done >= self._limits.jobs
            raise
        except FAILURES as error:
            logger.warning("A recording took more than it may", extra={"fault": type(error).__name__})
            raise too_costly() from error
        finally:
            self._put_back(decoder, is_spent=is_spent)
        return answer

    def _put_back(self, decoder: _Decoder, *, is_spent: bool) -> None:
        if is_spent:
            decoder.kill()
            decoder = _Decoder(self._limits)  # It gets ready while nobody waits for it.
        self._idle.append(decoder)

    def _idle_decoder(self) -> _Decoder:
        """Take the process that has waited longest, or start one where there is none yet, or none alive."""
        with contextlib.suppress(IndexError):
            while True:
                decoder = self._idle.popleft()
                if decoder.is_alive:
                    return decoder
                decoder.kill()
        return _Decoder(self._limits)

    def close(self) -> None:
        """End all processes that wait."""
        while self._idle:
            self._idle.pop().kill()


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._seconds = limits.seconds
        self._is_ready = False
        self.jobs_done = 0
        # Neither a fork of this process, which has threads, nor anything of its environment, which has keys.
        self._process = subprocess.Popen(  # noqa: S603 - nothing in the command comes from outside
            [sys.executable, "-P", "-s", "-m", "apps.speech.audio.decoder_process", *_arguments(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pipesize=PIPE_BYTES,
            env={"PYTHONPATH": str(PROJECT_DIR), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Out of reach of Ctrl+C, and with its forks killed as one.
        )
        self._jobs, self._answers = _opened(self._process.stdin), _opened(self._process.stdout)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for the end of its start. Raises OSError and EOFError."""
        if not self._is_ready:
            self._read(len(READY), time.monotonic() + START_SECONDS)
            self._is_ready = True

    def decode(self, data: bytes, sample_rate: int, max_seconds: float) -> Recording:
        """Have one file decoded. Raises AudioError, and FAILURES, after which the process is of no use."""
        self.wait_until_ready()
        self.jobs_done += 1
        deadline = time.monotonic() + self._seconds
        self._write(JOB.pack(len(data), sample_rate, max_seconds), deadline)
        self._write(data, deadline)
        kind, size = ANSWER.unpack(self._read(ANSWER.size, deadline))
        longest = 2 * sample_rate * (max_seconds + SLACK_SECONDS + 1) if kind == RECORDING else MAX_REFUSAL_BYTES
        if size > longest:
            raise ValueError("the answer is longer than any")
        body = self._read(size, deadline)
        if kind != RECORDING:
            raise _refusal(body)
        return Recording(body, sample_rate)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:  # Closes the pipes and waits for its end.
            pass

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._jobs, select.POLLOUT, deadline)
            rest = rest[os.write(self._jobs, rest) :]

    def _read(self, size: int, deadline: float) -> bytes:
        pieces = []
        while size:
            _wait(self._answers, select.POLLIN, deadline)
            piece = os.read(self._answers, size)
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def _arguments(limits: DecoderLimits) -> list[str]:
    return [str(limits.cpu_seconds), str(limits.memory_bytes)]


def _opened(pipe: IO[bytes] | None) -> int:
    """Return the descriptor of a pipe that never makes a thread wait."""
    assert pipe is not None  # noqa: S101 - it was asked for
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise TimeoutError


def _refusal(body: bytes) -> AudioError:
    code, text, values = json.loads(body)
    if not (isinstance(code, str) and isinstance(text, str) and isinstance(values, Mapping)):
        raise TypeError
    error = AudioError(code, text, values)
    _ = error.message  # Made here once: a text whose values are missing must not fail where it is told.
    return error
