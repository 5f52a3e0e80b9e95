"""The error format of the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.conversations.models import TURN_MESSAGES
from apps.core.api_errors import STAGE_STATUS, error_status, known_error
from apps.core.errors import UserError
from apps.core.pages import report_refusals_to
from apps.speech.base import PROVIDER_MESSAGES, AudioError, ProviderError
from apps.voices.models import VoiceProfile
from tests.client import bearer, error_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider


@pytest.mark.parametrize("path", ["/api/nothing", "/api/v1/voices/", "/api/v1/voices/7", "/api/v1/turns/x/audio"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_address_is_a_404_in_json(client: Client, alice_token: str, path: str, method: str) -> None:
    response = getattr(client, method)(path, headers=bearer(alice_token))
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_an_unknown_page_is_a_404_in_html(client: Client, alice: User) -> None:
    client.force_login(alice)
    response = client.get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/clone-voice"), ("put", "/full-interaction"), ("delete", "/api/v1/voices")]
)
def test_a_wrong_method_is_a_405(client: Client, alice_token: str, method: str, path: str) -> None:
    response = getattr(client, method)(path, headers=bearer(alice_token))
    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"


def test_an_unsupported_accept_header_is_a_406(client: Client, alice_token: str) -> None:
    response = client.get("/api/v1/voices", headers=bearer(alice_token) | {"Accept": "text/csv"})
    assert response.status_code == 406
    assert error_of(response)["code"] == "not_acceptable"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "parse_error"),
        ("[1]", "application/json", 400, "invalid"),
        ('"text"', "application/json", 400, "invalid"),
        ('{"voice": NaN}', "application/json", 400, "parse_error"),
        (b"\xff", "application/json", 400, "parse_error"),
        ("<a/>", "application/xml", 415, "unsupported_media_type"),
    ],
)
def test_an_unreadable_body_is_refused(
    client: Client, alice_token: str, body: Any, content_type: str, status: int, code: str
) -> None:
    url, headers = "/api/v1/conversations", bearer(alice_token)
    response = client.generic("POST", url, body, content_type=content_type, headers=headers)
    assert response.status_code == status
    assert error_of(response)["code"] == code


def test_the_refusal_of_a_content_type_names_the_supported_one(client: Client, alice_token: str) -> None:
    response = client.post(
        "/full-interaction", "voice_id=x", content_type="application/x-www-form-urlencoded", headers=bearer(alice_token)
    )
    assert "multipart/form-data" in error_of(response)["message"]


def test_too_many_files_are_refused(client: Client, alice_token: str) -> None:
    files = [SimpleUploadedFile(f"{number}.wav", b"x") for number in range(101)]
    form = {"voice_name": "Jane", "audio_file": files}
    response = client.post("/clone-voice", form, headers=bearer(alice_token))
    assert response.status_code == 400
    assert error_of(response)["code"] == "bad_request"


def test_a_foreign_host_name_is_refused(client: Client, alice_token: str) -> None:
    response = client.get("/api/v1/voices", headers=bearer(alice_token) | {"Host": "evil.example"})
    assert response.status_code == 400
    assert error_of(response)["code"] == "bad_request"


def test_an_internal_error_reveals_nothing(alice_token: str, remote_engines: FakeProvider, voice: VoiceProfile) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(settings={"made_up_setting": 1})
    client = Client(raise_request_exception=False)
    url, body = f"/api/v1/voices/{voice.pk}/preview", {"text": "Hello."}
    response = client.post(url, body, content_type="application/json", headers=bearer(alice_token))
    assert response.status_code == 500
    assert error_of(response)["code"] == "server_error"
    assert "made_up_setting" not in response.content.decode()


class TestCodes:
    @pytest.mark.parametrize("code", PROVIDER_MESSAGES)
    def test_every_failure_of_a_provider_has_a_status_and_a_message(self, code: str) -> None:
        known = known_error(ProviderError(code, stage="speak", retryable=True))
        assert known is not None
        assert known.code == code
        assert known.status in {422, 502, 503, 504}
        assert known.message

    def test_every_status_belongs_to_a_code_that_exists(self) -> None:
        assert STAGE_STATUS.keys() <= {*PROVIDER_MESSAGES, *TURN_MESSAGES}
        assert error_status("something new") == 502

    def test_a_bad_recording_is_a_422(self) -> None:
        known = known_error(AudioError("audio_empty", "Empty."))
        assert known is not None
        assert (known.code, known.message, known.status) == ("audio_empty", "Empty.", 422)

    def test_an_internal_error_is_not_known(self) -> None:
        assert known_error(ValueError("secret")) is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("code", "Not so."), "Not so."),
        (AudioError("code", "Not heard."), "Not heard."),
        (ProviderError("provider_busy", stage="hear", retryable=True), str(PROVIDER_MESSAGES["provider_busy"])),
    ],
    ids=["refused", "bad recording", "provider"],
)
def test_pages_report_the_message(error: Exception, message: str) -> None:
    told: list[str] = []
    with report_refusals_to(told.append):
        raise error
    assert told == [message]


def test_pages_do_not_hide_internal_errors() -> None:
    with pytest.raises(ValueError, match="ours"), report_refusals_to(print):
        raise ValueError("ours")


# Only pages show these errors, and the API never answers them.
ONLY_ON_PAGES = {"too_many_reports", "erasure_under_way", "erasure_begun", "own_account"}


def raised_codes() -> set[str]:
    """Return the error codes in the source, and those of providers and turns."""
    codes = {*PROVIDER_MESSAGES, *TURN_MESSAGES}
    for folder in ("apps", "voiceclone"):
        for path in (settings.BASE_DIR / folder).rglob("*.py"):
            codes |= set(re.findall(r"(?:UserError|AudioError)\(\s*\"(\w+)\"", path.read_text()))
            codes |= set(re.findall(r"error_for_programs\(request, \"(\w+)\"", path.read_text()))
    return codes


def test_every_code_is_documented() -> None:
    text = (settings.BASE_DIR / "docs" / "api.md").read_text()
    assert raised_codes() - ONLY_ON_PAGES - set(re.findall(r"`(\w+)`", text)) == set()
