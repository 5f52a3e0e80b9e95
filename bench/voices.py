"""Measure how much the embedded voices resemble their speakers, part by part.

    python -m bench.voices PERSON... [--models DIR] [--second-encoder PATH]

Each PERSON is a recording, or a folder of recordings, of one speaker. The first half is the sample that the voice is
fitted to, and the voices are compared with the second half. They say sentences that nothing was fitted with. Whisper
transcribes them.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import jiwer
import numpy as np

from apps.speech.audio.decoding import decode
from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from apps.speech.local import kokoro, samples, speaker, voice_fit, whisper
from apps.speech.local.config import LocalConfig
from apps.speech.local.voice_files import LocalVoice
from apps.speech.onnx import open_session
from apps.speech.voice_folder import VoiceFolder
from bench.second_encoder import SecondEncoder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from apps.speech.local.samples import Samples

SENTENCES = (
    "I could come by on Thursday if that suits you, or we can just talk on the phone.",
    "The museum keeps a small collection of maps, and some of them are very old.",
    "Honestly, I never thought that such a simple recipe would take me the whole afternoon.",
)
MAX_SECONDS = 600
THREADS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """The similarities with the two encoders, the wrong words of all words, and the seconds for making the voice."""

    similarity: float
    second_similarity: float
    word_error: float
    seconds: float


class Laboratory:
    def __init__(self, models_dir: Path, second_encoder: Path | None) -> None:
        config = LocalConfig(models_dir, voices_dir=VoiceFolder(models_dir))
        self._stock_styles = config.stock_voices_path
        self._kokoro = kokoro.load_kokoro(config.kokoro_path, config.stock_voices_path, THREADS)
        self._encoder: InferenceSession = open_session(config.speaker_encoder_path, THREADS)
        self._whisper = whisper.load_whisper(config.whisper_dir, THREADS)
        self._second_encoder = SecondEncoder(second_encoder) if second_encoder else None

    def measure(self, person: Path) -> dict[str, Result]:
        """Return the result of each kind of voice for one speaker."""
        sample, rest = _halves(_recordings(person))
        return {kind: self._result(voice, seconds, rest) for kind, voice, seconds in self._voices(sample)}

    def _voices(self, sample: Recording) -> Iterator[tuple[str, LocalVoice, float]]:
        started = time.perf_counter()
        embedding = speaker.embed_now(self._encoder, sample, "clone")
        sound = samples.from_recording(sample, sample_rate=speaker.SAMPLE_RATE)
        fitted = voice_fit.fit_voice(self._stock_styles, embedding, sound)
        seconds = time.perf_counter() - started
        stock = voice_fit.measured_stock_voices()
        nearest = stock.names[np.argmax(stock.embeddings @ embedding)]
        yield "nearest stock voice", LocalVoice(self._kokoro.get_voice_style(str(nearest))), 0.0
        yield "mix", LocalVoice(fitted.styles), seconds
        yield "mix + pitch", replace(fitted, response=None), seconds
        yield "mix + filter", replace(fitted, pitch_scale=1.0), seconds
        yield "mix + pitch + filter", fitted, seconds

    def _result(self, voice: LocalVoice, seconds: float, person: Recording) -> Result:
        spoken = [
            Recording(kokoro.synthesise(self._kokoro, sentence, voice, 1.0, "en"), voice_fit.SAMPLE_RATE)
            for sentence in SENTENCES
        ]
        heard = " ".join(whisper.transcribe(self._whisper, recording, "en").text for recording in spoken)
        one, other = (samples.from_recording(each, sample_rate=speaker.SAMPLE_RATE) for each in (join(spoken), person))
        return Result(
            speaker.similarity(
                speaker.embed_now(self._encoder, join(spoken), "clone"),
                speaker.embed_now(self._encoder, person, "clone"),
            ),
            self._second_similarity(one, other),
            jiwer.wer(_words(" ".join(SENTENCES)), _words(heard)),
            seconds,
        )

    def _second_similarity(self, one: Samples, other: Samples) -> float:
        if self._second_encoder is None:
            return float("nan")
        return speaker.similarity(self._second_encoder.embed(one), self._second_encoder.embed(other))


def _recordings(person: Path) -> list[Recording]:
    files = sorted(file for file in person.rglob("*") if file.is_file()) if person.is_dir() else [person]
    return [decode(file.read_bytes(), sample_rate=speaker.SAMPLE_RATE, max_seconds=MAX_SECONDS) for file in files]


def _halves(recordings: list[Recording]) -> tuple[Recording, Recording]:
    """Return the first and the second half of the recordings; of a single recording, its halves."""
    if len(recordings) == 1:
        (recording,) = recordings
        middle = len(recording.pcm) // 4 * 2
        return replace(recording, pcm=recording.pcm[:middle]), replace(recording, pcm=recording.pcm[middle:])
    middle = (len(recordings) + 1) // 2
    return join(recordings[:middle]), join(recordings[middle:])


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def _table(results: list[dict[str, Result]]) -> str:
    lines = ["| voice | similarity | second encoder | word error | seconds |", "|---|---|---|---|---|"]
    for kind in results[0]:
        of_kind = [result[kind] for result in results]
        one, other, errors, seconds = (
            mean(getattr(result, field) for result in of_kind)
            for field in ("similarity", "second_similarity", "word_error", "seconds")
        )
        lines.append(f"| {kind} | {one:.3f} | {other:.3f} | {100 * errors:.1f} % | {seconds:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.voices", description=__doc__)
    parser.add_argument("people", nargs="+", type=Path, metavar="PERSON", help="a recording, or a folder of them")
    parser.add_argument("--models", type=Path, default=Path("~/.cache/voiceclone/models").expanduser())
    parser.add_argument("--second-encoder", type=Path, help="Resemblyzer's pretrained.pt")
    options = parser.parse_args()
    laboratory = Laboratory(options.models, options.second_encoder)
    results = []
    for person in options.people:
        results.append(laboratory.measure(person))
        sys.stdout.write(f"{person.stem}\n{_table(results[-1:])}\n\n")
        sys.stdout.flush()
    sys.stdout.write(f"mean of {len(results)} speakers\n{_table(results)}\n")


if __name__ == "__main__":
    main()
