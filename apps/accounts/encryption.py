"""Encrypts secrets that must be readable later, such as those of authenticator apps, for the database."""

from __future__ import annotations

import base64
import logging
import secrets

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.crypto import salted_hmac

logger = logging.getLogger(__name__)


def encrypt(text: str) -> str:
    """Return `text`, encrypted with a key that is derived from SECRET_KEY."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the decrypted text, or a random secret that matches no code if SECRET_KEY has changed."""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        logger.error("A second factor was encrypted with another SECRET_KEY and has to be set up again")
        return base64.b32encode(secrets.token_bytes(20)).decode()


def _fernet() -> Fernet:
    digest = salted_hmac("apps.accounts.encryption", "", secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))
