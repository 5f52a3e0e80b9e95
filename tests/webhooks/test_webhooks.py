"""Webhooks: messages, signatures, allowed addresses, and retries."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core import mail
from django.db import connections
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from apps.accounts.models import User
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile
from apps.webhooks import sender, tasks
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent
from tests.client import Api, bearer, error_of
from tests.fakes.provider import CHAT, VOICES_ADD, FakeProvider
from tests.worker import make_due, work

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.usefixtures("real_transactions")

PUBLIC = "https://93.184.215.14/hook"  # An address, so that tests need no name server.
EVENT = WebhookEvent.TURN_DONE


@dataclass
class Receiver:
    """A server on loopback that accepts webhooks."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((dict(self.headers.items()), body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def certificate_for(name: str, path: Path) -> Path:
    """Write a key and a self-signed certificate for `name` to `path`, and return `path`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = timezone.now()
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted)
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


@pytest.fixture
def webhook(alice: User) -> Webhook:
    return webhooks.create_webhook(owner=alice, url=PUBLIC)


def notify(webhook: Webhook) -> WebhookDelivery:
    webhooks.notify(owner_id=webhook.owner_id, event=EVENT, data={"turn_id": "1", "status": "spoken"})
    return WebhookDelivery.objects.get(webhook=webhook)


class TestMessage:
    def test_it_is_signed_as_the_standard_says(self, alice: User, receiver: Receiver) -> None:
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        delivery = notify(webhook)
        work()
        ((headers, body),) = receiver.received
        message = Verifier(webhook.secret).verify(body.decode(), {k.lower(): v for k, v in headers.items()})
        assert message.keys() == {"type", "timestamp", "data"}
        assert (message["type"], message["data"]) == ("turn.done", {"turn_id": "1", "status": "spoken"})
        assert headers["Webhook-Id" if "Webhook-Id" in headers else "webhook-id"] == f"msg_{delivery.pk.hex}"
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries, delivery.response_status) == ("delivered", 1, 204)
        assert delivery.next_try_at is None

    def test_for_a_day_after_a_change_both_secrets_verify_it(self, alice: User, receiver: Receiver) -> None:
        webhook = webhooks.create_webhook(owner=alice, url=receiver.url)
        before = webhook.secret
        webhooks.change_secret(webhook=webhook)
        assert webhook.secret != before
        notify(webhook)
        work()
        ((headers, body),) = receiver.received
        headers = {name.lower(): value for name, value in headers.items()}
        for secret in (before, webhook.secret):
            assert Verifier(secret).verify(body.decode(), headers)["type"] == "turn.done"
        Webhook.objects.update(previous_ends_at=timezone.now())
        webhook.refresh_from_db()
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=webhook.signing_keys)
        Verifier(webhook.secret).verify("{}", headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(before).verify("{}", headers)

    def test_another_secret_does_not_verify_it(self, alice: User, receiver: Receiver) -> None:
        mine, other = [webhooks.create_webhook(owner=alice, url=receiver.url) for _number in range(2)]
        assert mine.secret != other.secret
        headers = sender.signature_headers(message_id="msg_1", body="{}", keys=mine.signing_keys)
        Verifier(mine.secret).verify("{}", headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(other.secret).verify("{}", headers)

    def test_the_database_holds_no_secret(self, webhook: Webhook, settings: Settings) -> None:
        stored = json.dumps(list(Webhook.objects.values()), default=str)
        assert webhook.secret.removeprefix("whsec_") not in stored
        before = webhook.secret
        settings.SECRET_KEY = "another"
        assert webhook.secret != before

    def test_one_kilobyte_of_the_answer_is_kept(self, alice: User, receiver: Receiver) -> None:
        receiver.status, receiver.body = 200, b"\x00\xff" + b"x" * 5000
        delivery = notify(webhooks.create_webhook(owner=alice, url=receiver.url))
        work()
        delivery.refresh_from_db()
        assert 1000 < len(delivery.response_body.encode()) <= 1100
        assert delivery.response_body.endswith("xx")

    def test_a_redirect_is_not_followed(self, alice: User, receiver: Receiver) -> None:
        receiver.status, receiver.headers = 307, {"Location": receiver.url}
        delivery = notify(webhooks.create_webhook(owner=alice, url=receiver.url))
        work()
        delivery.refresh_from_db()
        assert len(receiver.received) == 1
        assert (delivery.status, delivery.error_code, delivery.response_status) == ("pending", "refused", 307)


class TestTries:
    @responses.activate
    def test_they_repeat_with_growing_delays_until_one_succeeds(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        delivery = notify(webhook)
        for number, delay in enumerate(tasks.DELIVERY_RETRY_DELAYS[:3], 1):
            make_due()
            work()
            delivery.refresh_from_db()
            assert (delivery.status, delivery.tries) == ("pending", number)
            assert delivery.next_try_at
            assert delivery.last_try_at
            assert delivery.next_try_at - delivery.last_try_at == pytest.approx(delay, abs=timedelta(seconds=1))
        webhook.refresh_from_db()
        assert webhook.failing_since
        responses.replace("POST", PUBLIC, status=200)
        make_due()
        work()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries) == ("delivered", 4)
        assert Webhook.objects.get().failing_since is None
        ids = {call.request.headers["webhook-id"] for call in responses.calls}
        assert ids == {f"msg_{delivery.pk.hex}"}

    @responses.activate
    def test_they_end_after_the_last_delay(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        delivery = notify(webhook)
        for _number in range(8):
            make_due()
            work()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.tries) == ("failed", 1 + len(tasks.DELIVERY_RETRY_DELAYS))
        assert len(responses.calls) == delivery.tries

    @responses.activate
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (requests.ConnectionError(), "not_reached"),
            (requests.ConnectTimeout(), "not_reached"),
            (requests.ReadTimeout(), "timeout"),
            (requests.exceptions.SSLError(), "certificate_invalid"),
        ],
    )
    def test_the_delivery_says_why_it_failed(self, webhook: Webhook, error: Exception, code: str) -> None:
        responses.post(PUBLIC, body=error)
        delivery = notify(webhook)
        work()
        delivery.refresh_from_db()
        assert (delivery.error_code, delivery.response_status) == (code, None)

    def test_a_slow_server_is_abandoned(self, alice: User, settings: Settings) -> None:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        settings.WEBHOOK_SECONDS = 0.3
        with socket.create_server(("127.0.0.1", 0)) as silent:
            answer = sender.send(
                url=f"http://127.0.0.1:{silent.getsockname()[1]}/", message_id="msg_1", body="{}", keys=[b"x"]
            )
        assert answer.error_code == "timeout"

    @responses.activate
    def test_a_task_that_runs_twice_sends_once(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200)
        delivery = notify(webhook)
        tasks.deliver_webhook.enqueue(str(delivery.pk))
        work()
        assert len(responses.calls) == 1


class TestSwitchingOff:
    @responses.activate
    def test_after_days_of_failures_it_is_off_and_the_owner_gets_one_mail(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=500)
        Webhook.objects.update(failing_since=timezone.now() - tasks.SWITCH_OFF_AFTER)
        delivery = notify(webhook)
        work()
        make_due()
        work()
        webhook.refresh_from_db()
        delivery.refresh_from_db()
        assert not webhook.is_active
        assert (delivery.status, delivery.error_code) == ("failed", "webhook_off")
        assert len(responses.calls) == 1
        (message,) = mail.outbox
        assert message.to == ["alice@example.org"]
        assert PUBLIC in message.body

    @responses.activate
    def test_a_410_switches_it_off_at_once(self, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=410)
        delivery = notify(webhook)
        work()
        webhook.refresh_from_db()
        delivery.refresh_from_db()
        assert (webhook.is_active, delivery.status) == (False, "failed")

    def test_a_webhook_that_is_off_gets_no_messages(self, webhook: Webhook) -> None:
        webhooks.change_webhook(webhook=webhook, is_active=False)
        webhooks.notify(owner_id=webhook.owner_id, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_switching_it_on_resets_the_time_of_failure(self, webhook: Webhook) -> None:
        Webhook.objects.update(failing_since=timezone.now(), is_active=False)
        webhook.refresh_from_db()
        webhooks.change_webhook(webhook=webhook, is_active=True)
        assert Webhook.objects.get().failing_since is None


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "https://user:secret@example.org/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://app.localhost:8000/",
            "https://[::1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[::ffff:127.0.0.1]/",
            "ftp://example.org/",
            "https://",
            "https://[x/",
            "https://example.org:port/",
            "example.org",
        ],
    )
    def test_private_and_invalid_addresses_are_refused_at_once(
        self, client: Client, alice_token: str, url: str
    ) -> None:
        refused = client.post(
            reverse("api:webhooks"), {"url": url}, content_type="application/json", headers=bearer(alice_token)
        )
        assert refused.status_code == 400
        assert error_of(refused)["code"] == "webhook_address_not_allowed"

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "0.0.0.0",  # noqa: S104 - nothing binds to it
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:5ef5:79fd::1",
        ],
    )
    def test_private_networks_are_not_allowed(self, address: str) -> None:
        assert not sender.is_allowed(ipaddress.ip_address(address))

    @pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14"])
    def test_public_addresses_are_allowed(self, address: str) -> None:
        assert sender.is_allowed(ipaddress.ip_address(address))

    @responses.activate
    @pytest.mark.parametrize("answers", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
    def test_a_name_with_a_private_address_is_refused(
        self, alice: User, monkeypatch: pytest.MonkeyPatch, answers: list[str]
    ) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in answers]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        delivery = notify(webhooks.create_webhook(owner=alice, url="https://inside.example.org/"))
        work()
        delivery.refresh_from_db()
        assert delivery.error_code == "address_not_allowed"
        assert not responses.calls

    def test_the_connection_goes_to_the_address_that_was_checked(
        self, alice: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is resolved only once."""
        resolve, asked = socket.getaddrinfo, []

        def once(host: Any, *arguments: Any, **options: Any) -> Any:
            if host != "rebinding.example.org":
                return resolve(host, *arguments, **options)
            asked.append(host)
            assert len(asked) == 1
            return resolve("127.0.0.1", *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", once)
        url = receiver.url.replace("127.0.0.1", "rebinding.example.org")
        delivery = notify(webhooks.create_webhook(owner=alice, url=url))
        work()
        delivery.refresh_from_db()
        assert delivery.status == "delivered"
        assert receiver.received[0][0]["Host"] == url.split("/")[2]

    @pytest.mark.parametrize(
        ("name", "error_code"), [("hooks.example.org", ""), ("other.example.org", "certificate_invalid")]
    )
    def test_the_certificate_has_to_match_the_name(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, error_code: str
    ) -> None:
        settings.WEBHOOK_ALLOW_PRIVATE = True
        certificate = certificate_for("hooks.example.org", tmp_path / "certificate.pem")
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
        resolve = socket.getaddrinfo

        def lead_here(host: Any, *arguments: Any, **options: Any) -> Any:
            return resolve("127.0.0.1" if host == name else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", lead_here)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        received = bytearray()

        def serve_one(server: socket.socket) -> None:
            with suppress(OSError), server.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as peer:
                # Read all of it: closing a connection with unread data would discard the answer.
                while b"\r\n\r\n{}" not in received and (chunk := peer.recv(65536)):
                    received.extend(chunk)
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            thread = threading.Thread(target=serve_one, args=[server])
            thread.start()
            url = f"https://{name}:{server.getsockname()[1]}/"
            answer = sender.send(url=url, message_id="msg_1", body="{}", keys=[b"x"])
            thread.join()
        assert answer.error_code == error_code

    def test_an_unknown_name_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: Any, **_options: Any) -> None:
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        answer = sender.send(url="https://nowhere.example.org/", message_id="msg_1", body="{}", keys=[b"x"])
        assert answer.error_code == "name_not_found"


class TestEvents:
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(delivery.body) for delivery in WebhookDelivery.objects.order_by("created_at")]

    def test_the_end_of_a_turn_is_sent_without_its_words(
        self, alice_api: Api, webhook: Webhook, conversation: Conversation, provider: FakeProvider
    ) -> None:
        alice_api.ask(conversation)
        turn = Turn.objects.get()
        (body,) = self.bodies()
        assert body["type"] == "turn.done"
        assert body["data"] == {"turn_id": str(turn.pk), "conversation_id": str(conversation.pk), "status": "spoken"}

    def test_streamed_and_failed_turns_send_their_end(
        self, alice_api: Api, webhook: Webhook, conversation: Conversation, provider: FakeProvider
    ) -> None:
        alice_api.events_of_turn(conversation)
        provider.fail_next(CHAT, status=400)
        alice_api.ask(conversation)
        assert [body["data"]["status"] for body in self.bodies()] == ["spoken", "failed"]

    @pytest.mark.usefixtures("consent")
    def test_voices_send_whether_they_are_ready(self, alice_api: Api, webhook: Webhook, provider: FakeProvider) -> None:
        provider.fail_next(VOICES_ADD, status=400)
        alice_api.clone_voice()
        alice_api.clone_voice()
        assert [body["type"] for body in self.bodies()] == ["voice.failed", "voice.ready"]
        ready = VoiceProfile.objects.get(status="ready")
        assert self.bodies()[1]["data"] == {"id": str(ready.pk), "voice_id": ready.voice_id, "status": "ready"}

    def test_a_webhook_gets_only_its_events(self, alice: User) -> None:
        webhooks.create_webhook(owner=alice, url=PUBLIC, events=["voice.ready"])
        webhooks.notify(owner_id=alice.pk, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_other_users_webhooks_get_nothing(self, webhook: Webhook, bob: User) -> None:
        webhooks.notify(owner_id=bob.pk, event=EVENT, data={})
        assert not WebhookDelivery.objects.exists()

    def test_without_a_webhook_it_takes_one_query(self, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            webhooks.notify(owner_id=alice.pk, event=EVENT, data={})


class TestApi:
    @pytest.fixture
    def api(self, client: Client, alice_token: str) -> Client:
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {alice_token}"
        return client

    def test_only_the_answer_to_the_creation_holds_the_secret(self, api: Client) -> None:
        created = api.post(reverse("api:webhooks"), {"url": PUBLIC}, content_type="application/json")
        assert created.status_code == 201
        assert "no-store" in created["Cache-Control"]
        body = created.json()
        assert body["secret"] == Webhook.objects.get().secret
        assert body["events"] == ["voice.ready", "voice.failed", "turn.done"]
        for path in (reverse("api:webhooks"), reverse("api:webhook", args=[body["id"]])):
            assert "whsec_" not in api.get(path).content.decode()

    def test_it_is_changed_and_deleted(self, api: Client, webhook: Webhook) -> None:
        path = reverse("api:webhook", args=[webhook.pk])
        changes = {"url": PUBLIC + "2", "events": ["turn.done"], "is_active": False}
        changed = api.patch(path, changes, content_type="application/json").json()
        assert {name: changed[name] for name in changes} == changes
        assert api.patch(path, {"events": ["x"]}, content_type="application/json").status_code == 400
        assert api.delete(path).status_code == 204
        assert api.get(path).status_code == 404

    def test_changing_its_secret_needs_the_scope(self, api: Client, alice: User, webhook: Webhook) -> None:
        path = reverse("api:webhook-secret", args=[webhook.pk])
        before = webhook.secret
        changed = api.post(path)
        webhook.refresh_from_db()
        assert changed.json()["secret"] == webhook.secret != before
        assert "no-store" in changed["Cache-Control"]
        talks = create_api_token(owner=alice, name="talks", scopes=["read", "talk", "voices"])
        assert error_of(api.post(path, headers=bearer(talks)))["code"] == "insufficient_scope"

    @responses.activate
    def test_a_message_is_sent_again_with_the_same_id(self, api: Client, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200)
        delivery = notify(webhook)
        path = reverse("api:webhook-redeliver", args=[webhook.pk, delivery.pk])
        assert error_of(api.post(path))["code"] == "delivery_pending"
        work()
        assert api.post(path).status_code == 202
        work()
        first, second = [call.request.headers["webhook-id"] for call in responses.calls]
        assert first == second
        (row,) = api.get(reverse("api:webhook-deliveries", args=[webhook.pk])).json()["results"]
        assert (row["status"], row["event"], row["response_status"]) == ("delivered", "turn.done", 200)
        webhooks.change_webhook(webhook=webhook, is_active=False)
        assert error_of(api.post(path))["code"] == "webhook_off"

    def test_there_is_a_maximum_number(self, api: Client, alice: User) -> None:
        for _number in range(webhooks.MAX_WEBHOOKS):
            webhooks.create_webhook(owner=alice, url=PUBLIC)
        refused = api.post(reverse("api:webhooks"), {"url": PUBLIC}, content_type="application/json")
        assert (refused.status_code, error_of(refused)["code"]) == (409, "too_many_webhooks")


class TestPages:
    @pytest.fixture
    def signed_in(self, client: Client, alice: User) -> Client:
        client.force_login(alice)
        return client

    def test_one_is_created_and_its_secret_shown_once(self, signed_in: Client) -> None:
        path = reverse("webhooks:webhooks")
        page = signed_in.post(path, {"url": PUBLIC, "events": ["turn.done"]})
        assert Webhook.objects.get().secret in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        again = signed_in.get(path).content.decode()
        assert PUBLIC in again
        assert "whsec_" not in again

    @pytest.mark.parametrize("form", [{"url": "x"}, {"url": "https://10.0.0.1/"}, {"url": PUBLIC, "events": ["x"]}])
    def test_an_invalid_form_is_refused(self, signed_in: Client, form: dict[str, Any]) -> None:
        page = signed_in.post(reverse("webhooks:webhooks"), {"events": ["turn.done"], **form})
        assert page.status_code == 422
        assert not Webhook.objects.exists()

    @responses.activate
    def test_deliveries_are_shown_and_can_be_sent_again(self, signed_in: Client, webhook: Webhook) -> None:
        responses.post(PUBLIC, status=200, body="<script>alert(1)</script>")
        delivery = notify(webhook)
        work()
        path = reverse("webhooks:webhook", args=[webhook.pk])
        html = signed_in.get(path).content.decode()
        assert "turn.done" in html
        assert "<script>alert" not in html
        signed_in.post(reverse("webhooks:redeliver", args=[webhook.pk, delivery.pk]))
        assert WebhookDelivery.objects.get().status == "pending"

    def test_it_is_changed_switched_and_deleted(self, signed_in: Client, webhook: Webhook) -> None:
        signed_in.post(reverse("webhooks:webhook", args=[webhook.pk]), {"url": PUBLIC + "2", "events": ["voice.ready"]})
        signed_in.post(reverse("webhooks:switch", args=[webhook.pk]))
        webhook.refresh_from_db()
        assert (webhook.url, webhook.events, webhook.is_active) == (PUBLIC + "2", ["voice.ready"], False)
        path = reverse("webhooks:delete", args=[webhook.pk])
        assert signed_in.get(path).status_code == 200
        signed_in.post(path)
        assert not Webhook.objects.exists()

    def test_its_secret_is_changed_and_shown_once(self, signed_in: Client, webhook: Webhook) -> None:
        path = reverse("webhooks:secret", args=[webhook.pk])
        before = webhook.secret
        assert "whsec_" not in signed_in.get(path).content.decode()
        page = signed_in.post(path)
        webhook.refresh_from_db()
        assert webhook.secret != before
        assert webhook.secret in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        assert "whsec_" not in signed_in.get(path).content.decode()

    def test_webhooks_of_other_users_are_not_found(self, client: Client, bob: User, webhook: Webhook) -> None:
        delivery = notify(webhook)
        client.force_login(bob)
        for name in ("webhook", "delete", "switch"):
            assert client.post(reverse(f"webhooks:{name}", args=[webhook.pk])).status_code == 404
        assert client.post(reverse("webhooks:redeliver", args=[webhook.pk, delivery.pk])).status_code == 404
        assert Webhook.objects.get().is_active


def test_sending_opens_no_database_connection(webhook: Webhook) -> None:
    """A message is sent from a separate thread, which must not use the database."""
    before = len(connections.all(initialized_only=True))
    sender.send(url="https://10.0.0.1/", message_id="msg_1", body="{}", keys=[b"x"])
    assert len(connections.all(initialized_only=True)) == before
