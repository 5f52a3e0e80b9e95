from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand

from apps.background import reconciling
from apps.core.repairs import Repair


class Command(BaseCommand):
    help = (
        "Repair turns, voices, voices at the provider, and files that killed processes left behind. "
        "The worker does this too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only print the planned repairs")
        parser.add_argument(
            "--delete-unknown",
            action="store_true",
            help="after an older backup was restored: also delete the voices at providers that this site made and its "
            "database does not know. Not in a copy that has the SECRET_KEY of another site",
        )

    def handle(self, *_args: Any, dry_run: bool, delete_unknown: bool, **_options: Any) -> None:
        if dry_run:
            self.stdout.write(f"{self._print(reconciling.planned())} to do.")
        else:
            self.stdout.write(f"{self._print(_outcomes(reconciling.reconcile()))} found.")
        if delete_unknown and not dry_run:
            self._print(_outcomes(reconciling.delete_unknown()))
        elif unknown := self._print(reconciling.planned_on_request()):
            self.stdout.write(f"{unknown} unknown to this database: --delete-unknown deletes them.")

    def _print(self, lines: Iterable[object]) -> int:
        """Print the lines as they come, and return their number."""
        count = 0
        for line in lines:
            self.stdout.write(str(line))
            count += 1
        return count


def _outcomes(done: Iterable[tuple[Repair, str]]) -> Iterable[str]:
    return (f"{repair} ({outcome})" for repair, outcome in done)
