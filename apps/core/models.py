"""What all processes of a site must have in common: see `identity`."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SiteIdentity(models.Model):
    """The salted hash of a secret, key or storage that each process of the site must have."""

    name = models.CharField(max_length=20, primary_key=True)
    fingerprint = models.CharField(max_length=200)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class SigningCertificate(models.Model):
    """A certificate with which a process of this site signs speech or once did, with those that lead to its root."""

    serial_number = models.CharField(max_length=60, primary_key=True)
    chain = models.TextField()
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.serial_number
