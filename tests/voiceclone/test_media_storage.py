"""The settings of where recordings are: a folder, or an object store."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.voiceclone.test_settings import load_settings

STORE = "s3://recordings/voices?region=eu-west-1"


def test_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(monkeypatch, MEDIA_ROOT="/srv/old", MEDIA_STORAGE="/srv/media")
    assert (settings["MEDIA_ROOT"], settings["MEDIA_STORAGE"]) == (Path("/srv/media"), "/srv/media")
    assert settings["STORAGES"]["default"] == {"BACKEND": "apps.core.storage.WholeFileStorage"}


def test_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(monkeypatch, MEDIA_ROOT="/srv/cache", MEDIA_STORAGE=STORE)
    assert settings["MEDIA_ROOT"] == Path("/srv/cache")
    assert settings["STORAGES"]["default"]["OPTIONS"]["bucket"] == "recordings"
    assert settings["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["media-src"] == ["'self'", "blob:"]


def test_pages_may_play_from_signed_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(monkeypatch, MEDIA_STORAGE=STORE, MEDIA_SIGNED_URLS="on")
    allowed = settings["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["media-src"]
    assert allowed[2:] == ["https://recordings.s3.eu-west-1.amazonaws.com"]


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"MEDIA_STORAGE must be a folder, or s3://"):
        load_settings(monkeypatch, MEDIA_STORAGE="s3://recordings")
    with pytest.raises(ImproperlyConfigured, match="MEDIA_SIGNED_URLS=on needs an object store"):
        load_settings(monkeypatch, MEDIA_STORAGE="/srv/media", MEDIA_SIGNED_URLS="on")
