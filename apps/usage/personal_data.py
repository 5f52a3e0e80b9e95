"""The usage of a person: numbers, without content."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.personal_data import Erased, Kept, PersonalData, Retained, Table, erase_rows
from apps.usage.models import PersonLimits, UsageDay, UsageRecord


class UsageData(PersonalData):
    """Usage by day and by request."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [
            Table("usage-by-day", _("Usage, by day"), UsageDay.objects.for_user(owner)),
            Table("usage-by-request", _("Usage, by request"), UsageRecord.objects.for_user(owner)),
            Table("usage-limits", _("Limits that an administrator set for you"), PersonLimits.objects.for_user(owner)),
        ]

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        yield from erase_rows(_("Records of usage"), UsageRecord.objects.for_user(owner))
        yield from erase_rows(_("Days of usage"), UsageDay.objects.for_user(owner))
        yield from erase_rows(_("Limits of the account"), PersonLimits.objects.for_user(owner))

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your usage: numbers, no content"),
                gettext_lazy("for limits and cost"),
                gettext_lazy("as long as you have an account"),
            ),
        ]
