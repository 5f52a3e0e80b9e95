"""`manage.py retention_report`: prints the retention schedule and the deletions to come."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.core.personal_data import all_personal_data
from apps.privacy import retention


class Command(BaseCommand):
    help = "Print how long each kind of data is kept by the current settings, and what is due in the coming days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how far to look ahead (default: %(default)s)")

    def handle(self, *_args: Any, days: int, **_options: Any) -> None:
        for data in all_personal_data():
            for kept in data.schedule():
                self.stdout.write(f"{kept.what}: {kept.until}")
        coming = retention.find_due(days_ahead=days)
        self.stdout.write(f"\nDue within {days} days: {len(coming)}")
        for due in coming:
            self.stdout.write(retention.describe(due, is_done=False))
