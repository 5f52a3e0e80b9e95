"""Hashes of secrets, as they are stored."""

from __future__ import annotations

import hashlib


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret as hexadecimal text. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
