"""`manage.py apply_retention`: deletes what nobody has used for its term, and announces that before."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.privacy import retention


class Command(BaseCommand):
    help = "Delete what nobody has used for the term that the settings name. The worker does so every day."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *_args: Any, dry_run: bool, **_options: Any) -> None:
        problems = 0
        for each in retention.due():
            problem = "" if dry_run else retention.apply(each)
            problems += bool(problem)
            self.stdout.write(f"{retention.in_words(each, is_done=not dry_run)}{problem and f' FAILED: {problem}'}")
        if problems:
            message = f"{problems} could not be done, and will be tried again."
            raise CommandError(message)
