"""Actions on accounts: API tokens, invitations and sessions."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts import audit
from apps.accounts.models import ApiToken, Invitation, User, all_scopes
from apps.accounts.sessions import Session
from apps.core.digests import digest_of
from apps.core.errors import UserError
from apps.core.mail import mail

logger = logging.getLogger(__name__)

LAST_USE_PRECISION = timedelta(minutes=1)
MAX_TOKENS = 50
SESSIONS_PER_QUERY = 500
INVITATION_LIFETIME = timedelta(days=7)


def create_api_token(
    *, owner: User, name: str, scopes: Collection[str] | None = None, expires_at: datetime | None = None
) -> str:
    """Store a new token for `owner` and return its secret, which cannot be shown again.

    Without `scopes` the token has all of them; without `expires_at` it is valid until it is revoked.
    Raises UserError if the owner already has MAX_TOKENS.
    """
    if ApiToken.objects.for_user(owner).not_revoked().count() >= MAX_TOKENS:
        text = _("You have %(count)d tokens, which is the maximum. Revoke one that you no longer need.")
        raise UserError("too_many_tokens", text % {"count": MAX_TOKENS}, status=409)
    secret = ApiToken.new_secret()
    token = ApiToken.objects.create(
        owner=owner,
        name=name,
        digest=digest_of(secret),
        scopes=all_scopes() if scopes is None else [scope for scope in all_scopes() if scope in scopes],
        expires_at=expires_at,
    )
    audit.note("token_created", token=token.pk, user=owner.pk, scopes=token.scopes)
    return secret


def lock_user(*, pk: int) -> User | None:
    """Return the user as stored now, or None if there is none any more.

    Until the end of the transaction, nobody else can lock, change or delete the row. Whoever decides over a person's
    voices locks their account first, so that no decision is based on what another transaction is changing.
    """
    return User.objects.select_for_update(no_key=True).filter(pk=pk).first()


def find_api_token(*, secret: str) -> ApiToken | None:
    """Return the valid token with this secret and its owner, and record its use. Takes one query, rarely a second."""
    token = ApiToken.objects.with_secret(secret).select_related("owner").first()
    refusal = token.refusal if token else "unknown"
    if token is None or refusal:
        audit.note("token_refused", token=token and token.pk, user=token and token.owner_id, reason=refusal)
        return None
    _note_use(token)
    return token


def bearer_secret(authorization: str) -> str | None:
    """Return the secret in an Authorization header; None if its scheme is not Bearer."""
    scheme, _space, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def has_valid_credentials(*, authorization: str, session_key: str) -> bool:
    """Whether a request with this Authorization header, or else this session, comes from a user. Notes nothing."""
    secret = bearer_secret(authorization)
    if secret is not None:
        token = ApiToken.objects.with_secret(secret).select_related("owner").first()
        return token is not None and not token.refusal
    sessions = Session.objects.filter(session_key=session_key, expire_date__gt=timezone.now(), user_id__isnull=False)
    return bool(session_key) and sessions.exists()


def _note_use(token: ApiToken) -> None:
    """Store the time of use at most once a minute, so that few requests wait for a write."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > LAST_USE_PRECISION:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        if token.last_used_at is None or token.last_used_at.date() != now.date():
            audit.note("token_used", token=token.pk, user=token.owner_id)  # once a day


def revoke_api_token(*, token: ApiToken) -> None:
    """Revoke the token, from the next request on."""
    if ApiToken.objects.filter(pk=token.pk).not_revoked().update(revoked_at=timezone.now()):
        audit.note("token_revoked", token=token.pk, user=token.owner_id)


def invite(*, email: str, invited_by: User | None = None) -> str:
    """Store an invitation for `email` and return its secret, which cannot be shown again."""
    secret = Invitation.new_secret()
    invitation = Invitation.objects.create(
        email=email,
        digest=digest_of(secret),
        invited_by=invited_by,
        expires_at=timezone.now() + INVITATION_LIFETIME,
    )
    logger.info("Invitation created", extra={"invitation": invitation.pk, "user": invited_by and invited_by.pk})
    return secret


def mail_invitation(*, email: str, link: str) -> bool:
    """Send the link of an invitation; return False if this site has no mail server or the server refuses the mail."""
    if not settings.MAIL_IS_DELIVERED:
        return False
    return mail(to=email, subject=_("You are invited"), template="accounts/email/invitation.txt", link=link)


def find_invitation(*, secret: str) -> Invitation | None:
    """Return the invitation with this secret, if it is still usable."""
    return Invitation.objects.usable().filter(digest=digest_of(secret)).first()


def accept_invitation(*, invitation: Invitation, user: User) -> bool:
    """Use the invitation for `user`; return False if it was used already or has expired."""
    accepted = Invitation.objects.usable().filter(pk=invitation.pk)
    return bool(accepted.update(accepted_at=timezone.now(), accepted_by=user))


def may_change_account(*, by: Any, account: User) -> bool:
    """Whether `by`, who may change accounts, may change this one: only superusers change those of staff.

    Others could take over the account of a superuser, and with it their permissions.
    """
    return by.is_superuser or not account.is_staff


def deactivate(*, users: Collection[User], by: User) -> int:
    """Block accounts: their next requests are refused, and what runs for them ends within seconds. Return how many.

    Raises UserError if `by` would block themselves.
    """
    if by.pk in {user.pk for user in users}:
        raise UserError("own_account", _("You cannot deactivate your own account."), status=409)
    return _set_active(users, by=by, is_active=False)


def activate(*, users: Collection[User], by: User) -> int:
    """Let blocked accounts sign in again; return how many. Those that are being erased stay blocked."""
    return _set_active(users, by=by, is_active=True)


def _set_active(users: Collection[User], *, by: User, is_active: bool) -> int:
    changed = 0
    for user in users:
        rows = User.objects.filter(pk=user.pk, is_active=not is_active)
        if rows.update(is_active=is_active):
            audit.note("activated" if is_active else "deactivated", user=by.pk, account=user.pk)
            changed += 1
    return changed


def forget_ended_sessions() -> None:
    """Delete the sessions that have expired, and the devices that they were signed in on."""
    expired = Session.objects.filter(expire_date__lt=timezone.now()).values_list("session_key", flat=True)
    while keys := list(expired[:SESSIONS_PER_QUERY]):
        UserSession.objects.filter(session_key__in=keys).delete()
        Session.objects.filter(session_key__in=keys).delete()
