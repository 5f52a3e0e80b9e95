"""The site of the admin, which only staff with a second factor enter."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _


class SecondFactorAdminSite(AdminSite):
    """The admin. It has no sign-in form of its own, which would know neither second factors nor limits on attempts."""

    site_header = site_title = "VoiceClone"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the user is staff and has a second factor, which every sign-in then asks for."""
        return super().has_permission(request) and (
            not settings.ADMIN_SECOND_FACTOR or bool(is_mfa_enabled(request.user, [Authenticator.Type.TOTP]))
        )

    @method_decorator(secure_admin_login)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the site's own sign-in, and staff without a second factor to the page that sets it up."""
        if self.has_permission(request):
            return super().login(request, extra_context)
        messages.info(request, _("The admin needs two-factor sign-in. Set it up first, then continue to the admin."))
        return redirect("mfa_activate_totp")
