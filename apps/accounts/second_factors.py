"""The second factors of all users, as django-allauth stores them."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings

from apps.accounts.encryption import with_current_key

ENCRYPTED = {"secret", "seed"}


def encrypt_with_current_key() -> None:
    """Encrypt with SECRET_KEY what is encrypted with one of SECRET_KEY_FALLBACKS, so that these can be removed."""
    if not settings.SECRET_KEY_FALLBACKS:
        return
    for factor in Authenticator.objects.iterator():
        data = {name: with_current_key(value) if name in ENCRYPTED else value for name, value in factor.data.items()}
        if data != factor.data:
            # Unless it has changed since: a recovery code that was just used must not become valid again.
            Authenticator.objects.filter(pk=factor.pk, data=factor.data).update(data=data)
