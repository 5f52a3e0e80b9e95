"""The webhooks of a person, and the messages sent to them."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.personal_data import Erased, Kept, PersonalData, Retained, Table, erase_rows
from apps.webhooks.models import Webhook, WebhookDelivery
from apps.webhooks.services import DELIVERY_RETENTION


class WebhooksData(PersonalData):
    """Webhooks and their deliveries."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [
            # The keys that sign messages are made of the salts: an export that gets lost must not allow to forge them.
            Table("webhooks", _("Webhooks"), Webhook.objects.for_user(owner), without=("salt", "previous_salt")),
            Table("webhook-messages", _("Messages to webhooks"), WebhookDelivery.objects.for_user(owner)),
        ]

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        yield from erase_rows(_("Messages to webhooks"), WebhookDelivery.objects.for_user(owner))
        yield from erase_rows(_("Webhooks"), Webhook.objects.for_user(owner))

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("Your webhooks"),
                gettext_lazy("to notify your programs of events"),
                gettext_lazy("until you delete them"),
            ),
            Kept(
                gettext_lazy("Messages to your webhooks"),
                gettext_lazy("so that you can see what went wrong"),
                _("%(days)d days") % {"days": DELIVERY_RETENTION.days},
            ),
        ]
