"""Keeps secrets that must be read again, such as those of authenticator apps, unreadable in a copy of the database."""

from __future__ import annotations

import base64
import logging
import secrets

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.crypto import salted_hmac

logger = logging.getLogger(__name__)


def encrypt(text: str) -> str:
    """Return `text` as only this SECRET_KEY can read it."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return what was encrypted; or, where SECRET_KEY is another now, a random secret that no code fits."""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        logger.error("A second factor was stored under another SECRET_KEY and has to be set up anew")
        return base64.b32encode(secrets.token_bytes(20)).decode()


def _fernet() -> Fernet:
    digest = salted_hmac("apps.accounts.encryption", "", secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))
