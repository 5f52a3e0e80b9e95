"""Response headers: security headers, and access for other origins (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client import Api, bearer, turns_path
from tests.conftest import PASSWORD
from tests.factories import make_turn

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Page

ALLOWED = ["http://localhost:3000", "http://127.0.0.1:3000"]


class TestSecurity:
    @pytest.mark.django_db
    @pytest.mark.parametrize(
        "path", ["/", "/healthz", "/accounts/login/", "/api/v1/voices", "/nothing", "/voices/", "/static/css/app.css"]
    )
    def test_every_response_has_the_security_headers(self, client: Client, path: str) -> None:
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        permissions = headers["Permissions-Policy"].split(", ")
        assert "microphone=(self)" in permissions
        assert {"camera=()", "geolocation=()", "payment=()", "usb=()"} <= set(permissions)
        policy = headers["Content-Security-Policy"]
        for directive in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert directive in policy
        assert "unsafe" not in policy

    def test_audio_responses_have_them(self, client: Client, alice_token: str, conversation: Conversation) -> None:
        url = f"/api/v1/turns/{make_turn(conversation).pk}/audio"
        for wanted in ("", "bytes=0-1", "bytes=999999999-"):
            headers = client.get(url, headers=bearer(alice_token) | {"Range": wanted}).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "Content-Security-Policy" in headers

    def test_streams_have_them(self, alice_api: Api, conversation: Conversation) -> None:
        headers = alice_api.ask(conversation, text="Hello?", headers={"Accept": "text/event-stream"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" in headers

    def test_cookies_are_for_this_site_and_not_for_scripts(self, client: Client, alice: User) -> None:
        client.get("/accounts/login/")
        client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
        for name in ("sessionid", "csrftoken"):
            assert client.cookies[name]["samesite"] == "Lax"
            assert client.cookies[name]["httponly"]


class TestCaches:
    PRIVATE = ("/", "/talk/", "/voices/", "/history/", "/accounts/profile/", "/accounts/data/", "/accounts/usage/")

    @pytest.mark.parametrize("path", [*PRIVATE, "/privacy/", "/report/", "/nothing"])
    def test_nobody_stores_what_somebody_with_a_session_sees(self, client: Client, alice: User, path: str) -> None:
        client.force_login(alice)
        cache = client.get(path).headers["Cache-Control"]
        assert {"private", "no-store"} <= set(cache.split(", "))

    def test_nobody_stores_the_answers_of_the_api(self, client: Client, alice_token: str) -> None:
        for path in ("/api/v1/voices", "/api/v1/conversations", "/v1/models"):
            assert "no-store" in client.get(path, headers=bearer(alice_token)).headers["Cache-Control"]

    def test_a_view_can_say_otherwise(self, client: Client, alice: User, conversation: Conversation) -> None:
        client.force_login(alice)
        audio = client.get(f"/api/v1/turns/{make_turn(conversation).pk}/audio")
        assert audio.headers["Cache-Control"] == "private, no-store"

    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/", "/privacy/", "/healthz"])
    def test_public_pages_can_be_stored(self, client: Client, path: str) -> None:
        assert "Cache-Control" not in client.get(path).headers

    def test_static_files_can_be_stored_by_everybody(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert "max-age" in client.get("/static/css/app.css").headers["Cache-Control"]


class TestCors:
    @pytest.mark.parametrize("origin", ALLOWED)
    def test_allowed_origins_can_read_the_response_and_its_headers(
        self, alice_api: Api, voice: VoiceProfile, origin: str
    ) -> None:
        form = {"data": {"voice_id": voice.voice_id}, "files": {"audio_file": b"text"}}
        headers = alice_api.post("/full-interaction", headers={"Origin": origin}, **form).headers
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in headers["Vary"].title()
        exposed = headers["Access-Control-Expose-Headers"]
        for name in ("X-Transcript", "X-Response-Text", "X-Text-Encoding", "X-Conversation-Id", "X-Turn-Id"):
            assert name in exposed
        assert "Access-Control-Allow-Credentials" not in headers

    def preflight(self, client: Client, path: str, origin: str) -> Page:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        return client.options(path, headers=headers)

    @pytest.mark.parametrize("path", ["/clone-voice", "/full-interaction", "/api/v1/voices"])
    def test_preflight_requests_are_allowed(self, client: Client, path: str) -> None:
        response = self.preflight(client, path, ALLOWED[0])
        assert response.status_code == 200
        assert response["Access-Control-Allow-Origin"] == ALLOWED[0]
        assert "authorization" in response["Access-Control-Allow-Headers"]
        assert "POST" in response["Access-Control-Allow-Methods"]

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "http://localhost:3001", "https://localhost:3000", "null"]
    )
    def test_other_origins_are_not_allowed(self, client: Client, alice_token: str, origin: str) -> None:
        assert "Access-Control-Allow-Origin" not in self.preflight(client, "/clone-voice", origin).headers
        headers = bearer(alice_token) | {"Origin": origin}
        assert "Access-Control-Allow-Origin" not in client.get("/api/v1/voices", headers=headers).headers

    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/", "/accounts/login/", "/voices/", "/admin/login/"])
    def test_pages_allow_no_other_origin(self, client: Client, path: str) -> None:
        assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": ALLOWED[0]}).headers

    def test_errors_can_be_read_too(self, client: Client) -> None:
        response = client.get("/api/v1/voices", headers={"Origin": ALLOWED[0]})
        assert response.status_code == 401
        assert response["Access-Control-Allow-Origin"] == ALLOWED[0]


class TestTls:
    @pytest.fixture(autouse=True)
    def redirect(self, settings: object) -> None:
        settings.SECURE_SSL_REDIRECT = True  # type: ignore[attr-defined]

    def test_http_is_redirected_to_https(self, client: Client) -> None:
        response = client.get("/voices/")
        assert response["Location"] == "https://testserver/voices/"
        for name in ("Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Permissions-Policy"):
            assert name in response.headers

    def test_health_checks_are_not_redirected(self, client: Client) -> None:
        assert client.get("/healthz").status_code == 200


def test_allowed_origins_can_read_streams(alice_api: Api, conversation: Conversation) -> None:
    headers = {"Accept": "text/event-stream", "Origin": ALLOWED[0]}
    response = alice_api.post(turns_path(conversation), json={"text": "Hello?"}, headers=headers)
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED[0]
