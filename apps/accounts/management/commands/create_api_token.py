from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.accounts.services import create_api_token


class Command(BaseCommand):
    help = "Create an API token for a user and print it, and nothing else. It can not be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="what the token is for (default: %(default)s)")

    def handle(self, *_args: Any, username: str, name: str, **_options: Any) -> None:
        owner = User.objects.filter(username=username, is_active=True).first()
        if owner is None:
            message = f"There is no active user named {username}."
            raise CommandError(message)
        self.stdout.write(create_api_token(owner=owner, name=name))
