"""The process that decodes uploads. `decoder_pool` starts it and talks to it over its standard streams.

An attacker who takes over this process with a crafted file finds no secrets and cannot leave it. It has an empty
environment, no open files but those streams, and cannot open files or sockets. The pool reads its answers as plain
bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import resource
import struct
import sys
import time
import wave
from typing import BinaryIO

from apps.speech.audio.decoding import decode
from apps.speech.audio.flac import to_flac
from apps.speech.base import AudioError, Recording
from apps.speech.confinement import confine

READY = b"\x01"
JOB = struct.Struct("<QId")  # Bytes of the upload, sample rate in hertz, maximum seconds. The upload follows.
ANSWER = struct.Struct("<BQ")  # One of the two kinds below, and the number of bytes that follow.
RECORDING, ERROR = 0, 1


def main() -> None:
    cpu_seconds, memory_bytes = map(int, sys.argv[1:])
    jobs, answers = open(0, "rb", buffering=0), open(1, "wb", buffering=0)  # noqa: SIM115 - open until the process ends
    _decode_once()
    confine(memory_bytes)
    answers.write(READY)
    with contextlib.suppress(EOFError, BrokenPipeError):  # The pool closed the pipes.
        while True:
            _do_job(jobs, answers, cpu_seconds)


def _decode_once() -> None:
    """Import everything that decoding needs. Later the process cannot open files."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 44_100, 0, "NONE", ""))
        writer.writeframes(bytes(40_000))
    decode(file.getvalue(), sample_rate=16_000, max_seconds=1)
    decode(to_flac(Recording(bytes(40_000), 44_100)), sample_rate=16_000, max_seconds=1)


def _do_job(jobs: BinaryIO, answers: BinaryIO, cpu_seconds: int) -> None:
    size, sample_rate, max_seconds = JOB.unpack(_read(jobs, JOB.size))
    data = _read(jobs, size)
    # The limit is on the total CPU time of the process, so the time used by earlier jobs is added.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + cpu_seconds, resource.RLIM_INFINITY))
    kind, body = _answer(data, sample_rate, max_seconds)
    _write(answers, ANSWER.pack(kind, len(body)))
    _write(answers, body)


def _answer(data: bytes, sample_rate: int, max_seconds: float) -> tuple[int, bytes]:
    try:
        return RECORDING, decode(data, sample_rate=sample_rate, max_seconds=max_seconds).pcm
    except AudioError as error:
        return ERROR, json.dumps([error.code, error.text, error.values]).encode()


def _read(file: BinaryIO, size: int) -> bytes:
    """Read exactly `size` bytes."""
    data = bytearray()
    while len(data) < size:
        chunk = file.read(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


if __name__ == "__main__":
    main()
