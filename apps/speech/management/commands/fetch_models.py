from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.speech.availability import engines_of
from apps.speech.base import LOCAL
from apps.speech.local import chat_choice, weights
from apps.speech.local.catalogue import DEFAULT_MODELS, OPTIONAL_MODELS, SPEAKER_ENCODER, Model


class Command(BaseCommand):
    help = "Download the models of the embedded engines (380 MB to 1.5 GB), so that the site works without any account."
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
        models_dir = options["models_dir"] or settings.MODELS_DIR
        required = [*DEFAULT_MODELS, *optional_models(options["optional"])] if is_for_engines else [SPEAKER_ENCODER]
        chosen = [model for model in chosen_models(models_dir) if is_for_engines and model not in required]
        try:
            weights.fetch(models_dir, [*required, *chosen], self.report)
        except weights.WeightsError as error:
            if not chosen or weights.missing(models_dir, required):
                raise CommandError(str(error)) from error
            self.report(f"{error}\nUntil then, the small language model answers.")

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # Otherwise a pipe buffers it until the end.


def optional_models(names: list[str]) -> list[Model]:
    """Return the optional models that `names` or the settings contain."""
    wanted = {*names, settings.LOCAL_STT_MODEL, settings.LOCAL_CHAT_MODEL}
    return [model for model in OPTIONAL_MODELS if model.name in wanted]


def chosen_models(models_dir: Path) -> list[Model]:
    """Return the optional language model that LOCAL_CHAT_MODEL=auto chooses for this machine, if any."""
    if settings.LOCAL_CHAT_MODEL != chat_choice.AUTO or LOCAL not in engines_of("think"):
        return []
    chosen = chat_choice.choose(chat_choice.AUTO, chat_choice.inspect(models_dir)).model
    return [model for model in OPTIONAL_MODELS if model.name == chosen]
