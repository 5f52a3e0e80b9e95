"""`manage.py compare_speakers`: how similar the speakers of recordings are, beside the threshold in force."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.speech import registry
from apps.speech.base import AudioError, ProviderError
from apps.voices.samples import SAMPLE_RATE

if TYPE_CHECKING:
    from apps.speech.local.speaker import Embedding

MAX_SECONDS = 600


class Command(BaseCommand):
    help = (
        "Say how similar the speakers of recordings are, in percent, as consents and samples are compared. Each "
        "argument is one person: a file, or a folder of files. For one person it says the least similar two files, "
        "for two people the most similar ones; * is at the threshold SPEAKER_SIMILARITY or above."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("people", nargs="+", type=Path, metavar="PERSON", help="a recording, or a folder of them")

    def handle(self, *_args: Any, people: list[Path], **_options: Any) -> None:
        recordings = {path.stem: self._embeddings(path) for path in people}
        width = max(map(len, recordings)) + 2
        columns = [name[:9].rjust(10) for name in recordings]
        self.stdout.write(f"threshold: {settings.SPEAKER_SIMILARITY} %\n\n{'':{width}}{''.join(columns)}")
        for number, (name, mine) in enumerate(recordings.items()):
            cells = [self._cell(mine, theirs) for theirs in itertools.islice(recordings.values(), number)]
            cells.append(self._cell(mine, None))
            self.stdout.write(f"{name:{width}}{''.join(cells)}")

    def _embeddings(self, path: Path) -> Embedding:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        if not files:
            message = f"There is no recording in {path}."
            raise CommandError(message)
        return np.concatenate([self._who_speaks_in(file) for file in files])

    def _who_speaks_in(self, file: Path) -> Embedding:
        try:
            recording = registry.decode(file.read_bytes(), sample_rate=SAMPLE_RATE, max_seconds=MAX_SECONDS)
            return registry.call(lambda engines: engines.identify_speaker(recording))[:1]
        except OSError as error:
            message = f"{file} can not be read: {error.strerror}."
            raise CommandError(message) from error
        except (AudioError, ProviderError) as error:
            message = f"{file}: {error.message}"
            raise CommandError(message) from error

    @staticmethod
    def _cell(mine: Embedding, theirs: Embedding | None) -> str:
        """Return the least similarity of one person's recordings, or the greatest of two people's, in percent."""
        if theirs is None:
            own = (mine @ mine.T)[np.triu_indices(len(mine), 1)]
            return (f"{100 * own.min():.0f}" if own.size else "–").rjust(10)
        similarity = 100 * float((mine @ theirs.T).max())
        mark = "*" if similarity >= settings.SPEAKER_SIMILARITY else ""
        return f"{similarity:.0f}{mark}".rjust(10)
