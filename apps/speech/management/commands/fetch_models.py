from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.speech.availability import local_models, models_in_use
from apps.speech.local import weights
from apps.speech.local.catalogue import DEFAULT_MODELS, OPTIONAL_MODELS, Model


class Command(BaseCommand):
    help = "Download the models of the embedded engines (380 MB to 1.4 GB), so that the site works without any account."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--with",
            dest="optional",
            action="append",
            default=[],
            choices=[model.name for model in OPTIONAL_MODELS],
            help="also download this model (repeatable); models that the settings name are always downloaded",
        )
        parser.add_argument("--models-dir", type=Path, default=None, help="folder of the models (default: MODELS_DIR)")
        parser.add_argument(
            "--if-used",
            action="store_true",
            help="download only what the engines in the settings need: at least the speaker encoder (12 MB)",
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        models = models_in_use() if options["if_used"] else all_models()
        optional = [model for model in OPTIONAL_MODELS if model.name in options["optional"]]
        models_dir = options["models_dir"] or settings.MODELS_DIR
        try:
            weights.fetch(models_dir, list(dict.fromkeys([*models, *optional])), self.report)
        except weights.WeightsError as error:
            raise CommandError(str(error)) from error

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # Otherwise a pipe buffers it until the end.


def all_models() -> list[Model]:
    """Return the default models, and those that the settings name for hearing and thinking."""
    named = local_models()
    return [*DEFAULT_MODELS, *named.to_fetch("hear"), *named.to_fetch("think")]
