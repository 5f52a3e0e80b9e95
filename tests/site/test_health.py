from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from django.db import OperationalError, connection

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.conftest import Server


def test_healthz_needs_no_database(client: Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.usefixtures("remote_engines")
def test_it_is_ready_if_database_and_storage_work(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    engines = dict.fromkeys(("clone", "hear", "think", "speak"), True)
    needed = {"database": True, "recordings": True, "disk": True}
    assert response.json() == {"status": "ready", **needed, "cache": True, "worker": True, "engines": engines}


@pytest.mark.django_db
def test_it_is_not_ready_without_a_database(client: Client) -> None:
    with connection.execute_wrapper(database_down):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert (response.json()["database"], response.json()["recordings"]) == (False, True)


@pytest.mark.django_db
def test_it_is_not_ready_if_recordings_cannot_be_stored(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    (tmp_path / "file").touch(mode=0o444)
    response = client.get("/readyz")
    assert response.json()["recordings"] is False


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases report a full disk themselves")
def test_it_is_not_ready_if_the_disk_of_the_database_is_full(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT, settings.MIN_FREE_BYTES = tmp_path, 0
    database = Path(str(connection.settings_dict["NAME"])).parent
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room._replace(free=0) if path == database else room)
    assert client.get("/readyz").json()["disk"] is False


def database_down(*_args: object) -> object:
    raise OperationalError


def test_healthz_works_on_the_server(server: Server) -> None:
    assert requests.get(f"{server.url}/healthz", timeout=10).json() == {"status": "ok"}
