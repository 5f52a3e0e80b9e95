"""A stored consent cannot be changed through the models, and the database rejects changes around them."""

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
    """Update without our query set."""
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


def test_the_owner_cannot_change(row: Consent, bob: User) -> None:
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        around_the_model(owner=bob)


def test_every_column_is_covered(row: Consent) -> None:
    covered = {*CHANGES, "id", "owner", "withdrawn_at"}
    assert {field.name for field in Consent._meta.fields} == covered


def test_a_withdrawal_is_final(row: Consent) -> None:
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


def test_a_deleted_account_leaves_its_consent_without_an_owner(row: Consent, alice: User) -> None:
    alice.delete()
    assert Consent.objects.get().owner is None


def test_it_cannot_be_deleted_while_a_voice_needs_it(row: Consent, alice: User) -> None:
    make_voice(alice, "voice", consent=row)
    with pytest.raises(ProtectedError):
        row.delete()


@pytest.mark.django_db
def test_the_trigger_exists() -> None:
    """On SQLite, a migration that recreates the table drops the trigger."""
    source = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger",
    }
    with connection.cursor() as cursor:
        cursor.execute(source[connection.vendor])
        assert ("voices_consent_is_fixed",) in cursor.fetchall()
