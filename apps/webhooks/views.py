"""The webhook pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.authentication import signed_in_user
from apps.core.pages import add_refusals_to, report_refusals_to
from apps.core.paging import PagesByKey
from apps.webhooks import services as webhooks
from apps.webhooks.forms import WebhookForm
from apps.webhooks.models import Webhook, WebhookDelivery

DELIVERIES_ON_PAGE = 20


@method_decorator(never_cache, "dispatch")
class WebhookList(View):
    """List the person's webhooks, and create one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, WebhookForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create a webhook and show its secret in the response: a redirect would have to store it."""
        form = WebhookForm(request.POST)
        created = self._create(request, form) if form.is_valid() else None
        if created:
            return self._page(request, WebhookForm(), created=created)
        return self._page(request, form, status=422)

    @staticmethod
    def _create(request: HttpRequest, form: WebhookForm) -> Webhook | None:
        with add_refusals_to(form):
            return webhooks.create_webhook(owner=signed_in_user(request), **form.cleaned_data)
        return None

    @staticmethod
    def _page(request: HttpRequest, form: WebhookForm, status: int = 200, **context: Any) -> HttpResponse:
        mine = Webhook.objects.for_user(request.user)
        return render(request, "webhooks/webhooks.html", {"webhooks": mine, "form": form, **context}, status=status)


class WebhookDetail(View):
    """Show one webhook with its messages, and change it."""

    def get(self, request: HttpRequest, webhook_pk: UUID) -> HttpResponse:
        webhook = _own_webhook(request, webhook_pk)
        return self._page(request, webhook, WebhookForm(instance=webhook))

    def post(self, request: HttpRequest, webhook_pk: UUID) -> HttpResponse:
        webhook = _own_webhook(request, webhook_pk)
        form = WebhookForm(request.POST)
        if form.is_valid() and self._change(webhook, form):
            messages.success(request, _("The webhook is saved."))
            return redirect("webhooks:webhook", webhook.pk)
        return self._page(request, webhook, form, status=422)

    @staticmethod
    def _change(webhook: Webhook, form: WebhookForm) -> bool:
        with add_refusals_to(form):
            webhooks.change_webhook(webhook=webhook, **form.cleaned_data)
            return True
        return False

    @staticmethod
    def _page(request: HttpRequest, webhook: Webhook, form: WebhookForm, status: int = 200) -> HttpResponse:
        deliveries = WebhookDelivery.objects.for_user(request.user).filter(webhook=webhook)
        page = PagesByKey(deliveries, DELIVERIES_ON_PAGE).get_page(request.GET.get("page"))
        return render(
            request, "webhooks/webhook.html", {"webhook": webhook, "form": form, "page_obj": page}, status=status
        )


@require_POST
def switch_webhook(request: HttpRequest, webhook_pk: UUID) -> HttpResponse:
    """Switch a webhook on or off."""
    webhook = _own_webhook(request, webhook_pk)
    webhooks.change_webhook(webhook=webhook, is_active=not webhook.is_active)
    text = _("The webhook is switched on.") if webhook.is_active else _("The webhook is switched off.")
    messages.success(request, text)
    return redirect("webhooks:webhook", webhook.pk)


@require_http_methods(["GET", "POST"])
@never_cache
def change_secret(request: HttpRequest, webhook_pk: UUID) -> HttpResponse:
    """Ask for confirmation, then give the webhook a new secret and show it in the response."""
    webhook = _own_webhook(request, webhook_pk)
    if request.method == "POST":
        webhooks.change_secret(webhook=webhook)
    is_changed = request.method == "POST"
    return render(request, "webhooks/webhook_secret.html", {"webhook": webhook, "is_changed": is_changed})


@require_http_methods(["GET", "POST"])
def delete_webhook(request: HttpRequest, webhook_pk: UUID) -> HttpResponse:
    """Ask for confirmation, then delete."""
    webhook = _own_webhook(request, webhook_pk)
    if request.method != "POST":
        return render(request, "webhooks/delete_webhook.html", {"webhook": webhook})
    webhook.delete()
    messages.success(request, _("The webhook is deleted."))
    return redirect("webhooks:webhooks")


@require_POST
def redeliver(request: HttpRequest, webhook_pk: UUID, delivery_pk: UUID) -> HttpResponse:
    """Send a message again."""
    deliveries = WebhookDelivery.objects.for_user(request.user).select_related("webhook")
    delivery = get_object_or_404(deliveries, pk=delivery_pk, webhook=webhook_pk)
    with report_refusals_to(lambda message: messages.error(request, message)):
        webhooks.redeliver(delivery=delivery)
        messages.success(request, _("The message will be sent again."))
    return redirect("webhooks:webhook", webhook_pk)


def _own_webhook(request: HttpRequest, webhook_pk: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.for_user(request.user), pk=webhook_pk)
