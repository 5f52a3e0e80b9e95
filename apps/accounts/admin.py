from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_tasks_db.admin import DBTaskResultAdmin
from django_tasks_db.models import DBTaskResult

from apps.accounts import erasures
from apps.accounts.authentication import signed_in_user
from apps.accounts.background import run_again
from apps.accounts.models import (
    ApiToken,
    Erasure,
    Export,
    Invitation,
    UsageDay,
    UsageRecord,
    User,
    Webhook,
    WebhookDelivery,
    digest_of,
)
from apps.accounts.read_only_admin import ReadOnlyAdmin
from apps.accounts.services import invite, mail_invitation

admin.site.register(User, UserAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Tokens can be revoked here, never made or read: their owner makes them."""

    list_display = ["name", "owner", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["created_at", "last_used_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username", "owner__email"]
    readonly_fields = ["owner", "name", "scopes", "created_at", "last_used_at"]
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin[Invitation]):
    """Invitations are made and taken back here. The link is shown once, when it is made."""

    list_display = ["email", "invited_by", "created_at", "expires_at", "accepted_at", "accepted_by"]
    list_filter = ["created_at", "accepted_at"]
    list_select_related = ["invited_by", "accepted_by"]
    search_fields = ["email", "invited_by__username", "accepted_by__username"]
    date_hierarchy = "created_at"

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        return self.list_display if obj else ["email"]

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Invitation, form: ModelForm[Invitation], change: bool) -> None:  # noqa: FBT001 - Django's signature
        secret = invite(email=obj.email, invited_by=signed_in_user(request))
        obj.pk = Invitation.objects.get(digest=digest_of(secret)).pk
        link = request.build_absolute_uri(reverse("accounts:invitation", args=[secret]))
        if mail_invitation(email=obj.email, link=link):
            messages.info(request, _("The invitation is on its way to %(email)s.") % {"email": obj.email})
        text = _("Only now, and for one sign-up within seven days, the link that %(email)s needs: %(link)s")
        messages.warning(request, text % {"email": obj.email, "link": link})


class HistoryAdmin(admin.ModelAdmin[Any]):
    """Rows that the site writes and nobody changes by hand."""

    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Webhook)
class WebhookAdmin(HistoryAdmin):
    """Webhooks can be deleted here, never made or read out: their owner makes them."""

    list_display = ["url", "owner", "events", "is_active", "failing_since", "created_at"]
    list_filter = ["is_active", "created_at"]
    search_fields = ["url", *HistoryAdmin.search_fields]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(HistoryAdmin):
    list_display = ["id", "event", "owner", "status", "tries", "response_status", "error_code", "created_at"]
    list_filter = ["status", "event", "created_at"]
    list_select_related = ["owner", "webhook"]


@admin.register(UsageDay)
class UsageDayAdmin(HistoryAdmin):
    list_display = ["day", "owner", "requests", "running", "heard_seconds", "spoken_characters", "cost_dollars"]
    list_filter = ["day"]


@admin.register(UsageRecord)
class UsageRecordAdmin(HistoryAdmin):
    list_display = ["created_at", "owner", "kind", "heard_seconds", "spoken_characters", "cost_dollars", "reference"]
    list_filter = ["kind", "created_at"]


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Exports are seen here, and never opened: they are their owner's."""

    list_display = ["id", "owner", "state", "parts_done", "parts", "size", "starts", "created_at", "expires_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["owner"]
    search_fields = HistoryAdmin.search_fields
    exclude = ["file"]


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Accounts that are being deleted, and the receipts of those that are. What is not done goes on by itself."""

    list_display = ["id", "user", "state", "requested_at", "due_at", "tries", "error_code", "next_try_at", "done_at"]
    list_filter = ["state", "requested_at"]
    list_select_related = ["user"]
    search_fields = ["id", "user__username", "user__email"]
    actions = ["run_again"]

    @admin.action(description=gettext_lazy("Run again now, where the deletion has begun"), permissions=["run"])
    def run_again(self, request: HttpRequest, rows: QuerySet[Erasure]) -> None:
        count = erasures.run_again(rows)
        text = ngettext("%(count)d erasure goes on now.", "%(count)d erasures go on now.", count)
        messages.info(request, text % {"count": count})

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_erasure")


admin.site.unregister(DBTaskResult)


@admin.register(DBTaskResult)
class BackgroundTaskAdmin(DBTaskResultAdmin):
    """Background work. What failed for good stays, until somebody has looked at it and runs it again."""

    actions = ["run_again"]

    @admin.action(description=gettext_lazy("Run failed tasks again"))
    def run_again(self, request: HttpRequest, tasks: QuerySet[DBTaskResult[..., Any]]) -> None:
        count = run_again(tasks)
        messages.info(
            request, ngettext("%(count)d task runs again.", "%(count)d tasks run again.", count) % {"count": count}
        )
