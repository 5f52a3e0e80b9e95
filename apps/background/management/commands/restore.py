from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.background.backups.archive import BackupError
from apps.background.backups.progress import shown_in
from apps.background.backups.restoring import restore

NEXT_STEPS = """\
Before people use the site again:
- `manage.py repeat_deletions --since {made_at} LOG` deletes again what was deleted, withdrawn, erased or suspended
  since then, by the site's log: docs/privacy.md, "After a restore".
- `manage.py reconcile --dry-run` lists the voices made since then that are still at providers; with --delete-unknown
  instead of --dry-run they are deleted.
- `manage.py check_engines` tries the engines."""


class Command(BaseCommand):
    help = "Restore a file that `manage.py backup` has made, while the site and its worker are stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to restore")
        parser.add_argument("--marks", type=Path, metavar="FILE", help="also restore the key that signs answers")
        parser.add_argument(
            "--force", action="store_true", help="replace a database that contains data; what it contains is lost"
        )

    def handle(self, *_args: Any, file: Path, marks: Path | None, force: bool, **_options: Any) -> None:
        try:
            restored = restore(file, marks, shown_in(self.stdout), replace=force)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored from {restored.made_at}: {restored.rows} rows and {restored.files} files.")
        if restored.missing:
            self.stdout.write(f"{restored.missing} files that rows name were not in the backup.")
        self.stdout.write(NEXT_STEPS.format(made_at=restored.made_at))
