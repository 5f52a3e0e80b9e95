"""What is kept of the person as such: who they are, how they come in, what they used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks_db.models import DBTaskResult

from apps.accounts.background import KEPT_DELIVERIES
from apps.accounts.data_of_apps import Erased, Kept, PersonalData, Retained, Table, delete_folder, erase_rows
from apps.accounts.models import (
    ApiToken,
    Export,
    IdempotencyKey,
    Invitation,
    UsageDay,
    UsageRecord,
    User,
    Webhook,
    WebhookDelivery,
)


class AccountsData(PersonalData):
    """Everything but voices and what was said with them."""

    def tables(self, owner: User) -> list[Table]:
        mine = User.objects.filter(pk=owner.pk)
        return [
            Table("account", _("Account: your name, and how you come in"), mine, without=("password",)),
            Table("email-addresses", _("Email addresses"), _of(EmailAddress, owner)),
            Table("second-factors", _("Second factors"), _of(Authenticator, owner), without=("data",)),
            Table(
                "sessions", _("Devices on which you are signed in"), _of(UserSession, owner), without=("session_key",)
            ),
            Table("api-tokens", _("API tokens"), ApiToken.objects.for_user(owner), without=("digest",)),
            Table("webhooks", _("Webhooks"), _webhooks(owner), without=("salt",)),
            Table("webhook-messages", _("Messages to webhooks"), WebhookDelivery.objects.for_user(owner)),
            Table("usage-by-day", _("Usage, by day"), UsageDay.objects.for_user(owner)),
            Table("usage-by-request", _("Usage, by request"), UsageRecord.objects.for_user(owner)),
            Table(
                "repeatable-requests",
                _("Requests of programs, kept for a day so that none is carried out twice"),
                IdempotencyKey.objects.for_user(owner),
                without=("body", "fingerprint"),
            ),
            Table("invitations", _("Invitations to you"), _invitations(owner), without=("digest", "invited_by")),
            Table("exports", _("Exports such as this one"), Export.objects.for_user(owner), without=("file",)),
        ]

    def suspend(self, owner: User) -> None:
        User.objects.filter(pk=owner.pk).update(is_active=False)

    def resume(self, owner: User) -> None:
        User.objects.filter(pk=owner.pk).update(is_active=True)

    def erase(self, owner: User) -> Iterator[Erased | Retained]:
        """Delete all but the row of the user itself, which goes with the receipt."""
        yield from erase_rows(_("Sessions"), Session.objects.filter(pk__in=_session_keys(owner)))
        yield from erase_rows(_("Devices that were signed in"), _of(UserSession, owner))
        yield from erase_rows(_("Second factors"), _of(Authenticator, owner))
        yield from erase_rows(_("API tokens"), ApiToken.objects.for_user(owner))
        yield from erase_rows(_("Background tasks"), _tasks(owner))
        yield from erase_rows(_("Messages to webhooks"), WebhookDelivery.objects.for_user(owner))
        yield from erase_rows(_("Webhooks"), _webhooks(owner))
        yield from erase_rows(_("Records of usage"), UsageRecord.objects.for_user(owner))
        yield from erase_rows(_("Days of usage"), UsageDay.objects.for_user(owner))
        yield from erase_rows(_("Kept answers to programs"), IdempotencyKey.objects.for_user(owner))
        yield from erase_rows(_("Invitations"), _invitations(owner))
        yield from erase_rows(_("Exports"), Export.objects.for_user(owner), files=["file"])
        delete_folder(f"exports/{owner.pk}")
        yield from erase_rows(_("Email addresses"), _of(EmailAddress, owner))
        yield from _forget_names(owner)

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your name, email addresses, password (as a hash) and second factors"),
                gettext_lazy("to let you in, and nobody else"),
                gettext_lazy("as long as you have an account"),
            ),
            Kept(
                gettext_lazy("Where you are signed in: address and browser"),
                gettext_lazy("so that you can see and end your sessions"),
                gettext_lazy("until you sign out, at most two weeks after your last visit"),
            ),
            Kept(
                gettext_lazy("API tokens (as hashes) and webhooks"),
                gettext_lazy("for programs that act for you"),
                gettext_lazy("until you revoke or delete them"),
            ),
            Kept(
                gettext_lazy("Messages to your webhooks"),
                gettext_lazy("so that you can see what went wrong"),
                _("%(days)d days") % {"days": KEPT_DELIVERIES.days},
            ),
            Kept(
                gettext_lazy("How much you used: numbers, no content"),
                gettext_lazy("for limits and cost"),
                gettext_lazy("as long as you have an account"),
            ),
            Kept(
                gettext_lazy("Answers to programs that may ask again"),
                gettext_lazy("so that nothing is done or paid for twice"),
                gettext_lazy("one day"),
            ),
            Kept(
                gettext_lazy("An export of your data, where you asked for one"),
                gettext_lazy("for you to download"),
                gettext_lazy("one day"),
            ),
        ]


def _of(model: Any, owner: User) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.filter(user=owner)
    return rows


def _webhooks(owner: User) -> QuerySet[Webhook]:
    return Webhook.objects.for_user(owner)


def _invitations(owner: User) -> QuerySet[Invitation]:
    addresses = {owner.email, *_of(EmailAddress, owner).values_list("email", flat=True)} - {""}
    to_them = Q(accepted_by=owner)
    for address in addresses:
        to_them |= Q(email__iexact=address)
    return Invitation.objects.filter(to_them)


def _session_keys(owner: User) -> list[str]:
    """Return the sessions in which the owner is signed in; only their contents say whose they are."""
    return [
        session.session_key
        for session in Session.objects.iterator()
        if session.get_decoded().get(SESSION_KEY) == str(owner.pk)
    ]


def _tasks(owner: User) -> QuerySet[Any]:
    """Return the background tasks about rows of the owner; that of the erasure itself names nobody."""
    deliveries = WebhookDelivery.objects.for_user(owner).values_list("pk", flat=True)
    exports = Export.objects.for_user(owner).values_list("pk", flat=True)
    pks = [str(pk) for pk in [*deliveries, *exports]]
    tasks: QuerySet[Any] = DBTaskResult.objects.filter(args_kwargs__args__0__in=pks)
    return tasks


def _forget_names(owner: User) -> Iterator[Erased]:
    is_about = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(owner.pk))
    yield from erase_rows(_("Entries in the admin’s log"), LogEntry.objects.filter(is_about | Q(user=owner)))


DATA = AccountsData()
