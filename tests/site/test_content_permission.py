"""Staff without the permission to read content: no page, search, address or export shows them what people said.

The addresses come from the URL resolver, and the conditions from the models: what is added later is walked as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.db.models import CharField, FileField, ForeignKey, TextField
from django.test import Client
from django.urls import get_resolver, reverse

from apps.accounts.models import User
from apps.accounts.services import create_api_token
from apps.conversations.models import AbuseReport, Conversation, Turn
from apps.core.content_access import PLACEHOLDER
from apps.privacy.models import ContentAccess
from apps.voices.models import VoiceProfile
from tests.client import bearer
from tests.factories import CONSENT_CLIP, SAMPLE, SOUND, make_administrator, make_turn
from tests.site.access_rules import ADMIN, FOR_PROGRAMS, PAGES
from tests.site.routes import routes
from tests.site.test_access import make_delivery, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model

    from tests.client import Page

CANARY = "zanzibarium"
HOSTILE = f'=HYPERLINK("https://example.org/","{CANARY}")<script>alert("{CANARY}")</script>' + "x" * 100_000
SOUNDS = [SOUND, SAMPLE, CONSENT_CLIP]
ADMIN_ROUTES = [route for route in dict.fromkeys(routes(get_resolver().url_patterns)) if route.startswith(ADMIN)]


@pytest.fixture
def permissions(db: None) -> None:
    """Make the permissions, which a flush of the test database removes."""
    for config in apps.get_app_configs():
        create_permissions(config, verbosity=0)


@pytest.fixture
def metadata_staff(permissions: None) -> User:
    """Staff with every permission but that to read content."""
    user = make_administrator(User.objects.create_user("support", "support@example.org"))
    user.is_superuser = False
    user.save()
    user.user_permissions.set(Permission.objects.exclude(codename="read_content"))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def client_of_staff(metadata_staff: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(metadata_staff)
    return client


@pytest.fixture
def rows(conversation: Conversation, voice: VoiceProfile, alice: User) -> dict[str, object]:
    """Alice's rows with the canary in everything she said and wrote, by the names of their parts in routes."""
    Conversation.objects.update(title=CANARY, persona=f"You are {CANARY}.")
    turn = make_turn(conversation, transcript=f"What is {CANARY}?", reply=HOSTILE, spoken_text=CANARY)
    other = Conversation.objects.create(owner=alice, voice=voice)
    make_turn(other, transcript="Nothing to see.", reply="Nothing.")
    report = AbuseReport.objects.create(
        text=CANARY, about=CANARY, turn=turn, voice=voice, file=ContentFile(SOUND, name="x")
    )
    # The trigger forbids other changes of a consent: it keeps its own words.
    return {
        "voice_pk": voice.pk,
        "sample_pk": voice.samples.get().pk,
        "consent_pk": voice.consent.pk,
        "conversation_pk": conversation.pk,
        "turn_pk": turn.pk,
        "report_pk": report.pk,
        "extension": "txt",
        "model": "whisper-base",
        **make_delivery(alice),
    }


def shows_content(page: Page) -> bool:
    """Whether the answer has the canary, or a piece of a sound from its middle, which no header shares."""
    body = _body_of(page)
    pieces = [sound[len(sound) // 2 : len(sound) // 2 + 64] for sound in SOUNDS]
    return CANARY.encode() in body.lower() or any(piece in body for piece in pieces)


def _body_of(page: Any) -> bytes:
    is_async = page.streaming and page.is_async
    return asyncio.run(_all_of(page.streaming_content)) if is_async else bytes(page.getvalue())


async def _all_of(parts: Any) -> bytes:
    return b"".join([part async for part in parts])


def admin_paths(rows: dict[str, object]) -> Iterator[str]:
    """Yield each address of the admin: those of a model's row for every row that there is."""
    for route in ADMIN_ROUTES:
        if "<path:object_id>" not in route:
            yield path_of(route, rows)
            continue
        for model in admin.site._registry:
            if route.startswith(f"{ADMIN}{model._meta.app_label}/{model._meta.model_name}/"):
                for pk in model._default_manager.values_list("pk", flat=True):
                    yield "/" + route.replace("<path:object_id>", str(pk))


def texts_of(model: type[Model]) -> Iterator[str]:
    """Yield the conditions on the texts of a model, and of the models that it points to or that point to it."""
    for field in model._meta.get_fields():
        if isinstance(field, CharField | TextField | FileField):
            yield field.name
        elif field.is_relation and field.related_model and (isinstance(field, ForeignKey) or field.auto_created):
            name = field.name if isinstance(field, ForeignKey) else getattr(field, "related_query_name", field.name)
            label = name if isinstance(name, str) else field.name
            for other in field.related_model._meta.fields:
                if isinstance(other, CharField | TextField | FileField):
                    yield f"{label}__{other.name}"


def test_no_address_of_the_admin_shows_content(client_of_staff: Client, rows: dict[str, object]) -> None:
    paths = list(dict.fromkeys(admin_paths(rows)))
    pages = {path: client_of_staff.get(path) for path in paths}
    assert not [path for path, page in pages.items() if shows_content(page)]
    opened = [path for path, page in pages.items() if page.status_code == 200]
    assert len(opened) > 50
    turn = pages[reverse("admin:conversations_turn_change", args=[rows["turn_pk"]])]
    assert str(PLACEHOLDER) in turn.content.decode()
    assert not ContentAccess.objects.exists()


def test_neither_a_search_nor_an_address_finds_rows_by_content(
    client_of_staff: Client, rows: dict[str, object]
) -> None:
    """A condition on content would tell which rows have a word, letter by letter."""
    told = []
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for condition in ("q", *(f"{name}__icontains" for name in texts_of(model))):
            found = client_of_staff.get(path, {condition: CANARY})
            if found.status_code == 400:
                continue
            if count_of(found) != count_of(client_of_staff.get(path, {condition: "q" * len(CANARY)})):
                told.append((path, condition))
    assert not told


def count_of(page: Page) -> int | None:
    return page.context["cl"].result_count if page.status_code == 200 and "cl" in page.context else None


def test_no_completion_finds_rows_by_content(client_of_staff: Client, rows: dict[str, object]) -> None:
    for model in (Turn, AbuseReport):
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey):
                query = {"app_label": "conversations", "model_name": model.__name__.lower(), "field_name": field.name}
                page = client_of_staff.get(reverse("admin:autocomplete"), {**query, "term": CANARY})
                assert page.status_code in {403, 404} or page.json()["results"] == []


@pytest.mark.usefixtures("real_transactions")
def test_actions_on_lists_show_no_content(client_of_staff: Client, rows: dict[str, object]) -> None:
    for model, model_admin in admin.site._registry.items():
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        request: Any = client_of_staff.get(path).wsgi_request
        pks = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)]
        for action in model_admin.get_actions(request):
            if model in {User, VoiceProfile} and "delete" in action:
                continue  # It would take the rows of the others with it.
            page = client_of_staff.post(path, {"action": action, "_selected_action": pks})
            assert page.status_code < 500, action
            assert not shows_content(page), action


def test_the_api_and_the_pages_give_staff_no_more_than_others(
    client_of_staff: Client, metadata_staff: User, rows: dict[str, object]
) -> None:
    headers = bearer(create_api_token(owner=metadata_staff, name="tests"))
    for route in (*PAGES, *FOR_PROGRAMS):
        path = path_of(route, rows)
        assert not shows_content(client_of_staff.get(path)), path
        assert not shows_content(client_of_staff.get(path, {"search": CANARY, "q": "nothing"})), path
        assert not shows_content(Client().get(path, headers=headers)), path


def test_the_permission_shows_content_and_records_it_for_the_owner(
    client_of_staff: Client, metadata_staff: User, rows: dict[str, object], alice: User
) -> None:
    metadata_staff.user_permissions.add(Permission.objects.get(codename="read_content"))
    for name in ("turn", "conversation"):
        assert not shows_content(client_of_staff.get(reverse(f"admin:conversations_{name}_changelist")))
    assert not ContentAccess.objects.exists()
    for _time in range(2):
        for name, pk in (("turn", rows["turn_pk"]), ("conversation", rows["conversation_pk"])):
            page = client_of_staff.get(reverse(f"admin:conversations_{name}_change", args=[pk]))
            assert shows_content(page)
            assert "<script>alert" not in page.content.decode()
    client_of_staff.get(reverse("admin:voices_consent_change", args=[rows["consent_pk"]]))
    client_of_staff.get(reverse("admin:conversations_abusereport_change", args=[rows["report_pk"]]))
    seen = ContentAccess.objects.order_by("pk").values_list("owner", "reader", "kind", "object_id")
    assert list(seen) == [
        (alice.pk, metadata_staff.pk, kind, str(pk))
        for kind, pk in [
            ("turn", rows["turn_pk"]),
            ("conversation", rows["conversation_pk"]),
            ("consent", rows["consent_pk"]),
        ]
    ]


def test_without_a_second_factor_not_even_metadata_is_shown(client_of_staff: Client, metadata_staff: User) -> None:
    Authenticator.objects.filter(user=metadata_staff).delete()
    pages = {route: client_of_staff.get(path_of(route, {})) for route in ADMIN_ROUTES}
    assert not [route for route, page in pages.items() if page.status_code == 200 and "jsi18n" not in route]
