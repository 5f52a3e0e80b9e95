"""How an invitation travels from its link to the account that is made with it: in the session."""

from __future__ import annotations

from django.http import HttpRequest

from apps.accounts.models import Invitation

SESSION_KEY = "invitation"


def carry(request: HttpRequest, invitation: Invitation) -> None:
    """Let this browser sign up with the invitation."""
    request.session[SESSION_KEY] = invitation.pk


def carried(request: HttpRequest) -> Invitation | None:
    """Return the invitation that this browser came with, if somebody can still sign up with it."""
    pk: int | None = request.session.get(SESSION_KEY)
    return Invitation.objects.usable().filter(pk=pk).first() if pk else None
