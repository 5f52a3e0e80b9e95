"""What was consented to cannot be changed: neither through the models nor, in the database itself, around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models.deletion import ProtectedError
from django.utils import timezone

from apps.voices.models import Consent, ImmutableError
from tests.factories import make_consent, make_voice

if TYPE_CHECKING:
    from apps.accounts.models import User

CHANGES = {
    "method": "attested",
    "statement": "Something else.",
    "statement_version": "other",
    "language": "de",
    "purpose": "anything",
    "clip": "other.flac",
    "seconds": 1.0,
    "sha256": "0",
    "transcript": "Something else.",
    "word_error": 0.5,
    "given_at": timezone.now(),
    "valid_until": timezone.now(),
    "retain_until": timezone.now(),
}


@pytest.fixture
def row(alice: User) -> Consent:
    return make_consent(alice)


def around_the_model(**values: Any) -> int:
    """Update as somebody does who does not know our query set."""
    return models.QuerySet(Consent).update(**values)


@pytest.mark.parametrize("name", CHANGES)
def test_no_value_changes(row: Consent, name: str) -> None:
    before = Consent.objects.values().get()
    with pytest.raises(ImmutableError):
        Consent.objects.update(**{name: CHANGES[name]})
    with pytest.raises(ImmutableError):
        row.save(update_fields=[name])
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        around_the_model(**{name: CHANGES[name]})
    assert Consent.objects.values().get() == before


def test_it_has_no_other_owner(row: Consent, bob: User) -> None:
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        around_the_model(owner=bob)


def test_every_column_is_watched(row: Consent) -> None:
    watched = {*CHANGES, "id", "owner", "withdrawn_at"}
    assert {field.name for field in Consent._meta.fields} == watched


def test_it_is_withdrawn_once_and_for_all(row: Consent) -> None:
    now = timezone.now()
    assert Consent.objects.update(withdrawn_at=now) == 1
    for again in (None, timezone.now()):
        with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
            around_the_model(withdrawn_at=again)
    row.refresh_from_db()
    assert row.withdrawn_at == now
    assert not row.is_valid


def test_erasure_leaves_the_minimal_proof(row: Consent, alice: User) -> None:
    Consent.objects.update(**Consent.ERASED)
    left = Consent.objects.get()
    assert (left.owner, left.statement, left.transcript, left.has_clip) == (None, "", "", False)
    assert (left.sha256, left.given_at, left.word_error) == (row.sha256, row.given_at, row.word_error)


def test_an_account_that_goes_leaves_its_consent_without_an_owner(row: Consent, alice: User) -> None:
    alice.delete()
    assert Consent.objects.get().owner is None


def test_it_stays_as_long_as_a_voice_needs_it(row: Consent, alice: User) -> None:
    make_voice(alice, "voice", consent=row)
    with pytest.raises(ProtectedError):
        row.delete()


@pytest.mark.django_db
def test_the_trigger_is_there() -> None:
    """A migration that remade the table on SQLite without it would lose it."""
    source = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger",
    }
    with connection.cursor() as cursor:
        cursor.execute(source[connection.vendor])
        assert ("voices_consent_is_fixed",) in cursor.fetchall()
