from __future__ import annotations

from typing import Any

from allauth.account.admin import EmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.authentication import signed_in_user
from apps.accounts.models import ApiToken, Invitation
from apps.accounts.services import invite, mail_invitation, may_change_account
from apps.core.digests import digest_of
from apps.core.links import absolute_url
from apps.core.read_only_admin import LongListAdmin, ReadOnlyAdmin

for model in (Group, EmailAddress, Authenticator, UserSession):
    admin.site.unregister(model)


@admin.register(ApiToken)
class ApiTokenAdmin(LongListAdmin):
    """Staff can revoke tokens here, for good. They cannot create or read them: their owners create them."""

    list_display = ["name", "owner", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["created_at", "last_used_at"]
    list_select_related = ["owner"]
    secret_fields = ("digest",)
    search_fields = ["name", "owner__username", "owner__email"]
    date_hierarchy = "created_at"

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        fixed = ["owner", "name", "scopes", "created_at", "last_used_at", "expires_at"]
        return [*fixed, "revoked_at"] if obj and obj.revoked_at else fixed

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Invitation)
class InvitationAdmin(LongListAdmin):
    """Staff create and delete invitations here. The link is shown once, after the invitation is created."""

    list_display = ["email", "invited_by", "created_at", "expires_at", "accepted_at", "accepted_by"]
    list_filter = ["created_at", "accepted_at"]
    list_select_related = ["invited_by", "accepted_by"]
    secret_fields = ("digest",)
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


@admin.register(Group)
class StaffGroupAdmin(GroupAdmin):
    """Groups. Only superusers change them: others could give their own group more permissions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser


@admin.register(EmailAddress)
class AddressAdmin(ReadOnlyAdmin, EmailAddressAdmin):  # type: ignore[misc] # allauth ships no types
    """Addresses. Staff only mark them as verified: who could change one could have a new password sent to it."""

    list_select_related = ["user"]

    @admin.action(description=gettext_lazy("Mark as verified"), permissions=["verify"])
    def make_verified(self, request: HttpRequest, addresses: QuerySet[EmailAddress]) -> None:
        super().make_verified(
            request, addresses if request.user.is_superuser else addresses.filter(user__is_staff=False)
        )

    def has_verify_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("account.change_emailaddress")


@admin.register(Authenticator)
class SecondFactorAdmin(ReadOnlyAdmin):
    """Second factors, without their secrets. Staff delete one for a person who has lost it."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type", "created_at", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email"]
    secret_fields = ("data",)

    def has_delete_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        may_delete = request.user.has_perm("mfa.delete_authenticator")
        return may_delete and (obj is None or may_change_account(by=request.user, account=obj.user))


@admin.register(UserSession)
class DeviceAdmin(ReadOnlyAdmin):
    """Devices that are signed in, without the key of their session, with which anybody could be that person."""

    list_display = ["user", "created_at", "last_seen_at", "ip", "user_agent"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email", "ip"]
    secret_fields = ("session_key", "data")
