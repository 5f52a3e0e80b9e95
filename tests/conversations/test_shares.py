"""Links with which anybody hears one answer: made, opened, expired, revoked, and shut with the voice."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.conversations import shares
from apps.conversations.models import Conversation, Share, Turn
from apps.conversations.services import delete_conversation
from apps.core.digests import digest_of
from apps.core.logs import WithoutSecretLinks
from apps.core.personal_data import all_personal_data
from apps.privacy import retention
from apps.voices.consent import withdraw_consent
from apps.voices.suspension import suspend_voice
from tests.client import bearer, error_of
from tests.factories import make_administrator, make_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page

QUESTION, REPLY = "What is the capital of France?", "It is Paris, on the Seine."
pytestmark = pytest.mark.django_db


@pytest.fixture
def turn(conversation: Conversation) -> Turn:
    return make_turn(conversation, transcript=QUESTION, reply=REPLY, answer_seconds=2.1)


def post(client: Client, token: str, turn: Turn, **values: Any) -> Page:
    address = reverse("api:turn-shares", args=[turn.pk])
    return client.post(address, json.dumps(values), content_type="application/json", headers=bearer(token))


def share_of(turn: Turn, **values: Any) -> tuple[str, Share]:
    """Return the path of a new link, and its row."""
    share, secret = shares.create_share(turn=turn, **values)
    return reverse("conversations:shared", args=[secret]), share


class TestApi:
    def test_a_link_is_made_listed_and_revoked(self, client: Client, alice_token: str, turn: Turn) -> None:
        made = post(client, alice_token, turn, days=1, with_text=True)
        assert made.status_code == 201
        assert made["Cache-Control"] == "no-store"
        body = made.json()
        assert body["url"].startswith("http://testserver/s/")
        secret = body.pop("url").rpartition("/")[2]
        assert len(secret) >= 43
        share = Share.objects.get()
        assert share.digest == digest_of(secret)
        assert share.expires_at - share.created_at == timedelta(days=1)
        assert secret not in json.dumps([str(value) for value in Share.objects.values().get().values()])
        listed = client.get(reverse("api:shares"), headers=bearer(alice_token)).json()
        assert listed["results"] == [body]
        assert body["with_text"] is True
        assert client.get(f"/s/{secret}").status_code == 200
        one = reverse("api:share", args=[share.pk])
        assert client.delete(one, headers=bearer(alice_token)).status_code == 204
        assert client.get(f"/s/{secret}").status_code == 404
        assert client.delete(one, headers=bearer(alice_token)).status_code == 404

    def test_it_works_for_a_week_and_shows_no_words_unless_told(
        self, client: Client, alice_token: str, turn: Turn
    ) -> None:
        assert post(client, alice_token, turn).status_code == 201
        share = Share.objects.get()
        assert share.expires_at - share.created_at == timedelta(days=7)
        assert not share.with_text

    @pytest.mark.parametrize("values", [{"days": 2}, {"days": True}, {"with_text": "yes"}])
    def test_other_values_are_refused(
        self, client: Client, alice_token: str, turn: Turn, values: dict[str, Any]
    ) -> None:
        refused = post(client, alice_token, turn, **values)
        assert refused.status_code == 400
        assert error_of(refused)["fields"].keys() == values.keys()

    def test_others_neither_share_nor_see_nor_revoke(
        self, client: Client, alice_token: str, bob_token: str, turn: Turn
    ) -> None:
        assert post(client, bob_token, turn).status_code == 404
        assert post(client, alice_token, turn).status_code == 201
        share = Share.objects.get()
        assert client.get(reverse("api:shares"), headers=bearer(bob_token)).json()["results"] == []
        assert client.delete(reverse("api:share", args=[share.pk]), headers=bearer(bob_token)).status_code == 404
        assert Share.objects.exists()

    @pytest.mark.parametrize("values", [{"answer": ""}, {"status": Turn.Status.FAILED}, {"status": "received"}])
    def test_only_a_finished_answer_can_be_shared(
        self, client: Client, alice_token: str, conversation: Conversation, values: dict[str, str]
    ) -> None:
        refused = post(client, alice_token, make_turn(conversation, **values))
        assert (refused.status_code, error_of(refused)["code"]) == (409, "audio_not_found")

    def test_a_silenced_voice_cannot_be_shared(self, client: Client, alice_token: str, turn: Turn) -> None:
        assert turn.voice
        suspend_voice(voice=turn.voice, note="")
        refused = post(client, alice_token, turn)
        assert (refused.status_code, error_of(refused)["code"]) == (403, "voice_silenced")

    def test_their_number_is_limited(
        self, client: Client, alice_token: str, turn: Turn, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shares, "MAX_SHARES", 1)
        assert post(client, alice_token, turn).status_code == 201
        refused = post(client, alice_token, turn)
        assert (refused.status_code, error_of(refused)["code"]) == (409, "too_many_shares")
        Share.objects.update(expires_at=timezone.now())
        assert post(client, alice_token, turn).status_code == 201
        settings.LIMITS = True
        cache.clear()
        for _number in range(shares.MADE_PER_OWNER.attempts):
            shares.MADE_PER_OWNER.take(str(turn.owner_id))
        refused = post(client, alice_token, turn)
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 0


class TestOpening:
    def test_the_page_names_nobody_and_says_that_an_ai_speaks(self, client: Client, turn: Turn) -> None:
        path, _share = share_of(turn)
        page = client.get(path)
        text = page.content.decode()
        assert page.status_code == 200
        assert "An answer made by AI" in text
        assert not [word for word in (QUESTION, REPLY, "alice", "Jane") if word in text]
        for response in (page, client.get(f"{path}/answer.mp3")):
            assert response["Cache-Control"] == "private, no-store"
            assert response["Referrer-Policy"] == "no-referrer"
            assert "noindex" in response["X-Robots-Tag"]

    def test_the_words_are_shown_if_the_owner_says_so(self, client: Client, turn: Turn) -> None:
        text = client.get(share_of(turn, with_text=True)[0]).content.decode()
        assert QUESTION in text
        assert REPLY in text

    def test_the_sound_is_the_marked_mp3(self, client: Client, turn: Turn) -> None:
        path, _share = share_of(turn)
        sound = client.get(f"{path}/answer.mp3")
        assert (sound["Content-Type"], sound["X-AI-Generated"]) == ("audio/mpeg", "true")
        turn.refresh_from_db()
        with turn.answer_mp3.open("rb") as stored:
            assert sound.content == stored.read()
        part = client.get(f"{path}/answer.mp3", headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, sound.content[:10])
        assert "attachment" in client.get(f"{path}/answer.mp3?download")["Content-Disposition"]

    @pytest.mark.parametrize(
        "shut",
        [
            lambda share: Share.objects.update(expires_at=timezone.now()),
            lambda share: suspend_voice(voice=share.turn.voice, note=""),
            lambda share: withdraw_consent(consent=share.turn.voice.consent),
            lambda share: type(share.turn.voice).objects.update(status="deleting"),
            lambda share: Turn.objects.update(voice=None),
            lambda share: Turn.objects.update(answer="", answer_mp3=""),
            lambda share: type(share.owner).objects.update(is_active=False),
            lambda share: delete_conversation(conversation=share.turn.conversation),
            lambda share: shares.revoke_share(share=share),
        ],
        ids=["expired", "suspended", "withdrawn", "deleting", "voiceless", "silent", "inactive", "deleted", "revoked"],
    )
    def test_it_ends_at_once(self, client: Client, turn: Turn, shut: Callable[[Share], object]) -> None:
        path, share = share_of(turn)
        assert client.get(path).status_code == 200
        shut(share)
        page = client.get(path)
        assert page.status_code == 404
        assert "This link leads nowhere" in page.content.decode()
        assert page["Referrer-Policy"] == "no-referrer"
        assert client.get(f"{path}/answer.mp3").status_code == 404

    def test_another_secret_opens_nothing(self, client: Client, turn: Turn) -> None:
        _path, share = share_of(turn)
        for secret in ("x", share.digest, str(share.pk)):
            assert client.get(f"/s/{secret}").status_code == 404

    def test_it_is_limited_by_network(self, client: Client, turn: Turn, settings: Settings) -> None:
        path, _share = share_of(turn)
        settings.LIMITS = True
        cache.clear()
        for _number in range(shares.OPENED_PER_NETWORK.attempts):
            shares.OPENED_PER_NETWORK.take("127.0.0.1/32")
        for address in (path, f"{path}/answer.mp3"):
            refused = client.get(address)
            assert refused.status_code == 429
            assert int(refused["Retry-After"]) > 0
            assert refused["Content-Type"].endswith("; charset=utf-8")


class TestPages:
    def test_the_owner_makes_one_without_scripts_and_revokes_it(self, client: Client, alice: User, turn: Turn) -> None:
        client.force_login(alice)
        address = reverse("conversations:share", args=[turn.pk])
        assert "Create a link" in client.get(address).content.decode()
        made = client.post(address, {"days": "30"})
        path = made.context["address"].removeprefix("http://testserver")
        assert client.get(path).status_code == 200
        listed = client.get(reverse("conversations:shares"))
        assert path not in listed.content.decode()
        share = Share.objects.get()
        assert (share.expires_at - share.created_at).days == 30
        assert client.post(reverse("conversations:revoke-share", args=[share.pk])).status_code == 302
        assert client.get(path).status_code == 404

    def test_the_list_takes_as_many_queries_for_ten_links_as_for_one(
        self, client: Client, alice: User, turn: Turn
    ) -> None:
        client.force_login(alice)
        taken = []
        for more in (1, 0, 9):
            for _number in range(more):
                share_of(turn)
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse("conversations:shares"))
            taken.append(len(queries))
        assert Share.objects.count() == 10
        assert taken[1] == taken[2]

    def test_a_refusal_is_shown(self, client: Client, alice: User, turn: Turn) -> None:
        client.force_login(alice)
        address = reverse("conversations:share", args=[turn.pk])
        assert client.post(address, {"days": "2"}).status_code == 422
        Turn.objects.update(voice=None)
        refused = client.post(address, {"days": "7"})
        assert refused.status_code == 422
        assert "was deleted" in refused.content.decode()

    def test_the_page_of_somebody_elses_answer_does_not_exist(self, client: Client, bob: User, turn: Turn) -> None:
        share = share_of(turn)[1]
        client.force_login(bob)
        assert client.get(reverse("conversations:share", args=[turn.pk])).status_code == 404
        assert client.post(reverse("conversations:revoke-share", args=[share.pk])).status_code == 404

    def test_staff_see_links_that_they_cannot_open(self, client: Client, turn: Turn) -> None:
        path, share = share_of(turn)
        client.force_login(make_administrator())
        for name, arguments in (("changelist", []), ("change", [share.pk])):
            page = client.get(reverse(f"admin:conversations_share_{name}", args=arguments))
            assert page.status_code == 200
            text = page.content.decode()
            assert str(share.pk) in text
            assert path not in text
            assert share.digest not in text


class TestPersonalData:
    def test_it_is_exported_without_the_secret_and_erased(self, alice: User, turn: Turn) -> None:
        share_of(turn)
        (data,) = (each for each in all_personal_data() if type(each).__name__ == "ConversationsData")
        (table,) = (table for table in data.tables(alice) if table.name == "shares")
        assert table.rows.count() == 1
        assert table.without == ("digest",)
        assert "Links that share answers" in [line.what for line in data.erase(alice)]
        assert not Share.objects.exists()

    def test_expired_links_are_deleted(self, turn: Turn) -> None:
        kept, old = share_of(turn)[1], share_of(turn)[1]
        Share.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
        for due in retention.find_due():
            assert retention.apply(due) == ""
        assert list(Share.objects.all()) == [kept]

    def test_no_log_has_the_secret(self) -> None:
        arguments = ("127.0.0.1:1", "GET", "/s/verysecret/answer.mp3", "1.1", 200)
        record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
        WithoutSecretLinks().filter(record)
        assert "verysecret" not in record.getMessage()
        assert "/s/…/answer.mp3" in record.getMessage()
