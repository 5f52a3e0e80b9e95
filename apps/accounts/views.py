"""The account pages that allauth does not provide."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import invitations, services
from apps.accounts.authentication import signed_in_user
from apps.accounts.forms import ProfileForm, TokenForm
from apps.accounts.models import ApiToken
from apps.core.pages import add_refusals_to


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show the profile, and change the user name."""
    user = signed_in_user(request)
    form = ProfileForm(request.POST or None, instance=user)
    if form.is_valid():
        form.save()
        messages.success(request, _("Your profile is saved."))
        return redirect("accounts:profile")
    if form.errors:
        user.refresh_from_db()  # The form has changed the object that the page shows.
    return render(request, "accounts/profile.html", {"form": form}, status=422 if form.errors else 200)


@method_decorator(never_cache, "dispatch")
class TokenList(View):
    """List the person's API tokens, and create one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, TokenForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Create a token and show its secret in the response: a redirect would have to store it."""
        form = TokenForm(request.POST)
        secret = self._create(request, form) if form.is_valid() else ""
        if secret:
            return self._page(request, TokenForm(), secret=secret, name=form.cleaned_data["name"])
        return self._page(request, form, status=422)

    @staticmethod
    def _create(request: HttpRequest, form: TokenForm) -> str:
        with add_refusals_to(form):
            return services.create_api_token(
                owner=signed_in_user(request),
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                expires_at=form.expires_at(),
            )
        return ""

    @staticmethod
    def _page(request: HttpRequest, form: TokenForm, status: int = 200, **context: Any) -> HttpResponse:
        tokens = ApiToken.objects.for_user(request.user).not_revoked()
        return render(request, "accounts/tokens.html", {"tokens": tokens, "form": form, **context}, status=status)


@require_http_methods(["GET", "POST"])
def revoke_token(request: HttpRequest, token_pk: int) -> HttpResponse:
    """Ask for confirmation, then revoke."""
    token = get_object_or_404(ApiToken.objects.for_user(request.user).not_revoked(), pk=token_pk)
    if request.method != "POST":
        return render(request, "accounts/revoke_token.html", {"token": token})
    services.revoke_api_token(token=token)
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("accounts:tokens")


@login_not_required
@require_safe
@never_cache
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Redirect from the link of an invitation to the sign-up, whose address does not contain the secret."""
    found = services.find_invitation(secret=secret)
    if found is not None:
        invitations.carry(request, found)
    return redirect("account_signup")
