from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.background.reconciling import planned, reconcile


class Command(BaseCommand):
    help = (
        "Repair turns, voices, voices at the provider, and files that killed processes left behind. "
        "The worker does this too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only print the planned repairs")

    def handle(self, *_args: Any, dry_run: bool, **_options: Any) -> None:
        lines = map(str, planned()) if dry_run else (f"{repair} ({outcome})" for repair, outcome in reconcile())
        count = 0
        for line in lines:
            self.stdout.write(line)
            count += 1
        self.stdout.write(f"{count} to do." if dry_run else f"{count} found.")
