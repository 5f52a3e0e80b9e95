from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from apps.voices.models import VoiceProfile
from tests.client import QUESTION, SAMPLES, Api, error_of, turns_path, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.conversations.models import Conversation
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

TOO_MUCH = django_settings.MAX_UPLOAD_BYTES + 1
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def uploads(settings: Settings, tmp_path: Path) -> Path:
    """The folder of temporary uploads; here every file goes there, however small."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    return tmp_path


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body whose length is not announced."""
    for start in range(0, size, 1_000_000):
        yield bytes(min(1_000_000, size - start))


class TestTooLarge:
    @pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "not announced"])
    def test_it_is_a_413_in_json_with_the_limit(self, alice_api: Api, uploads: Path, is_announced: bool) -> None:
        body = bytes(TOO_MUCH) if is_announced else pieces(TOO_MUCH)
        response = alice_api.post("/clone-voice", data=body, headers=FORM)
        assert response.status_code == 413
        error = error_of(response)
        assert error["code"] == "request_too_large"
        assert "50 MB" in error["message"]
        wait_until(lambda: not list(uploads.iterdir()))

    def test_a_form_with_a_file_is_refused_too(self, alice_api: Api, provider: FakeProvider) -> None:
        assert alice_api.clone_voice(recordings=[bytes(TOO_MUCH)]).status_code == 413
        assert not VoiceProfile.objects.exists()
        assert not provider.requests

    def test_the_server_goes_on(self, alice_api: Api) -> None:
        alice_api.post("/clone-voice", data=pieces(TOO_MUCH), headers=FORM)
        assert alice_api.get("/api/v1/voices").status_code == 200

    def test_who_is_not_signed_in_is_refused_as_early(self, server: Server) -> None:
        with Api(server.url, "made-up") as api:
            assert api.post("/clone-voice", data=bytes(TOO_MUCH), headers=FORM).status_code == 413


def test_exactly_the_limit_is_read(alice_api: Api) -> None:
    response = alice_api.post("/clone-voice", data=bytes(TOO_MUCH - 1), headers=FORM)
    assert response.status_code == 400


class TestTemporaryUploads:
    """None is left on disk, however the request ends."""

    @pytest.mark.usefixtures("consent")
    def test_after_cloning(self, alice_api: Api, uploads: Path) -> None:
        assert alice_api.clone_voice().status_code == 201
        wait_until(lambda: not list(uploads.iterdir()))

    @pytest.mark.usefixtures("consent")
    def test_after_a_refusal(self, alice_api: Api, uploads: Path) -> None:
        assert alice_api.clone_voice(recordings=[SAMPLES[0][:200]]).status_code == 422
        assert alice_api.clone_voice(voice_name="").status_code == 400
        wait_until(lambda: not list(uploads.iterdir()))

    def test_after_a_stream(self, alice_api: Api, uploads: Path, conversation: Conversation) -> None:
        assert alice_api.events_of_turn(conversation)[-1].name == "done"
        wait_until(lambda: not list(uploads.iterdir()))

    def test_after_a_client_that_leaves(
        self, alice_api: Api, uploads: Path, provider: FakeProvider, conversation: Conversation
    ) -> None:
        provider.behaviour.hear_seconds = 60
        headers = {"Accept": "text/event-stream"}
        form = {"files": {"audio": QUESTION}, "headers": headers}
        with alice_api.post(turns_path(conversation), stream=True, **form):
            wait_until(lambda: provider.requests)
            assert list(uploads.iterdir())
        wait_until(lambda: not list(uploads.iterdir()))

    def test_the_folder_is_the_systems_by_default(self, settings: Settings) -> None:
        assert settings.FILE_UPLOAD_TEMP_DIR in {None, tempfile.gettempdir()}
