from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.speech.availability import engines_of
from apps.speech.base import LOCAL
from apps.speech.local import weights
from apps.speech.local.catalogue import DEFAULT_MODELS, OPTIONAL_MODELS, SPEAKER_ENCODER, Model


class Command(BaseCommand):
    help = "Download the models of the embedded engines (380 MB), so that the site works without any account."
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
            help="if no engine is set to local, download only the speaker encoder (12 MB), which every site needs",
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        is_for_engines = not options["if_used"] or any(
            LOCAL in engines_of(stage) for stage in ("hear", "think", "speak")
        )
        models = [*DEFAULT_MODELS, *optional_models(options["optional"])] if is_for_engines else [SPEAKER_ENCODER]
        models_dir = options["models_dir"] or settings.MODELS_DIR
        try:
            weights.fetch(models_dir, models, self.report)
        except weights.WeightsError as error:
            raise CommandError(str(error)) from error

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # Otherwise a pipe buffers it until the end.


def optional_models(names: list[str]) -> list[Model]:
    """Return the optional models that `names` or the settings contain."""
    wanted = {*names, settings.LOCAL_STT_MODEL, settings.LOCAL_CHAT_MODEL}
    return [model for model in OPTIONAL_MODELS if model.name in wanted]
