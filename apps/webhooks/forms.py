from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.webhooks.models import Webhook, WebhookEvent


class WebhookForm(forms.ModelForm[Webhook]):
    """The form of a new or an existing webhook."""

    url = forms.URLField(
        label=_("Address"),
        max_length=500,
        assume_scheme="https",
        help_text=_("The public address of your server for messages. It begins with https://."),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=WebhookEvent.choices,
        initial=WebhookEvent.values,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Webhook
        fields = ["url", "events"]
