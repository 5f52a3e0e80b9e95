"""A webhook, and a server that receives its messages."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.accounts.models import User

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


@pytest.fixture
def webhook(alice: User) -> Webhook:
    return webhooks.create_webhook(owner=alice, url=PUBLIC)


def notify(webhook: Webhook) -> WebhookDelivery:
    webhooks.notify(owner_id=webhook.owner_id, event=EVENT, data={"turn_id": "1", "status": "spoken"})
    return WebhookDelivery.objects.get(webhook=webhook)
