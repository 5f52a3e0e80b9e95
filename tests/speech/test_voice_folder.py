"""The files of voices that are kept here: on a disk, or in a store with a cache on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from apps.core.storage import media
from apps.speech import configs
from apps.speech.base import ProviderError
from apps.speech.local.voice_files import read_fields
from apps.speech.voice_folder import VoiceFolder
from tests.client import NOWHERE, wait_until
from tests.fakes.fixtures import use_storage
from tests.fakes.object_store import ObjectStore

NAME = "local-0123456789abcdef0123456789abcdef.npz"


@pytest.fixture
def folders(bucket: ObjectStore, tmp_path: Path) -> tuple[VoiceFolder, VoiceFolder]:
    """Those of two machines that share a store."""
    here, there = (VoiceFolder(tmp_path / name / "local-voices", media()) for name in ("here", "there"))
    return here, there


def test_a_folder_is_all_there_is_without_a_store(settings: Settings) -> None:
    folder = configs.local_config().voices_dir
    assert folder == VoiceFolder(Path(django_settings.MEDIA_ROOT) / "local-voices")
    assert folder.store is None


def test_a_voice_that_is_made_here_speaks_there(folders: tuple[VoiceFolder, VoiceFolder]) -> None:
    here, there = folders
    here.write(NAME, b"voice")
    assert [file.name for file in media().files()] == [f"local-voices/{NAME}"]
    assert there.names() == [NAME]
    assert there.fetched(NAME).read_bytes() == b"voice"
    assert there.fetched(NAME).stat().st_mode & 0o777 == 0o600


def test_a_cached_voice_is_not_fetched_again(
    folders: tuple[VoiceFolder, VoiceFolder], bucket: ObjectStore, settings: Settings
) -> None:
    here, _there = folders
    here.write(NAME, b"voice")
    down = VoiceFolder(here.path, media())
    use_storage(settings, bucket.address.replace(bucket.url, NOWHERE))
    assert down.fetched(NAME).read_bytes() == b"voice"
    with pytest.raises(ProviderError) as refusal:
        down.fetched("another.npz")
    assert (refusal.value.code, refusal.value.retryable) == ("recordings_unavailable", True)


def test_a_deleted_voice_is_in_no_cache(folders: tuple[VoiceFolder, VoiceFolder]) -> None:
    here, there = folders
    here.write(NAME, b"voice")
    there.fetched(NAME)
    here.delete(NAME)
    assert not list(here.path.iterdir())
    assert not list(media().files())
    there.forget_deleted()
    assert not list(there.path.iterdir())
    with pytest.raises(ProviderError, match="provider_voice_missing"):
        read_fields(there, NAME.removesuffix(".npz"), engine="local")


def test_a_use_of_the_cache_looks_for_deleted_voices(folders: tuple[VoiceFolder, VoiceFolder]) -> None:
    here, _there = folders
    here.write(NAME, b"voice")
    (here.path / "local-1.npz").write_bytes(b"deleted elsewhere")
    here.fetched(NAME)
    wait_until(lambda: [path.name for path in here.path.iterdir()] == [NAME])
