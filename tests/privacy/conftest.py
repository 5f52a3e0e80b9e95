"""A person with data of every kind, and the browser of that person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import mail
from django.test import Client
from django.utils import timezone

from apps.accounts.models import IdempotencyKey, Invitation, User
from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation
from apps.conversations.reports import report_abuse
from apps.privacy import exports
from apps.webhooks import services as webhooks
from apps.webhooks.models import Webhook, WebhookEvent
from tests.accounts.steps import sign_in, switch_second_factor_on
from tests.conftest import PASSWORD
from tests.factories import make_turn, make_voice
from tests.privacy.erasing import ANSWERED, EMAIL, NAME, SAID, VOICE_NAME
from tests.worker import work

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider


@pytest.fixture
def person(remote_engines: FakeProvider) -> User:
    """A person with data of every kind."""
    user = User.objects.create_user(NAME, EMAIL, PASSWORD, first_name=NAME)
    EmailAddress.objects.create(user=user, email=EMAIL, verified=True, primary=True)
    Invitation.objects.create(email=EMAIL.upper(), digest="x", expires_at=timezone.now(), accepted_by=user)
    create_api_token(owner=user, name="Kitchen speaker")
    Webhook.objects.create(owner=user, url="https://127.0.0.1/hook-of-zerafina")
    first, second = (
        make_voice(user, remote_engines.add_voice(f"{VOICE_NAME} {n}"), name=f"{VOICE_NAME} {n}") for n in (1, 2)
    )
    for voice in (first, second):
        make_turn(Conversation.objects.create(owner=user, voice=voice, title=SAID), transcript=SAID, reply=ANSWERED)
    webhooks.notify(owner_id=user.pk, event=WebhookEvent.VOICE_READY, data={"said": SAID})
    IdempotencyKey.objects.create(
        owner=user, key=NAME, fingerprint="x", claimed_at=timezone.now(), status=200, body=ANSWERED.encode()
    )
    exports.start_export(owner=user)
    work()
    report_abuse(address="192.0.2.1", text="Somebody sounds like me.", contact=EMAIL)
    LogEntry.objects.log_actions(user.pk, User.objects.filter(pk=user.pk), CHANGE, "Changed.")
    mail.outbox.clear()
    return user


@pytest.fixture
def browser(person: User) -> Client:
    """The person's browser, signed in with the password and with a second factor."""
    client = Client()
    sign_in(client, NAME)
    switch_second_factor_on(client, person)
    return client
