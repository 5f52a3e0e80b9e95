"""Hashes of secrets, as they are stored."""

from __future__ import annotations

import hashlib


def digest_of(secret: str) -> str:
    """Return what is stored of a secret. A plain hash is enough: nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
