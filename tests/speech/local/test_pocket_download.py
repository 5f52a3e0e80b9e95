"""The download of Pocket TTS, from a release server on loopback."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import shutil
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from apps.speech.checks import check_pocket
from apps.speech.local import pocket_bundle, pocket_download
from apps.speech.local.pocket_bundle import OFFICIAL, Bundle
from apps.speech.local.pocket_download import BLOCK_BYTES, DownloadError, fetch
from tests.client import NOWHERE
from tests.pocket import STAND_IN_DIR, bundle_of

if TYPE_CHECKING:
    from pytest_django import Settings

FOLDER = "pocket"
NAMES = {*(file.name for file in OFFICIAL.files), "LICENSE", "README.md"}


class ReleaseServer(ThreadingHTTPServer):
    """Serves one archive. It breaks off after `breaks_after` bytes, once; without `has_ranges` it sends everything."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ReleaseHandler)
        self.archive = b""
        self.breaks_after: int | None = None
        self.has_ranges = True
        self.status = 200
        self.sent: list[int] = []
        """The number of bytes of each answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/pocket.tar.bz2"


class ReleaseHandler(BaseHTTPRequestHandler):
    server: ReleaseServer

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.server.has_ranges else 0
        body = self.server.archive[start:]
        if start and not body:
            self.send_error(416)
            return
        self.send_response(206 if start else self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end, self.server.breaks_after = self.server.breaks_after, None
        self.wfile.write(body[:end])
        self.server.sent.append(len(body[:end]))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        pass


@pytest.fixture
def release() -> Iterator[ReleaseServer]:
    with ReleaseServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
    thread.join()


def archive_of(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:bz2") as tarball:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tarball.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tarball.addfile(member, io.BytesIO(content))
    return file.getvalue()


def stand_in_members() -> dict[str, bytes | tarfile.TarInfo]:
    files = {f"{FOLDER}/{file.name}": (STAND_IN_DIR / file.name).read_bytes() for file in OFFICIAL.files}
    return {**files, f"{FOLDER}/LICENSE": b"CC BY 4.0", f"{FOLDER}/README.md": b"non-commercial"}


def publish(release: ReleaseServer, members: dict[str, bytes | tarfile.TarInfo]) -> Bundle:
    release.archive = archive_of(members)
    sha256 = hashlib.sha256(release.archive).hexdigest()
    return bundle_of(STAND_IN_DIR, url=release.url, size=len(release.archive), sha256=sha256)


@pytest.fixture
def bundle(release: ReleaseServer) -> Bundle:
    """The stand-in as a release, with a recording that is not needed and cannot be compressed."""
    recording = random.Random(1).randbytes(200_000)  # noqa: S311 - any bytes
    return publish(release, {**stand_in_members(), f"{FOLDER}/test_wavs/bria.wav": recording})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "pocket-tts"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def test_it_unpacks_what_is_needed_and_deletes_the_archive(bundle: Bundle, folder: Path) -> None:
    report: list[str] = []
    fetch(folder, bundle, report.append)
    pocket_bundle.verify(folder, bundle)
    assert files_in(folder) == NAMES
    assert report[-1] == f"Pocket TTS is installed in {folder}."


def test_an_interrupted_download_continues_where_it_stopped(
    release: ReleaseServer, bundle: Bundle, folder: Path
) -> None:
    release.breaks_after = 150_000
    with pytest.raises(DownloadError, match="it continues where it stopped"):
        fetch(folder, bundle, print)
    fetch(folder, bundle, print)
    assert release.sent[1] <= bundle.size - 150_000 + BLOCK_BYTES
    assert files_in(folder) == NAMES


def test_a_server_without_ranges_sends_everything_again(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    release.breaks_after, release.has_ranges = 150_000, False
    with pytest.raises(DownloadError):
        fetch(folder, bundle, print)
    fetch(folder, bundle, print)
    assert release.sent == [150_000, bundle.size]


def test_a_complete_download_is_not_repeated(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    fetch(folder, bundle, print)
    fetch(folder, bundle, print)
    assert len(release.sent) == 1


def test_a_changed_archive_is_refused_and_deleted(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    release.archive = release.archive[:-1] + bytes([release.archive[-1] ^ 1])
    with pytest.raises(DownloadError, match=r"SHA-256 is wrong\. It was deleted"):
        fetch(folder, bundle, print)
    assert files_in(folder) == set()


def test_a_longer_archive_is_refused_and_deleted(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    release.archive += b"x" * 2_000_000
    with pytest.raises(DownloadError, match="larger than the published one"):
        fetch(folder, bundle, print)
    assert files_in(folder) == set()


def test_a_shorter_archive_does_not_stop_later_tries(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    whole, release.archive = release.archive, release.archive[:150_000]
    for _ in range(2):
        with pytest.raises(DownloadError):
            fetch(folder, bundle, print)
    release.archive = whole
    fetch(folder, bundle, print)


@pytest.mark.parametrize("status", [404, 503])
def test_a_failure_of_the_server_is_told(release: ReleaseServer, bundle: Bundle, folder: Path, status: int) -> None:
    release.status = status
    with pytest.raises(DownloadError, match=f"could not be downloaded.*HTTP {status}"):
        fetch(folder, bundle, print)


def test_an_unreachable_server_is_told(bundle: Bundle, folder: Path) -> None:
    with pytest.raises(DownloadError, match="Check the network connection"):
        fetch(folder, replace(bundle, url=NOWHERE), print)


def test_a_folder_that_cannot_be_written_is_told(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch(tmp_path / "a-file", bundle, print)


def test_a_full_disk_is_told_before_the_download(release: ReleaseServer, bundle: Bundle, folder: Path) -> None:
    with pytest.raises(DownloadError, match=r"needs 1000000000 MB in .* are free"):
        fetch(folder, replace(bundle, size=10**15), print)
    assert not release.sent


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "hostile",
    [
        {"../vocab.json": b"x", "/vocab.json": b"x", "pocket/../vocab.json": b"x", "vocab.json": b"x"},
        {f"{FOLDER}/vocab.json": link(f"{FOLDER}/vocab.json", tarfile.SYMTYPE)},
        {f"{FOLDER}/vocab.json": link(f"{FOLDER}/vocab.json", tarfile.LNKTYPE)},
        {f"{FOLDER}/vocab.json": b"x" * 10_000_000},
        {f"{FOLDER}/LICENSE": b"x" * 10_000_000},
        {f"{FOLDER}/vocab.json": b"{}"},
    ],
    ids=["other paths", "symbolic link", "hard link", "too large", "large notice", "other content"],
)
def test_a_hostile_archive_writes_nothing(
    release: ReleaseServer, folder: Path, hostile: dict[str, bytes | tarfile.TarInfo]
) -> None:
    """Even if its SHA-256 is the expected one."""
    members = stand_in_members()
    if f"{FOLDER}/LICENSE" not in hostile:
        del members[f"{FOLDER}/vocab.json"]
    bundle = publish(release, {**members, **hostile})
    before = files_in(folder.parent.parent)
    with pytest.raises(DownloadError):
        fetch(folder, bundle, print)
    new = files_in(folder.parent.parent) - before
    assert all(name.startswith("models/pocket-tts/.download/") for name in new)
    assert pocket_bundle.missing(folder, bundle) == [file.name for file in bundle.files]


def test_what_is_no_archive_is_told(release: ReleaseServer, folder: Path) -> None:
    bundle = publish(release, {})
    release.archive = b"a page of a proxy"
    sha256 = hashlib.sha256(release.archive).hexdigest()
    with pytest.raises(DownloadError, match="cannot be read"):
        fetch(folder, replace(bundle, size=len(release.archive), sha256=sha256), print)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The keyboard of a terminal at which the command runs, to write to."""
    keyboard, screen = os.openpty()
    with os.fdopen(screen) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard
    os.close(keyboard)


class TestCommand:
    """`manage.py fetch_models --with pocket-tts`"""

    @pytest.fixture(autouse=True)
    def settings_of_pocket(self, settings: Settings, bundle: Bundle, folder: Path) -> None:
        settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = "openai"
        settings.TEXT_TO_SPEECH = "pocket"
        settings.POCKET_BUNDLE, settings.POCKET_MODEL_DIR = bundle, folder

    def run(self, *arguments: str) -> str:
        output = io.StringIO()
        call_command("fetch_models", "--if-used", *arguments, stdout=output)
        return output.getvalue()

    @pytest.fixture(autouse=True)
    def speaker_encoder(self, models_dir: Path, settings: Settings) -> None:
        settings.MODELS_DIR = models_dir

    def test_it_does_nothing_without_being_asked(self, release: ReleaseServer) -> None:
        assert "Pocket TTS is not installed. Run: manage.py fetch_models --with pocket-tts" in self.run()
        assert not release.sent

    def test_it_refuses_without_an_accepted_licence(
        self, release: ReleaseServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))  # No terminal: nobody has read the notice.
        with pytest.raises(CommandError, match=r"add --accept-licence pocket-tts\. Nothing was downloaded"):
            self.run("--with", "pocket-tts")
        assert not release.sent

    def test_it_downloads_with_an_accepted_licence(self, folder: Path) -> None:
        output = self.run("--with", "pocket-tts", "--accept-licence", "pocket-tts")
        for notice in ("CC BY 4.0", "non-commercial", "consent of its speaker", "© Kyutai", "no warranty"):
            assert notice in output
        assert files_in(folder) == NAMES
        assert self.run("--with", "pocket-tts").endswith(f"Pocket TTS is installed in {folder}.\n")
        assert "not installed" not in self.run()

    @pytest.mark.parametrize("answer", ["yes", "YES"])
    def test_a_person_at_a_terminal_is_asked(self, terminal: int, folder: Path, answer: str) -> None:
        os.write(terminal, f"{answer}\n".encode())
        self.run("--with", "pocket-tts")
        assert files_in(folder) == NAMES

    @pytest.mark.parametrize("answer", ["no", "", "y"])
    def test_a_person_may_refuse(self, terminal: int, release: ReleaseServer, answer: str) -> None:
        os.write(terminal, f"{answer}\n".encode())
        with pytest.raises(CommandError, match=r"The licence was not accepted\. Nothing was downloaded"):
            self.run("--with", "pocket-tts")
        assert not release.sent

    def test_a_changed_file_is_an_error(self, folder: Path) -> None:
        shutil.copytree(STAND_IN_DIR, folder)
        path = folder / "encoder.onnx"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(CommandError, match=r"encoder\.onnx is not the published file.*Delete it, then run"):
            self.run("--with", "pocket-tts")
        path.unlink()
        self.run("--with", "pocket-tts", "--accept-licence", "pocket-tts")

    def test_the_system_check_warns_until_it_is_installed(self, folder: Path, settings: Settings) -> None:
        (warning,) = check_pocket(None)
        assert warning.id == "speech.W006"
        assert "encoder.onnx" in warning.msg
        assert warning.hint == "Run: manage.py fetch_models --with pocket-tts"
        shutil.copytree(STAND_IN_DIR, folder)
        assert check_pocket(None) == []
        folder.rename(folder.with_name("elsewhere"))
        settings.TEXT_TO_SPEECH = "local"
        assert check_pocket(None) == []


def test_the_official_release_is_named_in_full() -> None:
    assert OFFICIAL.url.startswith("https://github.com/k2-fsa/sherpa-onnx/releases/download/tts-models/")
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in [OFFICIAL.sha256, *(f.sha256 for f in OFFICIAL.files)])
    assert min(file.size for file in OFFICIAL.files if file.name.endswith(".onnx")) > pocket_download.MAX_NOTICE_BYTES
