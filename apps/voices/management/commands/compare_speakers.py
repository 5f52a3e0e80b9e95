"""`manage.py compare_speakers`: the similarity of the speakers of recordings, and the current threshold."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.speech import registry
from apps.speech.base import AudioError, ProviderError
from apps.voices.samples import SAMPLE_RATE

if TYPE_CHECKING:
    from apps.speech.local.identity import Voiceprint

MAX_SECONDS = 600
OPERATOR_PK = 0  # No user has this primary key.


class Command(BaseCommand):
    help = (
        "Print the similarity of the speakers of recordings, in percent, compared like consents and samples. Each "
        "argument is one person: a file, or a folder of files. For one person, it prints the lowest similarity of two "
        "files; for two people, the highest. A * marks values at or above the threshold SPEAKER_SIMILARITY."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("people", nargs="+", type=Path, metavar="PERSON", help="a recording, or a folder of them")

    def handle(self, *_args: Any, people: list[Path], **_options: Any) -> None:
        voiceprints = {path.stem: self._voiceprints(path) for path in people}
        width = max(map(len, voiceprints)) + 2
        columns = [name[:9].rjust(10) for name in voiceprints]
        self.stdout.write(f"threshold: {settings.SPEAKER_SIMILARITY} %\n\n{'':{width}}{''.join(columns)}")
        for number, (name, mine) in enumerate(voiceprints.items()):
            cells = [_highest_similarity(mine, theirs) for theirs in itertools.islice(voiceprints.values(), number)]
            self.stdout.write(f"{name:{width}}{''.join(cells)}{_lowest_similarity(mine)}")

    def _voiceprints(self, path: Path) -> list[Voiceprint]:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        if not files:
            message = f"There is no recording in {path}."
            raise CommandError(message)
        return [self._voiceprint(file) for file in files]

    def _voiceprint(self, file: Path) -> Voiceprint:
        try:
            recording = registry.decode(
                file.read_bytes(), sample_rate=SAMPLE_RATE, max_seconds=MAX_SECONDS, user_id=OPERATOR_PK
            )
            return registry.call(lambda engines: engines.identify_speaker(recording))
        except OSError as error:
            message = f"{file} cannot be read: {error.strerror}."
            raise CommandError(message) from error
        except (AudioError, ProviderError) as error:
            message = f"{file}: {error.message}"
            raise CommandError(message) from error


def _lowest_similarity(mine: list[Voiceprint]) -> str:
    """Return the lowest similarity between one person's recordings, in percent, as a column."""
    similarities = [one.similarity(other) for one, other in itertools.permutations(mine, 2)]
    return (f"{100 * min(similarities):.0f}" if similarities else "–").rjust(10)


def _highest_similarity(mine: list[Voiceprint], theirs: list[Voiceprint]) -> str:
    """Return the highest similarity between two people's recordings, in percent, as a column."""
    similarity = 100 * max(one.similarity(other) for one, other in itertools.product(mine, theirs))
    return f"{similarity:.0f}{'*' if similarity >= settings.SPEAKER_SIMILARITY else ''}".rjust(10)
