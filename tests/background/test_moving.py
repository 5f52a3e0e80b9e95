"""`manage.py move_media`: from a folder into an object store and back, while the site works."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from apps.background import moving
from apps.core.storage import media
from tests.client import NOWHERE
from tests.fakes.object_store import ObjectStore, client_of
from tests.storage import stored_files

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from apps.core.storage import MediaStorage

NAMES = [f"{folder}/1/{number}.flac" for folder in ("answers", "questions") for number in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a site with six recordings and half of one."""
    for name in [*NAMES, "questions/1/half.part"]:
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "media"


@pytest.fixture
def target(bucket: ObjectStore) -> Iterator[MediaStorage]:
    storage = moving.storage_at(bucket.address)
    yield storage
    client_of(storage).close()  # type: ignore[arg-type]


def move(*arguments: object) -> str:
    output = StringIO()
    call_command("move_media", *map(str, arguments), stdout=output)
    return output.getvalue()


def contents(storage: MediaStorage) -> dict[str, bytes]:
    found = {}
    for file in storage.files():
        with storage.open(file.name) as stored:
            found[file.name] = stored.read()
    return found


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # The command's own connections end with its process.
def test_there_and_back(folder: Path, bucket: ObjectStore, tmp_path: Path) -> None:
    assert move(folder, bucket.address).startswith("6 files copied")
    assert contents(media()) == {name: name.encode() for name in NAMES}
    media().save("answers/1/new.flac", ContentFile(b"new"))
    assert move(bucket.address, folder) == "1 files copied and compared, 3 bytes; 6 were there.\n"
    assert (folder / "answers/1/new.flac").read_bytes() == b"new"
    assert (folder / "answers/1/new.flac").stat().st_mode & 0o777 == 0o600
    assert move(bucket.address, tmp_path / "other").startswith("7 files copied")
    assert not stored_files()


def test_an_interrupted_run_goes_on(folder: Path, target: MediaStorage) -> None:
    source, first, second = moving.storage_at(str(folder)), moving.Moved(), moving.Moved()
    run = moving.move(source, target, first, check=False)
    next(run)
    next(run)
    cast("Generator[str]", run).close()
    list(moving.move(source, target, second, check=False))
    assert (second.copied, second.there) == (4, 2)
    assert len(contents(target)) == 6


def test_a_copy_that_differs_is_made_again_on_request(folder: Path, target: MediaStorage) -> None:
    source = moving.storage_at(str(folder))
    list(moving.move(source, target, moving.Moved(), check=False))
    target.save(NAMES[0], ContentFile(NAMES[0].upper().encode()))
    assert not list(moving.move(source, target, moving.Moved(), check=False))
    assert list(moving.move(source, target, moving.Moved(), check=True)) == [NAMES[0]]
    assert contents(target)[NAMES[0]] == NAMES[0].encode()


def test_a_recording_that_is_deleted_meanwhile(folder: Path, target: MediaStorage) -> None:
    source, moved = moving.storage_at(str(folder)), moving.Moved()
    run = moving.move(source, target, moved, check=False)
    next(run)
    (folder / NAMES[1]).unlink()
    list(run)
    assert (moved.copied, len(contents(target))) == (5, 5)


@pytest.mark.usefixtures("bucket")
def test_refusals(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"does not answer.*0 files were copied. Run the command again"):
        move(folder, f"s3://recordings?endpoint={NOWHERE}")
    with pytest.raises(CommandError, match="is not a folder"):
        move(folder / "elsewhere", folder)
    with pytest.raises(CommandError, match="s3://bucket"):
        move(folder, "s3://recordings")
