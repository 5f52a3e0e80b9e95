from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.background.moving import Moved, MoveError, move, storage_at


class Command(BaseCommand):
    help = "Copy all recordings to another storage, while the site works. Run again, it copies what is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="a folder, or s3://bucket/prefix?region=… as in MEDIA_STORAGE")
        parser.add_argument("target", help="the same, of the other storage")
        parser.add_argument("--check", action="store_true", help="also compare the files that were copied earlier")

    def handle(self, *_args: Any, source: str, target: str, check: bool, **_options: Any) -> None:
        moved = Moved()
        try:
            for name in move(storage_at(source), storage_at(target), moved, check=check):
                if self.verbosity > 1:
                    self.stdout.write(name)
        except MoveError as error:
            raise CommandError(f"{error} {moved.copied} files were copied. Run the command again.") from error
        self.stdout.write(f"{moved.copied} files copied and compared, {moved.bytes} bytes; {moved.there} were there.")

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.verbosity = options["verbosity"]
        return super().execute(*args, **options)
