"""`manage.py seed_demo`: made-up rows for measurements, never among those of real people."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.conversations.seeding import COMMON_WORD, RARE_WORD
from apps.usage.models import UsageRecord
from apps.voices.models import Consent, VoiceProfile
from apps.webhooks.models import WebhookDelivery

if TYPE_CHECKING:
    from django.test import Client

TURNS = 300


def seed(turns: int = TURNS) -> None:
    call_command("seed_demo", turns=turns, stdout=StringIO())


@pytest.mark.django_db
def test_it_makes_rows_in_proportion_to_the_turns() -> None:
    seed()
    counts = [
        model._default_manager.count()
        for model in (User, VoiceProfile, Conversation, Turn, UsageRecord, WebhookDelivery, DBTaskResult)
    ]
    assert counts == [3, 9, 60, TURNS, TURNS, 2 * TURNS, TURNS]


@pytest.mark.django_db
def test_the_same_number_makes_the_same_rows() -> None:
    seed()
    first = set(Turn.objects.values_list("pk", "transcript", "reply", "conversation"))
    User.objects.all().delete()
    Consent.objects.all().delete()  # It outlives its owner.
    DBTaskResult.objects.all().delete()
    seed()
    assert set(Turn.objects.values_list("pk", "transcript", "reply", "conversation")) == first


def test_it_refuses_a_database_with_accounts(alice: User) -> None:
    with pytest.raises(CommandError, match="has accounts"):
        seed()
    assert not Turn.objects.exists()


@pytest.mark.django_db
def test_the_pages_of_a_made_up_person_work(client: Client) -> None:
    seed()
    client.force_login(User.objects.get(username="seed-0"))
    assert client.get(reverse("voices:list")).status_code == 200
    page = client.get(reverse("conversations:history"), {"q": COMMON_WORD})
    assert COMMON_WORD in page.content.decode()
    assert RARE_WORD not in page.content.decode()


@pytest.mark.django_db
def test_nobody_can_sign_in_as_a_made_up_person() -> None:
    seed()
    assert not any(user.has_usable_password() for user in User.objects.all())
