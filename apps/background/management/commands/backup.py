from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.background.backups.archive import BackupError
from apps.background.backups.progress import shown_in
from apps.background.backups.saving import back_up, back_up_marks


class Command(BaseCommand):
    help = "Store the database and all recordings in one file, while the site works."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write, such as voiceclone-2026-11-29.zip")
        parser.add_argument(
            "--marks",
            type=Path,
            metavar="FILE",
            help="also store the key that signs answers, and its certificates, in this file, to be kept elsewhere",
        )

    def handle(self, *_args: Any, file: Path, marks: Path | None, **_options: Any) -> None:
        try:
            stored = back_up(file, shown_in(self.stdout))
            self.stdout.write(f"{file}: {stored['rows']} rows and {stored['files']} files.")
            if marks is not None:
                self.stdout.write(f"{marks}: {back_up_marks(marks, shown_in(self.stdout))} files. Keep it elsewhere.")
        except BackupError as error:
            raise CommandError(str(error)) from error
