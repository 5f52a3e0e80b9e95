from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken, User
from apps.accounts.services import create_api_token, find_api_token, invite
from apps.conversations.models import Conversation
from apps.core.digests import digest_of
from apps.webhooks.services import change_secret, create_webhook
from tests.client import bearer, error_of

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

    from apps.voices.models import VoiceProfile
    from tests.client import Page


def call(secret: str) -> Page:
    return Client().get(reverse("api:voices"), headers=bearer(secret))


class TestToken:
    def test_it_authenticates_its_owner(self, alice_token: str) -> None:
        assert call(alice_token).status_code == 200

    def test_the_scheme_may_be_in_any_case(self, alice_token: str) -> None:
        headers = {"Authorization": f"bearer  {alice_token}"}
        assert Client().get(reverse("api:voices"), headers=headers).status_code == 200

    def test_only_its_hash_is_stored(self, alice_token: str) -> None:
        token = ApiToken.objects.get()
        assert alice_token not in str(vars(token))
        assert token.digest == digest_of(alice_token)

    def test_a_dump_of_the_database_holds_no_usable_token(
        self, client: Client, alice: User, alice_token: str, voice: VoiceProfile
    ) -> None:
        client.force_login(alice)
        webhook = create_webhook(owner=alice, url="https://93.184.215.14/")
        change_secret(webhook=webhook)
        invitation = invite(email="carol@example.org")
        rows = [row for model in apps.get_models() for row in model._base_manager.values_list()]
        texts = {str(value) for row in rows for value in row if value is not None}
        assert digest_of(alice_token) in texts
        for secret in (alice_token, webhook.secret.removeprefix("whsec_"), invitation):
            assert not [text for text in texts if secret in text]
        assert not [text for text in texts if find_api_token(secret=text)]

    @pytest.mark.parametrize("secret", ["", "made-up", "vc_" + "x" * 43, "é\xff"])
    def test_an_unknown_token_is_refused(self, alice_token: str, secret: str) -> None:
        response = call(secret)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        assert error_of(response)["code"] == "authentication_failed"

    def test_its_hash_is_refused(self, alice_token: str) -> None:
        assert call(digest_of(alice_token)).status_code == 401

    def test_it_works_until_it_expires(self, alice: User) -> None:
        now = timezone.now()
        assert call(create_api_token(owner=alice, name="new", expires_at=now + timedelta(hours=1))).status_code == 200
        assert call(create_api_token(owner=alice, name="old", expires_at=now)).status_code == 401

    def test_it_stops_when_it_is_revoked(self, alice_token: str) -> None:
        ApiToken.objects.update(revoked_at=timezone.now())
        assert call(alice_token).status_code == 401

    def test_it_stops_when_its_owner_is_deactivated(self, alice: User, alice_token: str) -> None:
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert call(alice_token).status_code == 401

    def test_its_use_is_noted_at_most_once_a_minute(self, alice_token: str) -> None:
        def last_used() -> object:
            return ApiToken.objects.get().last_used_at

        call(alice_token)
        first = last_used()
        call(alice_token)
        assert first
        assert last_used() == first
        ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
        call(alice_token)
        assert last_used() > first  # type: ignore[operator]

    def test_it_costs_one_query(self, alice_token: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        call(alice_token)
        with django_assert_num_queries(1):
            assert find_api_token(secret=alice_token)

    def test_another_scheme_is_refused(self, alice: User) -> None:
        response = Client().get(reverse("api:voices"), headers={"Authorization": "Basic YWxpY2U6eA=="})
        assert response.status_code == 401
        assert error_of(response)["code"] == "not_authenticated"

    def test_it_does_not_open_pages(self, alice_token: str) -> None:
        assert Client().get(reverse("voices:list"), headers=bearer(alice_token)).status_code == 302

    def test_it_takes_precedence_over_a_session(
        self, client: Client, alice: User, bob: User, voice: VoiceProfile
    ) -> None:
        client.force_login(alice)
        bobs = bearer(create_api_token(owner=bob, name="tests"))
        assert client.get(reverse("api:voices"), headers=bobs).json()["results"] == []


class TestCsrf:
    @pytest.fixture
    def strict_client(self) -> Client:
        return Client(enforce_csrf_checks=True)

    def start_conversation(self, client: Client, voice: VoiceProfile, headers: dict[str, str]) -> Page:
        body = {"voice": str(voice.pk)}
        return client.post(reverse("api:conversations"), body, content_type="application/json", headers=headers)

    def test_a_session_needs_the_csrf_token(self, strict_client: Client, alice: User, voice: VoiceProfile) -> None:
        strict_client.force_login(alice)
        refused = self.start_conversation(strict_client, voice, {})
        assert refused.status_code == 403
        assert error_of(refused)["code"] == "permission_denied"
        assert not Conversation.objects.exists()

        page = strict_client.get(reverse("voices:list"))
        headers = {"X-CSRFToken": str(page.context["csrf_token"])}
        assert self.start_conversation(strict_client, voice, headers).status_code == 201

    def test_an_api_token_needs_no_csrf_token(
        self, strict_client: Client, alice_token: str, voice: VoiceProfile
    ) -> None:
        assert self.start_conversation(strict_client, voice, bearer(alice_token)).status_code == 201

    def test_an_api_token_beside_a_session_needs_no_csrf_token(
        self, strict_client: Client, alice: User, alice_token: str, voice: VoiceProfile
    ) -> None:
        strict_client.force_login(alice)
        assert self.start_conversation(strict_client, voice, bearer(alice_token)).status_code == 201

    def test_a_form_needs_the_csrf_token(self, strict_client: Client, alice: User, voice: VoiceProfile) -> None:
        strict_client.force_login(alice)
        assert strict_client.post(reverse("voices:delete", args=[voice.pk])).status_code == 403
        voice.refresh_from_db()
        assert voice.status == "ready"
