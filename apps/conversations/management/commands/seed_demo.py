from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from apps.accounts.models import User
from apps.conversations.seeding import Seeding


class Command(BaseCommand):
    help = (
        "Fill an empty database with made-up people, voices, conversations and background work, to measure or to look "
        "at a large site. Refused where anybody has an account. The people cannot sign in, and nothing has sound."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--turns",
            type=int,
            default=10_000,
            help="number of turns (default: %(default)s); 100 to a person, 5 to a conversation, one person with 15 %%",
        )

    def handle(self, *_args: Any, turns: int, **_options: Any) -> None:
        if turns < 1:
            raise CommandError("--turns must be at least 1.")
        if User.objects.exists():
            raise CommandError("This database has accounts. Made-up rows go only into an empty one: set DATABASE_URL.")
        with transaction.atomic():
            Seeding(turns, self.stdout.write).write()
        with connection.cursor() as cursor:  # The planner needs to know how many rows there are now.
            cursor.execute("ANALYZE")
