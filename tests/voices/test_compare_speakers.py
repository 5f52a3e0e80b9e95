"""`manage.py compare_speakers` shows operators the effect of the threshold on their own recordings."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from tests.audio_samples import SPEECH_DIR, clip, to_wav

if TYPE_CHECKING:
    from pathlib import Path


def compare(*people: Path) -> list[str]:
    output = io.StringIO()
    call_command("compare_speakers", *map(str, people), stdout=output)
    return output.getvalue().splitlines()


@pytest.mark.usefixtures("speaker_encoder")
def test_it_compares_people_with_each_other_and_with_themselves(tmp_path: Path) -> None:
    reader = tmp_path / "reader"
    reader.mkdir()
    for name in ("austen-0870.wav", "austen-0890.wav"):
        (reader / name).write_bytes(to_wav(clip(name)))
    threshold, _, head, first, second = compare(reader, SPEECH_DIR / "cards.flac")
    assert threshold == "threshold: 80 %"
    assert head.split() == ["reader", "cards"]
    assert first.split()[0] == "reader"
    assert int(first.split()[1]) >= 80
    name, likeness, alone = second.split()
    assert (name, alone) == ("cards", "–")
    assert int(likeness) < 80


@pytest.mark.parametrize(("content", "reason"), [(b"text", "text.wav: "), (None, "cannot be read")])
def test_it_names_an_unusable_file(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "text.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=reason):
        compare(path)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no recording"):
        compare(tmp_path)
