"""The storage of recordings, in a folder and in an object store: one behaviour."""

from __future__ import annotations

import errno
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
import requests
from django.core.files.base import ContentFile

from apps.core import object_address
from apps.core.errors import StorageDownError
from apps.core.object_streams import PART_BYTES
from apps.core.storage import media
from tests.client import NOWHERE
from tests.fakes.fixtures import use_storage
from tests.fakes.object_store import KEYS, PREFIX, ObjectStore, client_of, keys_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

NAME = "questions/1/a.flac"


@pytest.fixture(params=["folder", "store"])
def storage(request: pytest.FixtureRequest) -> None:
    if request.param == "store":
        request.getfixturevalue("bucket")


def save(name: str, data: bytes = b"sound") -> None:
    assert media().save(name, ContentFile(data)) == name


def names(path: str = "") -> list[str]:
    return [file.name for file in media().files(path)]


@pytest.mark.usefixtures("storage")
class TestBothKinds:
    def test_what_is_stored_is_read(self) -> None:
        save(NAME, b"0123456789")
        assert (media().exists(NAME), media().size(NAME)) == (True, 10)
        with media().open(NAME) as file:
            assert file.size == 10
            assert file.read(4) == b"0123"
            assert file.seek(8) == 8
            assert (file.read(), file.read()) == (b"89", b"")
            file.seek(2)
            assert file.read(3) == b"234"

    def test_a_missing_file(self) -> None:
        assert not media().exists(NAME)
        with pytest.raises(FileNotFoundError):
            media().open(NAME)
        media().delete(NAME)
        assert not names()

    def test_files_are_listed_by_folder(self) -> None:
        assert not names()
        for name in ("b/1.flac", "a/10/2.flac", "a/1/3.flac"):
            save(name)
        assert names() == ["a/1/3.flac", "a/10/2.flac", "b/1.flac"]
        assert names("a/1") == ["a/1/3.flac"]
        assert {file.size for file in media().files()} == {5}

    def test_a_deleted_folder_leaves_its_neighbours(self) -> None:
        save("exports/1/a.zip")
        save("exports/10/b.zip")
        media().delete_folder("exports/1")
        media().delete_folder("exports/2")
        assert names() == ["exports/10/b.zip"]

    @pytest.mark.parametrize("size", [0, 5, PART_BYTES + 5])
    def test_a_stream_is_stored_whole(self, size: int) -> None:
        with media().writing(NAME) as stream:
            for start in range(0, size, 1 << 20):
                stream.write(bytes(min(1 << 20, size - start)))
        with media().open(NAME) as file:
            assert file.read() == bytes(size)

    @pytest.mark.parametrize("size", [5, PART_BYTES + 5])
    def test_half_of_a_stream_is_not_stored(self, size: int) -> None:
        with suppress(ZeroDivisionError), media().writing(NAME) as stream:
            stream.write(bytes(size))
            raise ZeroDivisionError
        assert not names()
        assert not list(media().unfinished())


class TestObjectStore:
    def test_objects_are_private_and_encrypted(self, bucket: ObjectStore) -> None:
        save(NAME)
        with media().writing("exports/1/b.zip") as stream:
            stream.write(b"zip")
        assert keys_in(media()) == [f"{PREFIX}/exports/1/b.zip", f"{PREFIX}/{NAME}"]  # type: ignore[arg-type]
        for key in keys_in(media()):  # type: ignore[arg-type]
            place = {"Bucket": bucket.bucket, "Key": key}
            client = client_of(media())  # type: ignore[arg-type]
            assert client.head_object(**place)["ServerSideEncryption"] == "AES256"
            grants = client.get_object_acl(**place)["Grants"]
            assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]
            assert requests.get(f"{bucket.url}/{bucket.bucket}/{key}", timeout=5).status_code == 403
        assert requests.get(media().url(NAME), timeout=5).content == b"sound"

    def test_a_killed_process_leaves_parts_that_are_found(self, bucket: ObjectStore) -> None:
        begin = {"Bucket": bucket.bucket, "Key": f"{PREFIX}/exports/1/b.zip"}
        client_of(media()).create_multipart_upload(**begin)  # type: ignore[arg-type]
        assert [file.name for file in media().unfinished()] == ["exports/1/b.zip"]
        media().delete_folder("exports/1")
        assert not list(media().unfinished())

    def test_a_missing_bucket_is_no_missing_file(self, bucket: ObjectStore, settings: Settings) -> None:
        use_storage(settings, bucket.address.replace(bucket.bucket, "another-bucket"))
        assert not media().is_available()
        for ask in (media().open, media().exists, lambda name: list(media().files(name))):
            with pytest.raises(StorageDownError):
                ask(NAME)
        client_of(media()).close()  # type: ignore[arg-type]

    def test_a_store_that_is_down_is_known_to_be(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        use_storage(settings, f"s3://recordings/{PREFIX}?endpoint={NOWHERE}")
        assert not media().is_known_to_be_down()
        with pytest.raises(StorageDownError):
            save(NAME)
        assert media().is_known_to_be_down()

    def test_a_full_store_is_a_full_disk(self, full_store: str, settings: Settings, bucket: ObjectStore) -> None:
        use_storage(settings, f"s3://recordings?endpoint={full_store}")
        with pytest.raises(OSError) as refusal:  # noqa: PT011 - its number is what is asserted
            save(NAME)
        assert refusal.value.errno == errno.ENOSPC
        client_of(media()).close()  # type: ignore[arg-type]


@pytest.fixture
def full_store() -> Iterator[str]:
    """A store whose quota is used up."""

    class Full(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"<Error><Code>QuotaExceeded</Code><Message>Full.</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Full) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestAddresses:
    def test_amazons(self) -> None:
        address = object_address.parse("s3://recordings/a/b/?region=eu-west-1&encryption=aws:kms&key=arn:x")
        assert (address.bucket, address.prefix) == ("recordings", "a/b")
        assert address.endpoint == "https://s3.eu-west-1.amazonaws.com"
        assert address.origin == "https://recordings.s3.eu-west-1.amazonaws.com"
        assert (address.encryption, address.key) == ("aws:kms", "arn:x")

    def test_another_services(self) -> None:
        address = object_address.parse("s3://recordings?endpoint=https://minio.example.org:9000/")
        assert (address.prefix, address.origin) == ("", "https://minio.example.org:9000")

    @pytest.mark.parametrize(
        "text",
        [
            "s3://recordings",
            "s3://?region=eu-west-1",
            "s3://Recordings?region=eu-west-1",
            "s3://recordings?region=eu west",
            "s3://recordings?endpoint=minio:9000",
            "s3://recordings?endpoint=https://user:secret@minio",
            "s3://recordings?region=eu-west-1&acl=public-read",
            "s3://recordings?region=eu-west-1&encryption=rot13",
            "s3://recordings?region=eu-west-1&key=arn:x",
            "gs://recordings?region=eu-west-1",
        ],
    )
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="s3://bucket"):
            object_address.storage_setting(text)
