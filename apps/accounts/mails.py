"""Mail that this site sends beside django-allauth's."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)


def mail(*, to: str, subject: str, template: str, **context: Any) -> bool:
    """Send what `accounts/email/<template>.txt` says; False where there is no address, or no server takes it."""
    if not to:
        return False
    text = render_to_string(f"accounts/email/{template}.txt", context)
    try:
        send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, text, None, [to])
    except OSError as error:  # SMTPException is one, and so are the network's.
        logger.warning("A mail could not be sent", extra={"mail": template, "reason": type(error).__name__})
        return False
    return True
