"""The audit log: sign-ins, refusals, uses of tokens, and administrators who read conversations.

It is a separate log ("voiceclone.audit") and not a table: an intruder cannot change a line that has left the site,
thousands of refusals cost no write to the database, and the storage of logs decides how long lines are kept. A line
has ids, codes and an address, never a name, a password or a word of a conversation.
"""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

logger = logging.getLogger("voiceclone.audit")


def note(event: str, *, request: HttpRequest | None = None, **details: object) -> None:
    """Log `event` with `details`; `user` is the id of the acting user."""
    address = request.META.get("REMOTE_ADDR") if request is not None else None
    known = {name: value for name, value in {"address": address, **details}.items() if value is not None}
    logger.info(event, extra={"audit": event, **known})


def listen() -> None:
    """Log all sign-ins and sign-outs from now on, by the signals that Django sends for them."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_refused, dispatch_uid="audit")


def _signed_in(*, request: HttpRequest, user: Any, **_signal: Any) -> None:
    note("signed_in", request=request, user=user.pk)


def _signed_out(*, request: HttpRequest, user: Any, **_signal: Any) -> None:
    note("signed_out", request=request, user=user and user.pk)


def _refused(*, request: HttpRequest | None = None, **_signal: Any) -> None:
    note("sign_in_refused", request=request)  # Without the typed name, which may be a password in the wrong field.
