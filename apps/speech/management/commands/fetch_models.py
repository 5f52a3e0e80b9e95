from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.speech.availability import local_models, models_in_use
from apps.speech.base import POCKET
from apps.speech.local import pocket_bundle, pocket_download, weights
from apps.speech.local.catalogue import DEFAULT_MODELS, OPTIONAL_MODELS, QWEN, SMOLLM2, Model
from apps.speech.local.chat_choice import AUTO
from apps.speech.local.pocket_bundle import LICENCE_NOTICE, POCKET_TTS


class Command(BaseCommand):
    help = "Download the models of the embedded engines (0.4 to 1.4 GB), so that the site works without any account."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--with",
            dest="optional",
            action="append",
            default=[],
            choices=[*(model.name for model in OPTIONAL_MODELS), POCKET_TTS],
            help="also download this model (repeatable); models that the settings name are always downloaded, "
            f"except {POCKET_TTS}, whose licence has to be accepted",
        )
        parser.add_argument(
            "--accept-licence",
            action="append",
            default=[],
            choices=[POCKET_TTS],
            help="accept the licence of this model without being asked",
        )
        parser.add_argument("--models-dir", type=Path, default=None, help="folder of the models (default: MODELS_DIR)")
        parser.add_argument(
            "--if-used",
            action="store_true",
            help="download only what the engines in the settings need: at least the speaker encoder and the model of "
            "turn ends (21 MB)",
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        models = models_in_use() if options["if_used"] else all_models()
        optional = [model for model in OPTIONAL_MODELS if model.name in options["optional"]]
        models_dir = options["models_dir"] or settings.MODELS_DIR
        pocket_dir = models_dir / POCKET_TTS if options["models_dir"] else settings.POCKET_MODEL_DIR
        lacks_pocket = bool(pocket_bundle.missing(pocket_dir, settings.POCKET_BUNDLE))
        if POCKET_TTS in options["optional"] and lacks_pocket:
            self.require_licence(is_accepted=POCKET_TTS in options["accept_licence"])
        try:
            self.fetch_weights(models_dir, list(dict.fromkeys([*models, *optional])))
            if POCKET_TTS in options["optional"]:
                pocket_download.fetch(pocket_dir, settings.POCKET_BUNDLE, self.report)
            elif settings.TEXT_TO_SPEECH == POCKET and lacks_pocket:
                self.report(f"Pocket TTS is not installed. Run: manage.py fetch_models --with {POCKET_TTS}")
        except (weights.WeightsError, pocket_download.DownloadError) as error:
            raise CommandError(str(error)) from error

    def fetch_weights(self, models_dir: Path, models: list[Model]) -> None:
        """Download `models`. If that fails, the small language model can still answer until it succeeds."""
        try:
            weights.fetch(models_dir, models, self.report)
        except weights.WeightsError:
            if settings.LOCAL_CHAT_MODEL == AUTO and QWEN in models:
                weights.fetch(models_dir, [*(model for model in models if model is not QWEN), SMOLLM2], self.report)
                self.report("Until then, the small language model answers.")
            raise

    def require_licence(self, *, is_accepted: bool) -> None:
        """Show the licence of Pocket TTS, and let a person accept it. Raises CommandError."""
        self.report(str(LICENCE_NOTICE))
        if is_accepted:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"To accept this licence, add --accept-licence {POCKET_TTS}. Nothing was downloaded.")
        if input("Do you accept this? Type yes: ").strip().lower() != "yes":
            raise CommandError("The licence was not accepted. Nothing was downloaded.")

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # Otherwise a pipe buffers it until the end.


def all_models() -> list[Model]:
    """Return the default models, and those that the settings name for hearing and thinking."""
    named = local_models()
    return [*DEFAULT_MODELS, *named.to_fetch("hear"), *named.to_fetch("think")]
