from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.urls import reverse

from apps.accounts.services import invite, mail_invitation


class Command(BaseCommand):
    help = "Invite a person to sign up, and print the link for it. It works once, for seven days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        site = settings.SITE_URL or next(iter(settings.CSRF_TRUSTED_ORIGINS), "http://127.0.0.1:8000")
        parser.add_argument("email")
        parser.add_argument("--site", default=site, help="address of this site (default: %(default)s)")

    def handle(self, *_args: Any, email: str, site: str, **_options: Any) -> None:
        try:
            validate_email(email)
        except ValidationError as error:
            message = f"{email} is not an email address."
            raise CommandError(message) from error
        link = site.rstrip("/") + reverse("accounts:invitation", args=[invite(email=email)])
        self.stdout.write(link)
        if mail_invitation(email=email, link=link):
            self.stderr.write(f"The link was also sent to {email}.")
