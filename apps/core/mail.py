"""Mail that the site sends itself; django-allauth sends its own."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)


def mail(*, to: str, subject: str, template: str, **context: Any) -> bool:
    """Render `template` with `context` and send it; return False without an address, or if the server refuses it."""
    if not to:
        return False
    text = render_to_string(template, context)
    try:
        send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, text, None, [to])
    except OSError as error:  # SMTPException and network errors are OSErrors.
        logger.warning("A mail could not be sent", extra={"mail": template, "reason": type(error).__name__})
        return False
    return True
