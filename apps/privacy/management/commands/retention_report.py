"""`manage.py retention_report`: what is kept, how long, and what goes when."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.core.personal_data import all_personal_data
from apps.privacy import retention


class Command(BaseCommand):
    help = "Say what is kept how long by the settings in force, and what is due in the days to come."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how far to look ahead (default: %(default)s)")

    def handle(self, *_args: Any, days: int, **_options: Any) -> None:
        for data in all_personal_data():
            for kept in data.schedule():
                self.stdout.write(f"{kept.what}: {kept.until}")
        coming = retention.due(days_ahead=days)
        self.stdout.write(f"\nDue within {days} days: {len(coming)}")
        for each in coming:
            self.stdout.write(retention.in_words(each, is_done=False))
