"""The scopes of tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from apps.accounts.models import ApiToken, Scope
from apps.accounts.permissions import HasScope
from apps.accounts.services import create_api_token
from tests.client import bearer, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLResolver

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from apps.voices.models import VoiceProfile
    from tests.client import Page

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
SESSION_ONLY_VIEWS = {"TokenList"}


def call(owner: User, scopes: list[str], method: str, path: str) -> Page:
    token = create_api_token(owner=owner, name="tests", scopes=scopes)
    body = json.dumps({"name": "Mine", "title": "Mine"})
    return Client().generic(method, path, body, content_type="application/json", headers=bearer(token))


def others(scope: str) -> list[str]:
    return [other for other in Scope.values if other != scope]


@pytest.fixture
def paths(voice: VoiceProfile, conversation: Conversation) -> dict[str, str]:
    return {
        "voices": reverse("api:voices"),
        "voice": reverse("api:voice", args=[voice.pk]),
        "preview": reverse("api:voice-preview", args=[voice.pk]),
        "clone": reverse("clone-voice"),
        "conversations": reverse("api:conversations"),
        "conversation": reverse("api:conversation", args=[conversation.pk]),
        "turns": reverse("api:turns", args=[conversation.pk]),
        "full": reverse("full-interaction"),
    }


@pytest.mark.parametrize(
    ("scope", "method", "name"),
    [
        ("read", "GET", "voices"),
        ("read", "GET", "voice"),
        ("read", "GET", "conversation"),
        ("voices", "PATCH", "voice"),
        ("voices", "POST", "voices"),
        ("voices", "POST", "clone"),
        ("voices", "DELETE", "voice"),
        ("talk", "POST", "preview"),
        ("talk", "POST", "conversations"),
        ("talk", "PATCH", "conversation"),
        ("talk", "POST", "turns"),
        ("talk", "POST", "full"),
        ("talk", "DELETE", "conversation"),
    ],
)
def test_it_needs_its_scope_and_no_other(
    alice: User, paths: dict[str, str], scope: str, method: str, name: str
) -> None:
    refused = call(alice, others(scope), method, paths[name])
    assert refused.status_code == 403
    assert error_of(refused)["code"] == "insufficient_scope"
    assert refused["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'
    assert call(alice, [scope], method, paths[name]).status_code not in {401, 403}


def test_a_session_needs_no_scope(client: Client, alice: User, voice: VoiceProfile) -> None:
    client.force_login(alice)
    path = reverse("api:voice", args=[voice.pk])
    assert client.get(path).status_code == 200
    assert client.patch(path, {"name": "Mine"}, content_type="application/json").status_code == 200


def test_a_refused_token_changes_nothing(alice: User, voice: VoiceProfile, paths: dict[str, str]) -> None:
    call(alice, ["read", "talk"], "DELETE", paths["voice"])
    voice.refresh_from_db()
    assert voice.status == "ready"


def test_no_token_creates_tokens(alice: User) -> None:
    refused = call(alice, list(Scope.values), "POST", reverse("api:tokens"))
    assert refused.status_code == 403
    assert error_of(refused)["code"] == "token_not_allowed"
    assert ApiToken.objects.count() == 1


def test_an_unsupported_method_is_a_405(alice: User) -> None:
    assert call(alice, ["read"], "DELETE", reverse("api:voices")).status_code == 405


def test_tokens_have_all_scopes_by_default(alice: User, alice_token: str) -> None:
    assert ApiToken.objects.get().scopes == ["read", "talk", "voices", "webhooks"]


def api_views(patterns: list[URLPattern | URLResolver]) -> Iterator[type]:
    """Yield the view class of every address of the API that the scopes guard."""
    for pattern in patterns:
        if not isinstance(pattern, URLPattern):
            yield from api_views(pattern.url_patterns)
        elif HasScope in getattr(getattr(pattern.callback, "cls", None), "permission_classes", []):
            yield pattern.callback.cls  # type: ignore[attr-defined]


def test_every_view_that_changes_something_names_the_scope_for_it() -> None:
    views = set(api_views(get_resolver().url_patterns))
    assert len(views) > 10
    for view in views:
        if CHANGING & {name.upper() for name in dir(view)} and view.__name__ not in SESSION_ONLY_VIEWS:
            assert getattr(view, "token_scope", None) in Scope.values, view
