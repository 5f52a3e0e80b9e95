"""Whether a caller is known, before Django reads the request."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.http import parse_cookie

from apps.accounts.services import has_valid_credentials
from apps.core.database import shared_thread
from voiceclone.server import Message


async def is_known(scope: Message) -> bool:
    """Whether the request has a valid token, or the session of somebody who is signed in. Takes a query.

    If the database does not answer, nobody is known; the view then says what is wrong.
    """
    headers = dict(scope["headers"])
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    try:
        async with shared_thread():
            return await sync_to_async(has_valid_credentials)(
                authorization=authorization, session_key=cookies.get(settings.SESSION_COOKIE_NAME, "")
            )
    except DatabaseFailure:
        return False
