"""The minimum length of passwords."""

from __future__ import annotations

from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from apps.accounts.models import SAFE_PASSWORD_CHARACTERS

CHARACTERS_WITH_SECOND_FACTOR = 8


class LengthValidator:
    """Requires 15 characters, or 8 from users who sign in with a second factor."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raise ValidationError if the password is too short for `user`."""
        has_second_factor = user is not None and user.pk is not None and is_mfa_enabled(user)
        minimum = CHARACTERS_WITH_SECOND_FACTOR if has_second_factor else SAFE_PASSWORD_CHARACTERS
        if len(password) < minimum:
            message = _("This password is too short. Use at least %(minimum)d characters.")
            raise ValidationError(message % {"minimum": minimum}, code="password_too_short")

    def get_help_text(self) -> str:
        text = _("At least %(minimum)d characters, such as four or five words; with two-factor sign-in, %(less)d.")
        return text % {"minimum": SAFE_PASSWORD_CHARACTERS, "less": CHARACTERS_WITH_SECOND_FACTOR}
