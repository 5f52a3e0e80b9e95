from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.webhooks.models import Webhook, WebhookEvent


class WebhookForm(forms.ModelForm[Webhook]):
    """A webhook, new or changed."""

    url = forms.URLField(
        label=_("Address"),
        max_length=500,
        assume_scheme="https",
        help_text=_("Where your server takes messages: a public address that begins with https://."),
    )
    events = forms.MultipleChoiceField(
        label=_("What it is told of"),
        choices=WebhookEvent.choices,
        initial=WebhookEvent.values,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Webhook
        fields = ["url", "events"]
