from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiToken, User
from apps.conversations.models import AbuseReport, Conversation, Turn
from apps.privacy.models import Erasure
from apps.voices.models import Consent, VoiceProfile
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookDelivery, WebhookEvent
from tests.client import bearer
from tests.factories import make_turn, make_voice
from tests.storage import stored_files
from tests.worker import work

if TYPE_CHECKING:
    from django.db.models import Model
    from django.test import Client
    from pytest_django import Settings

    from tests.client import Page
    from tests.fakes.provider import FakeProvider

MODELS = [User, ApiToken, VoiceProfile, Consent, Conversation, Turn]
HISTORY = [VoiceProfile, Consent, Conversation, Turn]


@pytest.fixture
def staff(admin_client: Client) -> Client:
    """A client that is signed in as an administrator."""
    return admin_client


@pytest.fixture
def rows(alice: User, alice_token: str, conversation: Conversation) -> dict[type[Model], Model]:
    voice = conversation.voice
    assert voice is not None
    turn = make_turn(conversation)
    return {
        User: alice,
        ApiToken: ApiToken.objects.get(),
        VoiceProfile: voice,
        Consent: voice.consent,
        Conversation: conversation,
        Turn: turn,
    }


def url(name: str, model: type[Model], *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def found(response: Page) -> list[Any]:
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


@pytest.mark.parametrize("model", MODELS)
def test_the_list_and_each_row_are_shown(staff: Client, rows: dict[type[Model], Model], model: type[Model]) -> None:
    row = rows[model]
    assert row in found(staff.get(url("changelist", model)))
    assert staff.get(url("change", model, row.pk)).status_code == 200
    assert staff.get(url("history", model, row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_every_filter_can_be_used(staff: Client, rows: dict[type[Model], Model], model: type[Model]) -> None:
    page = staff.get(url("changelist", model))
    queries = [
        choice["query_string"]
        for spec in page.context["cl"].filter_specs
        for choice in spec.choices(page.context["cl"])
    ]
    assert queries
    for query in queries:
        assert staff.get(url("changelist", model) + query).status_code == 200


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (User, "alice@example"),
        (ApiToken, "alice"),
        (VoiceProfile, "Jane"),
        (VoiceProfile, "alice@example.org"),
        (Consent, "alice@example.org"),
        (Conversation, "capital of France"),
        (Conversation, "alice"),
        (Turn, "Paris"),
    ],
)
def test_search_finds_only_matching_rows(
    staff: Client, rows: dict[type[Model], Model], model: type[Model], words: str
) -> None:
    assert found(staff.get(url("changelist", model), {"q": words})) == [rows[model]]
    assert found(staff.get(url("changelist", model), {"q": "nothing like this"})) == []


def test_a_search_does_not_change_the_number_of_turns(staff: Client, conversation: Conversation) -> None:
    make_turn(conversation, transcript="Where is the Seine?")
    make_turn(conversation, transcript="And the Spree?")
    for query in ({}, {"q": "seine"}):
        (row,) = found(staff.get(url("changelist", Conversation), query))
        assert row.turns_counted == 2


@pytest.mark.parametrize("model", HISTORY)
def test_history_can_only_be_read(staff: Client, rows: dict[type[Model], Model], model: type[Model]) -> None:
    row = rows[model]
    before = model._default_manager.values().get()
    assert staff.get(url("add", model)).status_code == 403
    assert staff.post(url("change", model, row.pk), {"name": "x", "title": "x"}).status_code == 403
    assert staff.post(url("delete", model, row.pk), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    staff.post(url("changelist", model), action)
    assert model._default_manager.values().get() == before


class TestTokens:
    def test_a_token_is_revoked_for_good(self, staff: Client, alice_token: str) -> None:
        token = ApiToken.objects.get()
        change = url("change", ApiToken, token.pk)
        staff.post(change, {"revoked_at_0": "2026-01-01", "revoked_at_1": "12:00"})
        token.refresh_from_db()
        assert token.revoked_at is not None
        staff.post(change, {"revoked_at_0": "", "revoked_at_1": "", "expires_at_0": "", "expires_at_1": ""})
        token.refresh_from_db()
        assert token.revoked_at is not None

    def test_a_token_cannot_be_created_or_read(self, staff: Client, alice_token: str) -> None:
        assert staff.get(url("add", ApiToken)).status_code == 403
        token = ApiToken.objects.get()
        page = staff.get(url("change", ApiToken, token.pk)).content.decode()
        assert alice_token not in page
        assert token.digest not in page

    def test_a_token_can_be_revoked(self, staff: Client, alice_token: str) -> None:
        now = timezone.now()
        form = {"revoked_at_0": f"{now:%Y-%m-%d}", "revoked_at_1": f"{now:%H:%M:%S}", "owner": "7", "name": "other"}
        assert staff.post(url("change", ApiToken, ApiToken.objects.get().pk), form).status_code == 302
        token = ApiToken.objects.get()
        assert (token.owner.username, token.name) == ("alice", "tests")
        assert token.revoked_at
        assert staff.get("/api/v1/voices", headers=bearer(alice_token)).status_code == 401


class TestDeletionOfAnAccount:
    def delete(self, staff: Client, user: User) -> Page:
        return staff.post(url("delete", User, user.pk), {"post": "yes"}, follow=True)

    def test_the_question_takes_as_many_queries_as_for_an_empty_account(
        self, staff: Client, alice: User, bob: User, conversation: Conversation, django_assert_num_queries: Any
    ) -> None:
        with CaptureQueriesContext(connection) as queries:
            page = staff.get(url("delete", User, bob.pk))
        assert "bob" in page.content.decode()
        make_turn(conversation)
        with django_assert_num_queries(len(queries)):
            assert staff.get(url("delete", User, alice.pk)).status_code == 200

    @pytest.mark.usefixtures("real_transactions")
    def test_it_is_an_erasure_with_files_and_at_the_provider(
        self, staff: Client, alice: User, conversation: Conversation, remote_engines: FakeProvider, settings: Settings
    ) -> None:
        settings.ERASURE_COOLING_OFF_DAYS = 0
        make_turn(conversation)
        assert "is erased" in self.delete(staff, alice).content.decode()
        alice.refresh_from_db()
        assert not alice.is_active
        work()
        assert not User.objects.filter(pk=alice.pk).exists()
        assert not remote_engines.voices
        assert not stored_files()
        assert Erasure.objects.get().state == Erasure.State.DONE

    def test_a_second_request_says_that_it_is_under_way(self, staff: Client, alice: User) -> None:
        self.delete(staff, alice)
        assert "already being deleted" in self.delete(staff, alice).content.decode()
        assert Erasure.objects.count() == 1

    def test_accounts_are_not_deleted_from_the_list(self, staff: Client, alice: User) -> None:
        action = {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"}
        staff.post(url("changelist", User), action)
        assert User.objects.filter(pk=alice.pk).exists()
        assert not Erasure.objects.exists()


def test_texts_and_names_of_people_are_escaped(staff: Client, alice: User) -> None:
    voice = make_voice(alice, "voice", name="<script>alert(1)</script>")
    conversation = Conversation.objects.create(owner=alice, voice=voice, title="<script>alert(2)</script>")
    turn = make_turn(conversation, transcript="<script>alert(3)</script>", reply="<script>alert(4)</script>")
    for model, row in ((VoiceProfile, voice), (Conversation, conversation), (Turn, turn)):
        for page in (staff.get(url("changelist", model)), staff.get(url("change", model, row.pk))):
            assert "<script>alert" not in page.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_the_number_of_queries_of_a_list_does_not_depend_on_its_rows(
    staff: Client, alice: User, django_assert_max_num_queries: Any, model: type[Model]
) -> None:
    for number in range(5):
        voice = make_voice(alice, f"voice-{number}")
        make_turn(Conversation.objects.create(owner=alice, voice=voice))
        ApiToken.objects.create(owner=alice, name="token", digest=str(number))
    with django_assert_max_num_queries(11):
        staff.get(url("changelist", model))


def test_lists_and_confirmations_contain_no_word_of_a_conversation(
    staff: Client, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "voiceclone.audit")
    voice = make_voice(alice, "voice")
    conversation = Conversation.objects.create(owner=alice, voice=voice, title="Treasure in Rome")
    turn = make_turn(conversation, transcript="Where is the treasure?", reply="The treasure is buried.")
    report = AbuseReport.objects.create(text="Somebody uses my voice.", turn=turn, voice=voice)
    delivery = notify_about(turn)
    pages = [staff.get(url("changelist", model)) for model in admin.site._registry]
    pages.append(staff.get(url("delete", User, alice.pk)))
    pages.append(staff.get(url("change", WebhookDelivery, delivery.pk)))
    for page in pages:
        assert page.status_code == 200
        assert "reasure" not in page.content.decode(), page.request["PATH_INFO"]
    assert not reads(caplog)
    staff.get(url("change", Turn, turn.pk))
    staff.get(url("change", AbuseReport, report.pk))
    consent = voice.consent
    assert consent is not None
    staff.get(url("change", Consent, consent.pk))
    assert reads(caplog) == [f"turn {turn.pk}", f"abusereport {report.pk}", f"consent {consent.pk}"]
    assert "reasure" not in str(list(LogEntry.objects.values()))


def notify_about(turn: Turn) -> WebhookDelivery:
    webhooks.create_webhook(owner=turn.owner, url="https://example.org/hook")
    webhooks.notify(owner_id=turn.owner_id, event=WebhookEvent.TURN_DONE, data={"id": turn.pk, "status": turn.status})
    return WebhookDelivery.objects.get()


def reads(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the rows that the audit log notes as read."""
    return [vars(record)["row"] for record in caplog.records if vars(record).get("audit") == "private_read"]


def test_all_models_are_registered() -> None:
    assert set(MODELS) <= set(admin.site._registry)
