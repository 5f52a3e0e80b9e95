"""Hostile files sent to every endpoint that accepts audio: each has its expected outcome and no other effect.

By default each endpoint gets all valid files and a different quarter of the others. With HOSTILE_FILES=all, each gets
every file.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from django.conf import settings as django_settings
from django.test import Client

from apps.speech.audio.decoding import decode
from apps.speech.base import Recording
from apps.voices.models import VoiceProfile
from tests.audio_samples import to_wav
from tests.client import Api, turns_path
from tests.factories import make_consent
from tests.hostile import crafted
from tests.hostile.corpus import corpus
from tests.hostile.files import ACCEPTED, EITHER, SILENT, HostileFile
from tests.hostile.playlists import Canaries

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.conftest import Server

AT_ONCE = 2  # The number of decoder processes.
BATCH = 60
CANARY_HERTZ = 5_000
SILENCES = {"sample_silent", "nothing_heard"}
REFUSED = "refused"


@dataclass
class Visits:
    """The data that arrived at the canary's address, over TCP or UDP."""

    canaries: Canaries
    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visits]:
    sound = 20_000 * np.sin(2 * np.pi * CANARY_HERTZ * np.arange(48_000) / 16_000)
    file = tmp_path_factory.mktemp("canary") / "canary.wav"
    file.write_bytes(to_wav(Recording(sound.astype("<i2").tobytes(), 16_000)))
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        address = tcp.getsockname()
        udp.bind(address)
        visits = Visits(Canaries(file, "http://{}:{}".format(*address)))
        threads = [threading.Thread(target=watch, args=(visits, on)) for on in (tcp, udp)]
        for thread in threads:
            thread.start()
        yield visits
        with socket.create_connection(address):
            udp.sendto(b"", address)
        for thread in threads:
            thread.join()


def watch(visits: Visits, on: socket.socket) -> None:
    """Record connections until the fixture itself connects and sends nothing."""
    while True:
        if on.type == socket.SOCK_STREAM:
            connection, _ = on.accept()
            with connection:
                connection.settimeout(5)
                data = connection.recv(1_000)
        else:
            data = on.recv(1_000)
        if not data:
            return
        visits.seen.append(data.decode(errors="replace"))


@pytest.fixture(scope="module")
def files(visits: Visits) -> list[HostileFile]:
    return corpus(visits.canaries)


@dataclass(frozen=True)
class Doors:
    """The endpoints. Each method sends a file and returns the outcome: ACCEPTED, SILENT, REFUSED or an error code."""

    api: Api
    conversation: Conversation
    site: str
    session: requests.Session
    csrf_token: str

    def clone_voice(self, file: HostileFile) -> str:
        form = {"data": {"voice_name": "Jane"}, "files": [("audio_file", (file.filename, file.data))]}
        return outcome(self.api.post("/clone-voice", timeout=120, **form))

    def turn(self, file: HostileFile) -> str:
        form = {"files": {"audio": (file.filename, file.data)}}
        return outcome(self.api.post(turns_path(self.conversation), timeout=120, **form))

    def transcription(self, file: HostileFile) -> str:
        form = {"files": {"file": (file.filename, file.data)}, "data": {"model": "any"}}
        response = self.api.post("/v1/audio/transcriptions", timeout=120, **form)
        return SILENT if response.ok and not response.json()["text"] else outcome(response)

    def page(self, file: HostileFile) -> str:
        form: dict[str, Any] = {
            "data": {"name": "Jane", "csrfmiddlewaretoken": self.csrf_token},
            "files": {"audio": (file.filename, file.data)},
        }
        response = self.session.post(f"{self.site}/voices/", allow_redirects=False, timeout=120, **form)
        assert response.status_code in {302, 422}, (file, response.status_code)
        return ACCEPTED if response.status_code == 302 else REFUSED


DOORS = [Doors.clone_voice, Doors.turn, Doors.transcription, Doors.page]


def outcome(response: requests.Response) -> str:
    assert response.status_code < 500, response.text
    if response.ok:
        return ACCEPTED
    code = response.json()["error"]["code"]
    return SILENT if code in SILENCES else str(code)


@pytest.fixture
def consent(alice: User, settings: Settings) -> None:
    """A consent without a recording, so that the speaker of a file is not compared."""
    settings.CONSENT = "attested"
    make_consent(alice, method="attested", clip="")


@pytest.fixture
def doors(
    server: Server, alice: User, consent: None, alice_api: Api, conversation: Conversation, settings: Settings
) -> Iterator[Doors]:
    settings.MIN_SAMPLE_SECONDS = 0
    signed_in = Client()
    signed_in.force_login(alice)
    with requests.Session() as session:
        session.cookies["sessionid"] = signed_in.cookies["sessionid"].value
        session.cookies["csrftoken"] = csrf_token = secrets.token_hex(16)
        yield Doors(alice_api, conversation, server.url, session, csrf_token)


def test_there_are_more_than_700_files_with_unique_names(files: list[HostileFile]) -> None:
    assert len({file.name for file in files}) == len(files) > 700


def test_damage_is_the_same_in_every_run() -> None:
    for damage in (crafted.truncations, crafted.bit_flips, crafted.shuffled):
        assert list(damage()) == list(damage())


def share_of(door: int, files: list[HostileFile]) -> list[HostileFile]:
    """Return the files for an endpoint."""
    if os.environ.get("HOSTILE_FILES") == "all":
        return files
    return [file for number, file in enumerate(files) if file.name.startswith("honest") or number % len(DOORS) == door]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(DOORS)), ids=[door.__name__ for door in DOORS])
def test_each_outcome_is_expected(doors: Doors, files: list[HostileFile], visits: Visits, number: int) -> None:
    wrong = []
    door, files = DOORS[number], share_of(number, files)
    with ThreadPoolExecutor(AT_ONCE) as senders:
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            outcomes = senders.map(partial(door, doors), batch)
            for file, came in zip(batch, outcomes, strict=True):
                if not is_expected(file, came):
                    wrong.append((file.name, came))
            check_what_was_stored()
            VoiceProfile.objects.exclude(conversations=doors.conversation).delete()
    assert wrong == []
    assert visits.seen == []
    assert largest_child() < 512_000_000


def is_expected(file: HostileFile, came: str) -> bool:
    if came == REFUSED:
        return file.verdicts != {ACCEPTED}
    if EITHER in file.verdicts and (came in {ACCEPTED, SILENT} or came.startswith("audio_")):
        return True
    return came in file.verdicts


def check_what_was_stored() -> None:
    """Check that stored files are in their folders and contain no sound of the canary. Deletes them."""
    media = Path(django_settings.MEDIA_ROOT)
    for path in media.rglob("*"):
        if path.is_dir():
            continue
        assert re.fullmatch(r"(samples|questions|answers)/\d+/[\w-]+\.flac", str(path.relative_to(media)))
        recording = decode(path.read_bytes(), sample_rate=16_000, max_seconds=600)
        assert share_of_canary(recording) < 0.1, path
        path.unlink()


def share_of_canary(recording: Recording) -> float:
    """Return the share (0–1) of the energy of a recording at 16 kHz that is at the canary's frequency."""
    power = np.abs(np.fft.rfft(np.frombuffer(recording.pcm, "<i2").astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(recording.pcm) // 2, 1 / 16_000)
    return float(power[np.abs(hertz - CANARY_HERTZ) < 20].sum() / max(power[1:].sum(), 1))


def largest_child() -> int:
    """Return the peak memory of the decoder processes in bytes."""
    peaks = [0]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"apps.speech.audio.decoder_process" in (folder / "cmdline").read_bytes():
                peaks += map(int, re.findall(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text()))
        except OSError:
            continue
    return max(peaks) * 1_000


def test_the_check_detects_the_canarys_sound(visits: Visits) -> None:
    recording = decode(visits.canaries.file.read_bytes(), sample_rate=16_000, max_seconds=60)
    assert share_of_canary(recording) > 0.9


def test_the_canary_records_a_connection(tmp_path_factory: pytest.TempPathFactory) -> None:
    watched = visits.__wrapped__(tmp_path_factory)  # type: ignore[attr-defined]
    own = next(watched)
    with pytest.raises(requests.ConnectionError):
        requests.get(own.canaries.url, timeout=5)
    next(watched, None)
    assert own.seen[0].startswith("GET / HTTP")
