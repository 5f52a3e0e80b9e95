"""The personal data of an account: name, addresses, ways to sign in, and stored answers to programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import ApiToken, IdempotencyKey, Invitation, Session, User
from apps.core.personal_data import Erased, Kept, PersonalData, Retained, Table, erase_rows


class AccountsData(PersonalData):
    """The account with its addresses, sessions, second factors, tokens, invitations and stored answers."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        mine = User.objects.filter(pk=owner.pk)
        return [
            Table("account", _("Account: your name and how you sign in"), mine, without=("password",)),
            Table("email-addresses", _("Email addresses"), _rows_of(EmailAddress, owner)),
            Table("second-factors", _("Second factors"), _rows_of(Authenticator, owner), without=("data",)),
            Table(
                "sessions",
                _("Devices on which you are signed in"),
                _rows_of(UserSession, owner),
                without=("session_key",),
            ),
            Table("api-tokens", _("API tokens"), ApiToken.objects.for_user(owner), without=("digest",)),
            Table(
                "repeatable-requests",
                _("Requests of programs, kept for a day so that a repetition is not carried out again"),
                IdempotencyKey.objects.for_user(owner),
                without=("body", "fingerprint"),
            ),
            Table("invitations", _("Invitations to you"), _invitations(owner), without=("digest", "invited_by")),
        ]

    def suspend(self, owner: AbstractUser) -> None:
        User.objects.filter(pk=owner.pk).update(is_active=False)

    def resume(self, owner: AbstractUser) -> None:
        User.objects.filter(pk=owner.pk).update(is_active=True)

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        """Delete everything but the user's row, whose email address is still needed for the receipt."""
        yield from erase_rows(_("Sessions"), Session.objects.filter(user_id=owner.pk))
        yield from erase_rows(_("Devices that were signed in"), _rows_of(UserSession, owner))
        yield from erase_rows(_("Second factors"), _rows_of(Authenticator, owner))
        yield from erase_rows(_("API tokens"), ApiToken.objects.for_user(owner))
        yield from erase_rows(_("Stored answers to programs"), IdempotencyKey.objects.for_user(owner))
        yield from erase_rows(_("Invitations"), _invitations(owner))
        yield from erase_rows(_("Email addresses"), _rows_of(EmailAddress, owner))
        yield from _erase_log_entries(owner)

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your name, email addresses, password (as a hash) and second factors"),
                gettext_lazy("to sign you in, and nobody else"),
                gettext_lazy("as long as you have an account"),
            ),
            Kept(
                gettext_lazy("Where you are signed in: address and browser"),
                gettext_lazy("so that you can see and end your sessions"),
                gettext_lazy("until you sign out, at most two weeks after your last visit"),
            ),
            Kept(
                gettext_lazy("API tokens (as hashes)"),
                gettext_lazy("for programs that act for you"),
                gettext_lazy("until you revoke them"),
            ),
            Kept(
                gettext_lazy("Answers to requests of your programs"),
                gettext_lazy("so that a repeated request is not carried out or paid for again"),
                gettext_lazy("one day"),
            ),
        ]


def _rows_of(model: Any, owner: AbstractUser) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.filter(user=owner)
    return rows


def _invitations(owner: AbstractUser) -> QuerySet[Invitation]:
    addresses = {owner.email, *_rows_of(EmailAddress, owner).values_list("email", flat=True)} - {""}
    to_them = Q(accepted_by=owner)
    for address in addresses:
        to_them |= Q(email__iexact=address)
    return Invitation.objects.filter(to_them)


def _erase_log_entries(owner: AbstractUser) -> Iterator[Erased]:
    is_about = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(owner.pk))
    yield from erase_rows(_("Entries in the admin’s log"), LogEntry.objects.filter(is_about | Q(user=owner)))
