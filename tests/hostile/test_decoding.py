"""The confinement of the decoder processes, and their failures."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from apps.speech.audio import decoding
from apps.speech.audio.decoder_pool import DecoderLimits, DecoderPool
from apps.speech.base import AudioBusyError, AudioError, Recording
from tests.client import wait_until
from tests.hostile.files import HONEST

MEGABYTE = 1_000_000
LIMITS = DecoderLimits(
    processes=1, jobs=1_000, cpu_seconds=30, seconds=60, memory_bytes=512 * MEGABYTE, wait_seconds=60
)
CHROME = HONEST["webm of chrome"]


def limits(**changed: float) -> DecoderLimits:
    return DecoderLimits(**{name: getattr(LIMITS, name) for name in DecoderLimits.__slots__} | changed)


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(LIMITS)
    yield pool
    pool.close()


@pytest.fixture
def pools() -> Iterator[list[DecoderPool]]:
    """Closes the pools that a test appends."""
    made: list[DecoderPool] = []
    yield made
    for pool in made:
        pool.close()


def decode(pool: DecoderPool, data: bytes = CHROME, *, sample_rate: int = 16_000, user_id: int = 1) -> Recording:
    return pool.decode(data, sample_rate=sample_rate, max_seconds=60, user_id=user_id)


def children() -> set[int]:
    """Return the decoder processes of this process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
        except OSError:
            continue
        if b"apps.speech.audio.decoder_process" in command and f"PPid:\t{os.getpid()}\n" in status:
            found.add(int(folder.name))
    return found


def child_of(pool: DecoderPool) -> int:
    """Start the only process of a pool and return its id."""
    before = children()
    pool.warm_up()
    (child,) = children() - before
    return child


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_it_returns_the_same_as_decoding_in_this_process(shared_pool: DecoderPool, name: str, sample_rate: int) -> None:
    data = HONEST[name]
    expected = decoding.decode(data, sample_rate=sample_rate, max_seconds=60)
    assert decode(shared_pool, data, sample_rate=sample_rate) == expected


def test_errors_are_the_same_as_in_this_process(shared_pool: DecoderPool) -> None:
    for data in (b"", b"text", CHROME[:100], HONEST["m4a"].replace(b"ftypM4A ", b"ftypM4P "), CHROME * 100):
        with pytest.raises(AudioError) as here:
            decoding.decode(data, sample_rate=16_000, max_seconds=1)
        with pytest.raises(AudioError) as there:
            shared_pool.decode(data, sample_rate=16_000, max_seconds=1, user_id=1)
        assert (there.value.code, there.value.message) == (here.value.code, here.value.message)


@pytest.fixture(scope="module")
def child() -> Iterator[Path]:
    """The folder of a decoder process below /proc."""
    os.environ["OPENAI_API_KEY"] = "key-of-the-environment"
    pool = DecoderPool(LIMITS)
    yield Path("/proc", str(child_of(pool)))
    pool.close()
    os.environ["OPENAI_API_KEY"] = ""


class TestConfinement:
    """Checked from outside, and with attempts from inside."""

    def test_it_has_no_key(self, child: Path) -> None:
        environment = (child / "environ").read_text().rstrip("\0").split("\0")
        assert {entry.split("=")[0] for entry in environment} == {"PYTHONPATH", "OPENBLAS_NUM_THREADS"}

    def test_it_has_no_open_file_but_its_streams(self, child: Path) -> None:
        assert {path.name for path in (child / "fd").iterdir()} == {"0", "1", "2"}
        assert [(child / "fd" / name).readlink().name.split(":")[0] for name in "01"] == ["pipe", "pipe"]

    def test_its_working_directory_is_deleted(self, child: Path) -> None:
        assert (child / "cwd").readlink().name.endswith(" (deleted)")

    def test_it_has_its_limits(self, child: Path) -> None:
        table = (child / "limits").read_text()
        limit = {line[:25].strip(): line[25:].split()[:2] for line in table.splitlines()}
        assert limit["Max open files"] == ["0", "0"]
        assert limit["Max processes"] == ["0", "0"]
        assert limit["Max core file size"] == ["0", "0"]
        assert limit["Max address space"] == [str(512 * MEGABYTE)] * 2

    def test_it_has_one_thread_and_its_own_session(self, child: Path) -> None:
        assert [path.name for path in (child / "task").iterdir()] == [child.name]
        assert os.getsid(int(child.name)) == int(child.name)

    @pytest.mark.parametrize(
        ("attempt", "refusal"),
        [
            ("open('/etc/hostname')", "OSError"),
            ("open('left-behind', 'w')", "OSError"),
            ("os.write(1, b'x')", "OSError"),
            ("__import__('socket').socket()", "OSError"),
            ("os.pipe()", "OSError"),
            ("os.listdir('/')", "OSError"),
            ("os.kill(os.getppid(), 0)", "PermissionError"),
            ("bytearray(600_000_000)", "MemoryError"),
        ],
    )
    def test_an_attempt_fails(self, attempt: str, refusal: str) -> None:
        program = (
            "import os, socket, sys\n"
            "from apps.speech.confinement import confine\n"
            "confine(512_000_000)\n"
            f"try: {attempt}\n"
            f"except {refusal} as error: sys.exit(0)\n"
            "sys.exit(1)\n"
        )
        environment = {"PYTHONPATH": str(django_settings.BASE_DIR), "OPENBLAS_NUM_THREADS": "1"}
        with tempfile.TemporaryFile() as file:
            done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=file, check=False)  # noqa: S603
        assert done.returncode == 0


class TestFailure:
    def test_a_process_that_dies_is_replaced(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(LIMITS))
        child = child_of(pools[0])
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: not is_alive(child))
        assert decode(pools[0]).seconds > 1

    def test_a_file_that_takes_too_much_memory_is_refused_with_advice(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(memory_bytes=300 * MEGABYTE)))
        with pytest.raises(AudioError) as error:
            decode(pools[0], HONEST["flac"] + bytes(200 * MEGABYTE))
        assert error.value.code == "audio_too_costly"
        assert "MP3" in error.value.message
        assert decode(pools[0]).seconds > 1

    def test_a_file_that_takes_too_much_cpu_time_is_refused(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(cpu_seconds=1)))
        with pytest.raises(AudioError) as error:
            decode(pools[0], comments(2_000_000))
        assert error.value.code == "audio_too_costly"
        assert decode(pools[0]).seconds > 1

    def test_a_file_that_takes_too_long_is_refused(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(seconds=0.5)))
        pools[0].warm_up()
        with pytest.raises(AudioError) as error:
            decode(pools[0], comments(2_000_000))
        assert error.value.code == "audio_too_costly"

    def test_a_process_that_hangs_is_killed(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(seconds=0.5)))
        child = child_of(pools[0])
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(AudioError, match="audio_too_costly"):
            decode(pools[0])
        assert not Path("/proc", str(child)).exists()

    def test_without_a_free_process_the_error_says_when_to_retry(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(seconds=60, wait_seconds=0.01)))
        child = child_of(pools[0])
        os.kill(child, signal.SIGSTOP)
        first: list[Recording] = []
        thread = threading.Thread(target=lambda: first.append(decode(pools[0])))
        thread.start()
        wait_until(lambda: not pools[0]._idle)
        with pytest.raises(AudioBusyError) as error:
            decode(pools[0])
        assert error.value.retry_after == 60
        os.kill(child, signal.SIGCONT)
        thread.join()
        assert first[0].seconds > 1

    def test_one_user_cannot_occupy_all_processes(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(processes=2, wait_seconds=0.01)))
        pools[0].warm_up()
        first = pools[0]._idle[0]._process.pid
        os.kill(first, signal.SIGSTOP)
        thread = threading.Thread(target=decode, args=[pools[0]])
        thread.start()
        wait_until(lambda: len(pools[0]._idle) == 1)
        with pytest.raises(AudioBusyError):
            decode(pools[0])
        assert decode(pools[0], user_id=2).seconds > 1
        os.kill(first, signal.SIGCONT)
        thread.join()
        assert decode(pools[0]).seconds > 1

    def test_a_process_is_replaced_after_the_maximum_of_jobs(self, pools: list[DecoderPool]) -> None:
        pools.append(DecoderPool(limits(jobs=2)))
        child = child_of(pools[0])
        decode(pools[0])
        assert child in children()
        decode(pools[0])
        assert child not in children()
        assert decode(pools[0]).seconds > 1

    def test_it_ends_when_the_application_does(self) -> None:
        program = (
            "from apps.speech.audio.decoder_pool import *\n"
            "pool = DecoderPool(DecoderLimits(1, 9, 9, 9, 512_000_000, 9))\n"
            "pool.warm_up()\n"
            "print(pool._idle[0]._process.pid, flush=True)\n"
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        environment = {"PYTHONPATH": str(django_settings.BASE_DIR)}
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program], env=environment, check=False, stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: not is_alive(int(done.stdout)))


def is_alive(process: int) -> bool:
    """Tell whether a process is running that is not a child of this one."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    return not re.search(r"^State:\tZ", status, re.MULTILINE)


class TestInvalidAnswers:
    """Answers of a process that an attacker controls. They are data and are never executed."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"\x00" + (2**40).to_bytes(8, "little"),
            b"\x01" + (2**40).to_bytes(8, "little"),
            b"\x01" + (4).to_bytes(8, "little") + b"{}[]",
            b"\x01" + (2).to_bytes(8, "little") + b"{}",
            b"\x01" + (17).to_bytes(8, "little") + b'["a", "%(x)d", 7]',
            b"\x01" + (24).to_bytes(8, "little") + b'["a", "%(x)d", {"y": 1}]',
            b"\x80\x04cos\nsystem\n",
        ],
    )
    def test_they_are_refused(self, pools: list[DecoderPool], answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        pools.append(DecoderPool(limits(seconds=1)))
        pools[0].warm_up()
        decoder = pools[0]._idle[0]
        other_end, own_end = os.pipe()
        os.write(own_end, answer)
        os.close(own_end)
        monkeypatch.setattr(decoder, "_answers", other_end)
        with pytest.raises(AudioError, match="audio_too_costly"):
            decode(pools[0])
        os.close(other_end)


class TestPlainWav:
    """The only kind of file that needs no decoder process."""

    def test_it_returns_the_same_as_decode(self) -> None:
        for sample_rate in (16_000, 44_100):
            plain = decoding.decode_plain_wav(HONEST["wav"], sample_rate=sample_rate, max_seconds=60)
            assert plain == decoding.decode(HONEST["wav"], sample_rate=sample_rate, max_seconds=60)

    @pytest.mark.parametrize("position", range(44))
    def test_a_file_with_one_different_byte_in_the_header_is_not_plain(self, position: int) -> None:
        data = bytearray(HONEST["wav"])
        data[position] ^= 0x55
        assert decoding.decode_plain_wav(bytes(data), sample_rate=16_000, max_seconds=60) is None

    @pytest.mark.parametrize("size", [0, 20, 43, 44, 45, 46, 1_000, 1_001])
    def test_a_truncated_file_is_not_plain(self, size: int) -> None:
        assert decoding.decode_plain_wav(HONEST["wav"][:size], sample_rate=16_000, max_seconds=60) is None

    def test_it_may_not_be_too_long(self) -> None:
        with pytest.raises(AudioError, match="audio_too_long"):
            decoding.decode_plain_wav(HONEST["wav"], sample_rate=16_000, max_seconds=0.5)


def comments(count: int) -> bytes:
    """Return a FLAC file with `count` comments. FFmpeg's time for them grows with the square of `count`."""
    text = bytes(4) + count.to_bytes(4, "little") + b"\x03\0\0\0a=b" * count
    blocks = b"\x04" + min(len(text), 2**24 - 1).to_bytes(3, "big") + text[: 2**24 - 1]
    return HONEST["flac"][:42] + blocks + HONEST["flac"][42:]
