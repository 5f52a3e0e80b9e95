from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts import invitations
from apps.accounts.models import ApiToken, Scope, User


class SignupForm(AllauthSignupForm):  # type: ignore[misc] # allauth ships no types
    """The sign-up form. An invitation fixes the email address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        invitation = invitations.carried(context.request)
        if invitation is not None:
            self.fields["email"].disabled = True
            self.initial["email"] = invitation.email


class ProfileForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ["username"]
        help_texts = {"username": _("You sign in with this name or with your email address.")}

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if username.lower() != self.initial["username"].lower():
            get_adapter().clean_username(username)
        return username


class TokenForm(forms.ModelForm[ApiToken]):
    """A new API token."""

    scopes = forms.MultipleChoiceField(
        label=_("Permissions"),
        choices=Scope.choices,
        initial=[Scope.READ, Scope.TALK],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.TypedChoiceField(
        label=_("Expires after"),
        choices=[(7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("one year")), (0, _("never"))],
        initial=90,
        coerce=int,
    )

    class Meta:
        model = ApiToken
        fields = ["name", "scopes"]
        help_texts = {"name": _("What you will use it for, so that you recognise it later.")}

    def expires_at(self) -> datetime | None:
        """Return when the token is to expire, or None for never."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days else None
