"""The changes of this site to allauth's defaults."""

from __future__ import annotations

import logging
import math
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

from apps.accounts import encryption, invitations, services
from apps.accounts.authentication import remember_proof
from apps.accounts.models import User
from apps.accounts.sign_in_limits import begin_attempt, remember_browser
from apps.core.links import absolute_url, with_trusted_host

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth ships no types
    """Restricts sign-ups, limits password attempts, and remembers known browsers."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        invited = settings.REGISTRATION == "invite" and invitations.carried(request) is not None
        if settings.REGISTRATION == "open" or invited:
            return True
        raise ImmediateHttpResponse(_signup_closed(request))

    def save_user(self, request: HttpRequest, user: User, form: Form, commit: bool = True) -> User:  # noqa: FBT001, FBT002 - allauth's signature
        with transaction.atomic():
            saved: User = super().save_user(request, user, form, commit)
            if settings.REGISTRATION == "invite":
                _accept_invitation(request, saved)
        return saved

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail. If the mail server fails, show a message: the request itself is still carried out.

        allauth makes the links (`…_url`) from the Host header of the request, which may be an attacker's.
        """
        trusted = {key: with_trusted_host(self.request, url) for key, url in context.items() if key.endswith("_url")}
        trusted["site_host"] = urlsplit(absolute_url(self.request, "/")).netloc
        try:
            super().send_mail(template_prefix, email, context | trusted)
        except OSError as error:  # SMTPException and network errors are OSErrors.
            logger.error("A mail could not be sent", extra={"mail": template_prefix, "reason": type(error).__name__})
            text = _("The mail could not be sent. Try again later, or ask the operator of this site.")
            messages.error(self.request, text)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt by this site's limits: allauth's own limits would lock out the owner of the account too."""
        login = credentials.get("username") or credentials.get("email") or ""
        self._attempt, wait = begin_attempt(request, login=login, address=self.get_client_ip(request))
        if wait:
            raise ImmediateHttpResponse(_too_many_attempts(request, wait))

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        user: User | None = super().authenticate(request, **credentials)
        if user and self._attempt:
            self._attempt.forget()
        return user

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Lead the owner of an account that is being deleted to the page where they can cancel the deletion."""
        erasure = getattr(user, "erasure", None)
        if erasure is not None:
            remember_proof(request, user)
            return redirect("privacy:erasure", erasure.pk)
        response: HttpResponse = super().respond_user_inactive(request, user)
        return response

    def post_login(self, request: HttpRequest, user: User, **details: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **details)
        remember_browser(request, response, user)
        return response


def _accept_invitation(request: HttpRequest, user: User) -> None:
    invitation = invitations.carried(request)
    if invitation is None or not services.accept_invitation(invitation=invitation, user=user):
        raise ImmediateHttpResponse(_signup_closed(request))


def _signup_closed(request: HttpRequest) -> HttpResponse:
    return render(request, "account/signup_closed.html", {"registration": settings.REGISTRATION}, status=403)


def _too_many_attempts(request: HttpRequest, wait_seconds: int) -> HttpResponse:
    minutes = math.ceil(wait_seconds / 60)
    response = render(request, "account/too_many_attempts.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = str(wait_seconds)
    return response


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth ships no types
    """Encrypts the secrets of second factors, and keeps a second factor on while the password is short."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "cannot_delete_authenticator": _(
            "Your password is too short to protect your account alone. Choose one of at least 15 characters first."
        ),
        "unverified_email": _(
            "Confirm your email address first, under “Email”. Without it, a lost phone would lock you out for good."
        ),
    }

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        owner: User = authenticator.user
        return not owner.has_short_password
