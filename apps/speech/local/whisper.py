"""Speech to text on this machine: Whisper, run by CTranslate2.

Whisper was trained on subtitles and hears "Thank you." in silence. So only what a detector of speech lets through is
transcribed, and of that only what Whisper is not itself in doubt about.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import Recording, Transcript, TranscriptSegment
from apps.speech.local import samples
from apps.speech.local.config import LocalConfig
from apps.speech.local.samples import Samples
from apps.speech.local.worker import shared_worker

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment

SAMPLE_RATE = 16000
TEMPERATURES = (0.0, 0.4)
"""The second is for where the first goes round in circles. Whisper's own list of six takes minutes on noise."""
MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better than this repeats itself (Whisper's own limit)."""
MIN_LOG_PROBABILITY = -1.2
"""Mean per token. Clear speech lies above -0.5, mumbling above -1, inventions below."""
INEXACT_SECONDS = 0.5
"""How far Whisper's times may lie on the wrong side of a pause that it did not get."""


class LocalSpeechToText:
    """A SpeechToText on a faster-whisper folder."""

    name = "local"
    tells_times = True

    def __init__(self, config: LocalConfig) -> None:
        self._worker = shared_worker(load_whisper, config.whisper_dir, config.threads)

    async def preload(self) -> None:
        await self._worker.preload(stage="hear")

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        return await self._worker.run(lambda model: transcribe(model, recording, language), stage="hear")


def load_whisper(folder: Path, threads: int) -> WhisperModel:
    """Load the model in `folder`. Raises FileNotFoundError or ImportError where it is not installed."""
    from faster_whisper import WhisperModel

    # Without the tokenizer's file the library would look for it on the internet.
    for name in ("model.bin", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(folder / name)
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)


def transcribe(model: WhisperModel, recording: Recording, language: str) -> Transcript:
    """Return what is said in `recording`; `language` is a hint, and "" lets the model find out."""
    sound = samples.from_recording(recording, sample_rate=SAMPLE_RATE)
    spans = speech_spans(sound)
    if not spans:
        return Transcript("")
    heard, info = model.transcribe(
        np.concatenate([sound[span["start"] : span["end"]] for span in spans]),
        language=known_language(model, language),
        beam_size=1,
        temperature=TEMPERATURES,
        condition_on_previous_text=False,
    )
    segments = tuple(in_recording(segment, spans) for segment in heard if is_credible(segment))
    text = " ".join(segment.text for segment in segments).strip()
    return Transcript(text, info.language if text else "", segments)


def speech_spans(sound: Samples) -> list[dict[str, int]]:
    """Return where a voice activity detector finds speech, with a margin around it, as `start` and `end` samples."""
    from faster_whisper.vad import get_speech_timestamps

    return list(get_speech_timestamps(sound)) if sound.size else []


def in_recording(segment: Segment, spans: list[dict[str, int]]) -> TranscriptSegment:
    """Return `segment` with its times in the whole recording; the model got only the `spans` of it."""
    from faster_whisper.vad import SpeechTimestampsMap

    times = SpeechTimestampsMap(spans, SAMPLE_RATE)
    margin = min(INEXACT_SECONDS, (segment.end - segment.start) / 2)
    first, last = times.get_chunk_index(segment.start + margin), times.get_chunk_index(segment.end - margin)
    start = max(times.get_original_time(segment.start, first), spans[first]["start"] / SAMPLE_RATE)
    end = min(times.get_original_time(segment.end, last), spans[last]["end"] / SAMPLE_RATE)
    return TranscriptSegment(round(start, 2), round(end, 2), segment.text.strip())


def known_language(model: WhisperModel, language: str) -> str | None:
    """Return the language code that the model knows `language` by, or None: it will find out."""
    code = language.casefold().replace("_", "-").split("-")[0]
    return code if code in model.supported_languages else None


def is_credible(segment: Segment) -> bool:
    """Tell whether `segment` is what was said rather than Whisper's invention."""
    return bool(segment.compression_ratio <= MAX_COMPRESSION_RATIO and segment.avg_logprob >= MIN_LOG_PROBABILITY)
