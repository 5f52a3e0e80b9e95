"""Local speech to text: Whisper, run by CTranslate2.

Whisper was trained on subtitles and transcribes silence as "Thank you." So only the spans that a voice activity
detector finds are transcribed, and segments with a low probability are dropped.
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
# The second is used if the first repeats itself. Whisper's default list of six takes minutes on noise.
TEMPERATURES = (0.0, 0.4)
# Text with a higher ratio repeats itself (Whisper's own limit).
MAX_COMPRESSION_RATIO = 2.4
# Mean per token. Clear speech is above -0.5, mumbling above -1, hallucinations are below.
MIN_LOG_PROBABILITY = -1.2
# Whisper does not get the pauses, so its times may be this far on the wrong side of one.
TIME_TOLERANCE_SECONDS = 0.5


class LocalSpeechToText:
    """A SpeechToText that runs a faster-whisper folder."""

    name = "local"
    supports_timestamps = True

    def __init__(self, config: LocalConfig) -> None:
        self._worker = shared_worker(load_whisper, config.whisper_dir, config.threads)

    async def preload(self) -> None:
        await self._worker.preload(stage="hear")

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        return await self._worker.run(lambda model: transcribe(model, recording, language), stage="hear")


def load_whisper(folder: Path, threads: int) -> WhisperModel:
    """Load the model in `folder`. Raises FileNotFoundError or ImportError if it is not installed."""
    from faster_whisper import WhisperModel

    # The library would download a missing tokenizer from the internet.
    for name in ("model.bin", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(folder / name)
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)


def transcribe(model: WhisperModel, recording: Recording, language: str) -> Transcript:
    """Return the transcript of `recording`. `language` is a hint; with "" the model detects it."""
    sound = samples.from_recording(recording, sample_rate=SAMPLE_RATE)
    spans = speech_spans(sound)
    if not spans:
        return Transcript("")
    found, info = model.transcribe(
        np.concatenate([sound[span["start"] : span["end"]] for span in spans]),
        language=known_language(model, language),
        beam_size=1,
        temperature=TEMPERATURES,
        condition_on_previous_text=False,
    )
    segments = tuple(with_recording_times(segment, spans) for segment in found if is_credible(segment))
    text = " ".join(segment.text for segment in segments).strip()
    return Transcript(text, info.language if text else "", segments)


def speech_spans(sound: Samples) -> list[dict[str, int]]:
    """Return the spans of speech, with a margin, that a voice activity detector finds: `start` and `end` in samples."""
    from faster_whisper.vad import get_speech_timestamps

    return list(get_speech_timestamps(sound)) if sound.size else []


def with_recording_times(segment: Segment, spans: list[dict[str, int]]) -> TranscriptSegment:
    """Return `segment` with its times in the whole recording, of which the model got only the `spans`."""
    from faster_whisper.vad import SpeechTimestampsMap

    times = SpeechTimestampsMap(spans, SAMPLE_RATE)
    margin = min(TIME_TOLERANCE_SECONDS, (segment.end - segment.start) / 2)
    first, last = times.get_chunk_index(segment.start + margin), times.get_chunk_index(segment.end - margin)
    start = max(times.get_original_time(segment.start, first), spans[first]["start"] / SAMPLE_RATE)
    end = min(times.get_original_time(segment.end, last), spans[last]["end"] / SAMPLE_RATE)
    return TranscriptSegment(round(start, 2), round(end, 2), segment.text.strip())


def known_language(model: WhisperModel, language: str) -> str | None:
    """Return the model's code for `language`, or None if the model has to detect it."""
    code = language.casefold().replace("_", "-").split("-")[0]
    return code if code in model.supported_languages else None


def is_credible(segment: Segment) -> bool:
    """Tell whether `segment` is speech rather than a hallucination of Whisper."""
    return bool(segment.compression_ratio <= MAX_COMPRESSION_RATIO and segment.avg_logprob >= MIN_LOG_PROBABILITY)
