"""Encrypts secrets that must be readable later, such as those of authenticator apps, for the database."""

from __future__ import annotations

import base64
import logging
import secrets
from contextlib import suppress

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

logger = logging.getLogger(__name__)


def encrypt(text: str) -> str:
    """Return `text`, encrypted with a key that is derived from SECRET_KEY."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the decrypted text, or a random secret that matches no code if its key is gone.

    Its key is derived from SECRET_KEY or one of SECRET_KEY_FALLBACKS.
    """
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        logger.error("A second factor was encrypted with another SECRET_KEY and has to be set up again")
        return base64.b32encode(secrets.token_bytes(20)).decode()


def with_current_key(encrypted: str) -> str:
    """Return the same secret, encrypted with SECRET_KEY: unchanged if it already is, or if its key is gone."""
    with suppress(InvalidToken):
        _with_key(settings.SECRET_KEY).decrypt(encrypted.encode())
        return encrypted
    with suppress(InvalidToken):
        return _fernet().rotate(encrypted.encode()).decode()
    return encrypted


def _fernet() -> MultiFernet:
    """Return what encrypts with the current key, and decrypts with the fallbacks too."""
    return MultiFernet([_with_key(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _with_key(secret_key: str) -> Fernet:
    digest = salted_hmac("apps.accounts.encryption", "", secret=secret_key, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))
