"""Usage of the engines, by request and by day."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.owned import OwnedQuerySet


class UsageCounts(models.Model):
    """Usage of the engines. Tokens are estimated from characters; the cost is in millionths of a US dollar."""

    heard_ms = models.BigIntegerField(_("heard (ms)"), default=0)
    spoken_characters = models.BigIntegerField(_("characters spoken"), default=0)
    tokens_read = models.BigIntegerField(_("tokens read"), default=0)
    tokens_written = models.BigIntegerField(_("tokens written"), default=0)
    cost_micros = models.BigIntegerField(_("estimated cost (millionths of a dollar)"), default=0)

    class Meta:
        abstract = True

    @property
    def heard_seconds(self) -> float:
        return self.heard_ms / 1000

    @property
    def cost_dollars(self) -> float:
        return self.cost_micros / 1_000_000


class UsageRecord(UsageCounts):
    """The usage of one request. It is stored once, at the end of the request, and never changed."""

    class Kind(models.TextChoices):
        TURN = "turn", _("turn")
        CLONE = "clone", _("cloning")
        SPEECH = "speech", _("text to speech")
        TRANSCRIPTION = "transcription", _("speech to text")

    # Without an index of its own: those below begin with it.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False, verbose_name=_("owner")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    reference = models.UUIDField(_("turn or voice"), null=True, blank=True, db_index=True)
    created_at = models.DateTimeField(_("finished"), auto_now_add=True)

    objects: ClassVar[OwnedQuerySet[UsageRecord]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "created_at"]),
            # With what the figures of a day add up, so that these read the index alone.
            models.Index(fields=["created_at", "id", "kind", "cost_micros"], name="usage_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class UsageDay(UsageCounts):
    """The usage of a user on a UTC day: the sums of the records, and the reservations of running requests."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    day = models.DateField(_("day"))
    requests = models.PositiveIntegerField(_("requests"), default=0)
    running = models.PositiveIntegerField(_("running now"), default=0)
    reserved_heard_ms = models.BigIntegerField(_("reserved: to be heard (ms)"), default=0)
    reserved_characters = models.BigIntegerField(_("reserved: characters to be spoken"), default=0)
    last_request_at = models.DateTimeField(_("last request"), default=timezone.now)

    objects: ClassVar[OwnedQuerySet[UsageDay]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("usage of a day")
        verbose_name_plural = _("usage by day")
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["owner", "day"], name="one_row_per_owner_and_day")]

    def __str__(self) -> str:
        return f"{self.day}"


class PersonLimits(models.Model):
    """The limits of one person, which an administrator set. None: that of the site; 0: no limit."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    requests_per_day = models.PositiveIntegerField(_("requests per day"), null=True, blank=True)
    heard_seconds_per_day = models.PositiveIntegerField(_("seconds of speech per day"), null=True, blank=True)
    spoken_characters_per_day = models.PositiveIntegerField(_("spoken characters per day"), null=True, blank=True)
    concurrent_requests = models.PositiveIntegerField(_("requests at once"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    objects: ClassVar[OwnedQuerySet[PersonLimits]] = OwnedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("limits of a person")
        verbose_name_plural = _("limits of people")

    def __str__(self) -> str:
        return str(self.pk)
