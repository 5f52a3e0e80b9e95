from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.authentication import signed_in_user
from apps.accounts.models import ApiToken, Invitation
from apps.accounts.services import invite, mail_invitation
from apps.core.digests import digest_of
from apps.core.links import absolute_url
from apps.core.read_only_admin import LongListAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(LongListAdmin):
    """Staff can revoke tokens here, but cannot create or read them: their owners create them."""

    list_display = ["name", "owner", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["created_at", "last_used_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username", "owner__email"]
    readonly_fields = ["owner", "name", "scopes", "created_at", "last_used_at"]
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Invitation)
class InvitationAdmin(LongListAdmin):
    """Staff create and delete invitations here. The link is shown once, after the invitation is created."""

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
        link = absolute_url(request, reverse("accounts:invitation", args=[secret]))
        if mail_invitation(email=obj.email, link=link):
            messages.info(request, _("The invitation is on its way to %(email)s.") % {"email": obj.email})
        text = _("This link for %(email)s is shown only once. It works for one sign-up within seven days: %(link)s")
        messages.warning(request, text % {"email": obj.email, "link": link})
