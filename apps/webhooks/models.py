"""Webhooks, and the messages that are sent to them."""

from __future__ import annotations

import base64
import secrets
import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from apps.core.owned import OwnedQuerySet


class WebhookEvent(models.TextChoices):
    """The events that a webhook can subscribe to."""

    VOICE_READY = "voice.ready", _("A voice is ready")
    VOICE_FAILED = "voice.failed", _("A voice could not be cloned")
    TURN_DONE = "turn.done", _("A turn of a conversation is over")


def all_webhook_events() -> list[str]:
    """Return every event: the default of a new webhook."""
    return list(WebhookEvent.values)


def new_webhook_salt() -> str:
    return secrets.token_hex(8)


class Webhook(models.Model):
    """An address of a user's own server, which is notified of events."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="webhooks", verbose_name=_("owner")
    )
    url = models.CharField(_("address"), max_length=500)
    events = models.JSONField(_("events"), default=all_webhook_events)
    salt = models.CharField(max_length=16, default=new_webhook_salt, editable=False)
    previous_salt = models.CharField(max_length=16, blank=True, editable=False)
    previous_ends_at = models.DateTimeField(_("previous secret ends"), null=True, blank=True, editable=False)
    is_active = models.BooleanField(_("switched on"), default=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    # Tries in a row that failed or were slow, and how long all messages wait therefore.
    failures = models.PositiveSmallIntegerField(_("failures in a row"), default=0, editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[Webhook]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.url

    @property
    def is_paused(self) -> bool:
        """Whether all messages wait, because the server was slow or failed."""
        return self.is_active and self.paused_until is not None and self.paused_until > timezone.now()

    @property
    def signing_keys(self) -> list[bytes]:
        """The keys of the signatures: the current one and, for a day after a change, also the previous one.

        Each is also derived from SECRET_KEY_FALLBACKS: receivers know the secret of the time when it was shown.
        """
        has_two = self.previous_ends_at is not None and self.previous_ends_at > timezone.now()
        salts = [self.salt, self.previous_salt] if has_two else [self.salt]
        secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        return [self._key(salt, secret_key) for salt in salts for secret_key in secret_keys]

    @property
    def secret(self) -> str:
        """The signing key in the format of Standard Webhooks, for the receiver."""
        return f"whsec_{base64.b64encode(self._key(self.salt, settings.SECRET_KEY)).decode()}"

    def _key(self, salt: str, secret_key: str) -> bytes:
        """Return a key that is derived from SECRET_KEY, so that a copy of the database cannot sign."""
        value = f"{self.pk}:{salt}"
        return salted_hmac("apps.webhooks.services", value, secret=secret_key, algorithm="sha256").digest()


class WebhookDelivery(models.Model):
    """A message to a webhook, and the result of its latest try. `body` is the signed and sent text."""

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    # Without an index of its own: those below begin with it.
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, related_name="deliveries", db_index=False, verbose_name=_("webhook")
    )
    event = models.CharField(_("event"), max_length=40, choices=WebhookEvent.choices)
    body = models.TextField(_("body"))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    last_try_at = models.DateTimeField(_("last try"), null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(_("status of the answer"), null=True, blank=True)
    response_body = models.CharField(_("beginning of the answer"), max_length=1024, blank=True)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    # A worker sends the message until then.
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[WebhookDelivery]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["webhook", "-created_at"]),
            models.Index(fields=["created_at", "id"], name="webhooks_by_time"),
            models.Index(
                fields=["webhook", "next_try_at"], name="webhooks_waiting", condition=models.Q(status="pending")
            ),
            models.Index(fields=["lease_until"], name="webhooks_leased", condition=models.Q(lease_until__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.pk}"
