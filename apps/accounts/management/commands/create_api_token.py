from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts.models import Scope, User
from apps.accounts.services import create_api_token
from apps.core.errors import UserError

MAX_DAYS = 3650


class Command(BaseCommand):
    help = "Create an API token for a user and print it, and nothing else. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="purpose of the token (default: %(default)s)")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=Scope.values,
            help="scope of the token; may be given several times (default: all scopes)",
        )
        parser.add_argument(
            "--expires-days", type=_days, metavar="DAYS", help="days until the token expires (default: never)"
        )

    def handle(
        self,
        *_args: Any,
        username: str,
        name: str,
        scopes: list[str] | None,
        expires_days: int | None,
        **_options: Any,
    ) -> None:
        owner = User.objects.filter(username=username, is_active=True).first()
        if owner is None:
            message = f"There is no active user named {username}."
            raise CommandError(message)
        expires_at = timezone.now() + timedelta(days=expires_days) if expires_days else None
        try:
            with _without_log_lines():
                secret = create_api_token(owner=owner, name=name, scopes=scopes, expires_at=expires_at)
        except UserError as error:
            raise CommandError(error.message) from error
        self.stdout.write(secret)


@contextmanager
def _without_log_lines() -> Iterator[None]:
    """Silence log lines on the error stream, so that scripts that read both streams get only the token."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= MAX_DAYS:
        raise ValueError
    return days
