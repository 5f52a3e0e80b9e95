"""`manage.py apply_retention`: deletes data whose term is over, after announcing it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.privacy import retention


class Command(BaseCommand):
    help = (
        "Announce and delete data that has not been used for the term in the settings. The worker does this every day."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only print the planned steps")

    def handle(self, *_args: Any, dry_run: bool, **_options: Any) -> None:
        problems = 0
        for due in retention.find_due():
            problem = "" if dry_run else retention.apply(due)
            problems += bool(problem)
            self.stdout.write(f"{retention.describe(due, is_done=not dry_run)}{problem and f' FAILED: {problem}'}")
        if problems:
            message = f"{problems} could not be done and will be tried again."
            raise CommandError(message)
