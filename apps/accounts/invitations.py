"""Carries an invitation in the session, from its link to the sign-up."""

from __future__ import annotations

from django.http import HttpRequest

from apps.accounts.models import Invitation

SESSION_KEY = "invitation"


def carry(request: HttpRequest, invitation: Invitation) -> None:
    """Let this browser sign up with the invitation."""
    request.session[SESSION_KEY] = invitation.pk


def carried(request: HttpRequest) -> Invitation | None:
    """Return the invitation in the session of this browser, if it is still usable."""
    pk: int | None = request.session.get(SESSION_KEY)
    return Invitation.objects.usable().filter(pk=pk).first() if pk else None
