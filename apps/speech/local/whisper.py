"""Local speech to text: Whisper, run by CTranslate2.

Whisper was trained on subtitles and transcribes silence as "Thank you." So only the spans that a voice activity
detector finds are transcribed, and segments with a low probability are dropped.

Whisper was trained on windows of 30 seconds, and faster-whisper encodes that much for every question, twice if it has
to detect the language. A question takes a few seconds, and its encoding costs time in proportion. So a question is
encoded once with just enough silence behind it. If the result is doubtful, it is transcribed again in a full window.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apps.speech.base import Recording, Transcript, TranscriptSegment
from apps.speech.local import samples
from apps.speech.local.config import LocalConfig
from apps.speech.local.processor import PROCESSOR
from apps.speech.local.samples import Samples
from apps.speech.local.worker import shared_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctranslate2 import StorageView
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import Segment

SAMPLE_RATE = 16000
# Behind the speech in a short window. With less than two seconds, Whisper repeats itself.
SILENCE_SECONDS = 3
# With the silence, longer speech nearly fills the full window.
MAX_SHORT_SECONDS = 26
# A limit for a model that repeats itself. Some languages need ten tokens for a second of speech.
MAX_TOKENS, MAX_TOKENS_PER_SECOND = 32, 14
# In a short window, text with a lower probability than this is doubtful, and so is a language.
MIN_SURE_LOG_PROBABILITY, MIN_SURE_LANGUAGE = -0.8, 0.5
# The detector keeps up to two seconds of silence at the end. Behind the last words, more would be lost words.
MAX_UNHEARD_SECONDS = 3
SECONDS_PER_TIMESTAMP = 0.02
# In timestamps: the first words begin within a second.
LATEST_START = 50
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
        return await self.transcribe_with_times(recording, language=language, words=False)

    async def transcribe_with_times(self, recording: Recording, *, language: str, words: bool) -> Transcript:
        with PROCESSOR.needed():
            return await self._worker.run(
                lambda model: transcribe(model, recording, language, words=words), stage="hear"
            )


class Heard(NamedTuple):
    """What Whisper heard in speech without its pauses. All times count from the start of that speech."""

    segments: list[TranscriptSegment]
    language: str
    words: Sequence[TranscriptSegment] = ()


def load_whisper(folder: Path, threads: int) -> WhisperModel:
    """Load the model in `folder` and use it once, because the first use is slower.

    Raises FileNotFoundError or ImportError if it is not installed.
    """
    from faster_whisper import WhisperModel

    # The library would download a missing tokenizer from the internet.
    for name in ("model.bin", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(folder / name)
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
    silence = np.zeros(SAMPLE_RATE, np.float32)
    speech_spans(silence)
    hear_in_short_window(model, silence, None)
    return model


def transcribe(model: WhisperModel, recording: Recording, language: str, *, words: bool = False) -> Transcript:
    """Return the transcript of `recording`. `language` is a hint; with "" the model detects it.

    With `words`, the words have times, too. That takes full windows, and longer.
    """
    sound = samples.from_recording(recording, sample_rate=SAMPLE_RATE)
    spans = speech_spans(sound)
    if not spans:
        return Transcript("")
    speech = np.concatenate([sound[span["start"] : span["end"]] for span in spans])
    code = known_language(model, language)
    heard = None if words else hear_in_short_window(model, speech, code)
    heard = heard or hear_in_full_windows(model, speech, code, words=words)
    segments, timed_words = (
        tuple(with_recording_times(part, spans) for part in parts) for parts in (heard.segments, heard.words)
    )
    text = " ".join(segment.text for segment in segments).strip()
    return Transcript(text, heard.language if text else "", segments, timed_words)


def hear_in_full_windows(model: WhisperModel, speech: Samples, language: str | None, *, words: bool = False) -> Heard:
    """Transcribe `speech` of any length in windows of 30 seconds, with the times of its words if `words` is set."""
    found, info = model.transcribe(
        speech,
        language=language,
        beam_size=1,
        temperature=TEMPERATURES,
        condition_on_previous_text=False,
        word_timestamps=words,
    )
    credible = [segment for segment in found if is_credible(segment)]
    timed_words = [
        TranscriptSegment(word.start, word.end, word.word.strip()) for each in credible for word in each.words or ()
    ]
    return Heard([_with_details(segment) for segment in credible], info.language, timed_words)


def _with_details(segment: Segment) -> TranscriptSegment:
    return TranscriptSegment(
        segment.start,
        segment.end,
        segment.text.strip(),
        tokens=tuple(segment.tokens),
        avg_logprob=segment.avg_logprob,
        no_speech_prob=segment.no_speech_prob,
        temperature=segment.temperature or 0.0,
    )


def hear_in_short_window(model: WhisperModel, speech: Samples, language: str | None) -> Heard | None:
    """Transcribe `speech` in one window of its length. Return None if it is too long, or if the result is doubtful."""
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

    seconds = len(speech) / SAMPLE_RATE
    if seconds > MAX_SHORT_SECONDS:
        return None
    window = np.pad(speech, (0, round(SILENCE_SECONDS * SAMPLE_RATE)))
    encoded = model.encode(model.feature_extractor(window))
    language = language or detected_language(model, encoded)
    if language is None:
        return None
    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)
    limit = MAX_TOKENS + round(MAX_TOKENS_PER_SECOND * seconds)
    (result,) = model.model.generate(
        encoded,
        [tokenizer.sot_sequence],
        beam_size=1,
        max_length=min(limit, model.max_length),
        return_scores=True,
        return_no_speech_prob=True,
        suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
        max_initial_timestamp_index=LATEST_START,
    )
    tokens = result.sequences_ids[0]
    if result.scores[0] < MIN_SURE_LOG_PROBABILITY:
        return None
    if get_compression_ratio(tokenizer.decode(tokens).strip()) > MAX_COMPRESSION_RATIO:
        return None
    segments = timed_segments(tokenizer, tokens)
    if not segments or not segments[-1].start < seconds < segments[-1].end + MAX_UNHEARD_SECONDS:
        return None
    probabilities = {"avg_logprob": result.scores[0], "no_speech_prob": result.no_speech_prob}
    return Heard([replace(segment, **probabilities) for segment in segments], language)


def detected_language(model: WhisperModel, encoded: StorageView) -> str | None:
    """Return the code of the language in the encoder's output `encoded`, or None if that is doubtful."""
    if not model.model.is_multilingual:
        return "en"
    token, probability = model.model.detect_language(encoded)[0][0]
    return token[2:-2] if probability >= MIN_SURE_LANGUAGE else None  # The token is "<|en|>".


def timed_segments(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[TranscriptSegment]:
    """Return the segments in `tokens`, each between two timestamps; none if the text does not end with a timestamp."""
    segments: list[TranscriptSegment] = []
    start, words = 0.0, []
    for token in tokens:
        if token < tokenizer.timestamp_begin:
            words.append(token)
            continue
        time = (token - tokenizer.timestamp_begin) * SECONDS_PER_TIMESTAMP
        if words:
            segments.append(TranscriptSegment(start, time, tokenizer.decode(words).strip(), tokens=tuple(words)))
        start, words = time, []
    return [] if words else segments


def speech_spans(sound: Samples) -> list[dict[str, int]]:
    """Return the spans of speech, with a margin, that a voice activity detector finds: `start` and `end` in samples."""
    from faster_whisper.vad import get_speech_timestamps

    return list(get_speech_timestamps(sound)) if sound.size else []


def with_recording_times(segment: TranscriptSegment, spans: list[dict[str, int]]) -> TranscriptSegment:
    """Return `segment` with its times in the whole recording, of which the model got only the `spans`."""
    from faster_whisper.vad import SpeechTimestampsMap

    times = SpeechTimestampsMap(spans, SAMPLE_RATE)
    margin = min(TIME_TOLERANCE_SECONDS, (segment.end - segment.start) / 2)
    first, last = times.get_chunk_index(segment.start + margin), times.get_chunk_index(segment.end - margin)
    start = max(times.get_original_time(segment.start, first), spans[first]["start"] / SAMPLE_RATE)
    end = min(times.get_original_time(segment.end, last), spans[last]["end"] / SAMPLE_RATE)
    return replace(segment, start=round(start, 2), end=round(end, 2))


def known_language(model: WhisperModel, language: str) -> str | None:
    """Return the model's code for `language`, or None if the model has to detect it."""
    code = language.casefold().replace("_", "-").split("-")[0]
    return code if code in model.supported_languages else None


def is_credible(segment: Segment) -> bool:
    """Tell whether `segment` is speech rather than a hallucination of Whisper."""
    return bool(segment.compression_ratio <= MAX_COMPRESSION_RATIO and segment.avg_logprob >= MIN_LOG_PROBABILITY)
