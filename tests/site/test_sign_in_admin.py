"""The admin of what people sign in with: no page shows a secret, and nobody takes over the account of a superuser.

The models come from the registry of the admin, the addresses from the URL resolver: what is added later is tried, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import invite
from apps.conversations.models import Turn
from apps.conversations.shares import create_share
from apps.webhooks.models import Webhook
from tests.factories import make_administrator
from tests.site.test_content_permission import admin_paths, metadata_staff, permissions, rows
from tests.voices.test_admin_voices import helper_without_content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

__all__ = ["helper_without_content", "metadata_staff", "permissions", "rows"]  # Fixtures.

SECRET_COLUMNS = {"password", "digest", "salt", "previous_salt", "session_key", "session_data", "data", "key"}
SIGN_IN = [Group, EmailAddress, Authenticator, UserSession]


@pytest.fixture
def secrets(rows: dict[str, object], alice: User, alice_token: str) -> list[str]:
    """Give Alice everything to sign in with; return what nobody may see of it."""
    totp = generate_totp_secret()
    TOTP.activate(alice, totp)
    codes = RecoveryCodes.activate(alice).get_unused_codes()
    EmailAddress.objects.get_or_create(user=alice, email=alice.email)
    UserSession.objects.create(user=alice, ip="127.0.0.1", session_key="s" * 32, user_agent="Firefox")
    create_share(turn=Turn.objects.exclude(answer="")[0])
    Webhook.objects.update(previous_salt="b" * 16)
    invitation = invite(email="carol@example.org", invited_by=alice)
    Group.objects.create(name="Helpers")
    stored = [value for _path, _column, value in secret_values()]
    return [totp, *codes, alice_token, invitation, *stored]


def secret_values() -> Iterator[tuple[str, str, str]]:
    """Yield the address of the list, the column and the value of each stored secret; of several in one, each."""
    for model in admin.site._registry:
        path = address_of(model)
        for field in model._meta.fields:
            if field.name in SECRET_COLUMNS:
                for value in model._default_manager.values_list(field.name, flat=True):
                    parts = value.values() if isinstance(value, dict) else [value]
                    yield from ((path, field.name, part) for part in parts if isinstance(part, str) and part)


def address_of(model: type[Model], name: str = "changelist", *pk: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=pk)


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture
def readers(metadata_staff: User) -> list[Client]:
    """A superuser, and staff with every permission."""
    metadata_staff.user_permissions.set(Permission.objects.all())
    return [signed_in(make_administrator()), signed_in(User.objects.get(pk=metadata_staff.pk))]


def test_no_page_shows_a_secret(readers: list[Client], secrets: list[str], rows: dict[str, object]) -> None:
    columns = {(path, column) for path, column, _value in secret_values()}
    assert {(address_of(Authenticator), "data"), (address_of(UserSession), "session_key")} <= columns
    assert len(columns) > 6
    for client in readers:
        pages = {path: client.get(path) for path in admin_paths(rows)}
        texts = {path: page.content.decode(errors="replace") for path, page in pages.items() if not page.streaming}
        assert len(texts) > 50
        # Those of the reader's own session are in no page either: it is in the cookie alone.
        assert not [(path, secret) for path, text in texts.items() for secret in secrets if secret in text]


def test_no_address_finds_rows_by_a_secret(readers: list[Client], secrets: list[str]) -> None:
    for client in readers:
        for path, column, value in secret_values():
            for condition in (column, f"{column}__startswith", f"{column}__icontains"):
                assert client.get(path, {condition: value[:4]}).status_code == 400, (path, condition)
            if column == "data":
                assert client.get(path, {"data__secret__startswith": value[:4]}).status_code == 400


def test_without_a_permission_nothing_is_shown(permissions: None, secrets: list[str]) -> None:
    user = make_administrator(User.objects.create_user("new-helper", "new@example.org"))
    User.objects.filter(pk=user.pk).update(is_superuser=False)
    client = signed_in(User.objects.get(pk=user.pk))
    for model in admin.site._registry:
        assert client.get(address_of(model)).status_code == 403, model
        pk = model._default_manager.values_list("pk", flat=True).first()
        if pk is not None:
            assert client.get(address_of(model, "change", pk)).status_code == 403, model


def test_who_may_only_see_changes_nothing(
    permissions: None, helper_without_content: Client, secrets: list[str]
) -> None:
    request: Any = helper_without_content.get(reverse("admin:index")).wsgi_request
    for model, model_admin in admin.site._registry.items():
        assert model_admin.has_view_permission(request), model
        assert not model_admin.has_add_permission(request), model
        assert not model_admin.has_change_permission(request), model
        assert not model_admin.has_delete_permission(request), model
        assert set(model_admin.get_actions(request)) <= {"export_as_json", "export_as_csv"}, model


def test_staff_do_not_change_what_people_sign_in_with(readers: list[Client], secrets: list[str], alice: User) -> None:
    _superuser, staff = readers
    for model in SIGN_IN:
        pk = model._default_manager.values_list("pk", flat=True)[0]
        before = list(model._default_manager.values())
        for path in (address_of(model, "add"), address_of(model, "change", pk)):
            assert staff.post(path, {"email": "mallory@example.org", "user": alice.pk}).status_code == 403, path
        assert list(model._default_manager.values()) == before


def test_staff_delete_the_second_factor_of_a_person_but_not_of_other_staff(
    readers: list[Client], secrets: list[str], alice: User
) -> None:
    superuser, staff = readers
    root = Authenticator.objects.get(user__username="root")
    for factor in (*Authenticator.objects.filter(user=alice), root):
        staff.post(address_of(Authenticator, "delete", factor.pk), {"post": "yes"})
    everyone = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    staff.post(address_of(Authenticator), everyone)
    assert not Authenticator.objects.filter(user=alice).exists()
    assert Authenticator.objects.filter(pk=root.pk).exists()
    superuser.post(address_of(Authenticator, "delete", root.pk), {"post": "yes"})
    assert not Authenticator.objects.filter(pk=root.pk).exists()


def test_staff_mark_addresses_of_people_as_verified(readers: list[Client], alice: User) -> None:
    root = User.objects.get(username="root")
    addresses = [
        EmailAddress.objects.create(user=user, email=f"{user.username}-2@example.org") for user in (alice, root)
    ]
    chosen = {"action": "make_verified", "_selected_action": [address.pk for address in addresses]}
    _superuser, staff = readers
    staff.post(address_of(EmailAddress), chosen)
    verified = EmailAddress.objects.filter(pk__in=chosen["_selected_action"]).values_list("email", "verified")
    assert dict(verified) == {"alice-2@example.org": True, "root-2@example.org": False}
