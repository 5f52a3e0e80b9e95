"""Local text to speech with Kokoro, and voice cloning by mixing Kokoro's stock voices.

A Kokoro voice is a table of style vectors, one for each length of a text in phonemes. A weighted mean of such tables is
also a voice, and its speaker embedding is close to the weighted mean of the embeddings of its parts. So a voice is
cloned with the weights for which the mean of the stock voices' embeddings is closest to the speaker's embedding.
"""

from __future__ import annotations

import asyncio
import io
import re
import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from apps.speech.audio.resampling import join, resample
from apps.speech.base import ProviderError, ProviderVoice, Recording, SpokenConsent, VoiceSettings
from apps.speech.local import samples, speaker, voice_speed
from apps.speech.local.config import LocalConfig
from apps.speech.local.onnx import open_session
from apps.speech.local.pieces import Pace, in_time
from apps.speech.local.processor import PROCESSOR
from apps.speech.local.speaker import Embedding
from apps.speech.local.worker import Listener, shared_worker

if TYPE_CHECKING:
    from kokoro_onnx import Kokoro

SAMPLE_RATE = 24000
PACE = Pace()
STOCK_EMBEDDINGS = Path(__file__).with_name("stock_voices.npz")
VOICE_ID = re.compile(r"local-[0-9a-f]{32}")

SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")
# In characters. Kokoro mumbles shorter texts, so they are spoken together with the next sentence.
MIN_SEGMENT_CHARACTERS = 15
# In characters. A segment is heard when all of it is synthesised, which can take as long as it lasts. So sentences of
# this length are divided into clauses.
LONG_SENTENCE_CHARACTERS, MIN_CLAUSE_CHARACTERS = 80, 30
CLAUSE_END = re.compile(rf"(?:(?<=[,;:—])\s+|(?<=[，、；：]))(?=.{{{MIN_CLAUSE_CHARACTERS}}})")
SENTENCE_PAUSE_SECONDS = 0.25
# Emphasis marks, which espeak-ng would read out as "asterisk".
EMPHASIS_MARKS = re.compile(r"[*_`]+")
# espeak-ng puts these among the phonemes if a word is in another language.
LANGUAGE_FLAG = re.compile(r"\([a-z]{2,3}(-[a-z]+)?\)")

MIX_STEPS = 2000
MIN_WEIGHT = 0.01

# Style vectors by number of phonemes, shape (510, 1, 256).
Voice = NDArray[np.float32]


class LocalTextToSpeech:
    """A TextToSpeech with the voices of LocalVoiceCloner."""

    sample_rate = SAMPLE_RATE

    def __init__(self, config: LocalConfig) -> None:
        self._config = config
        self._worker = shared_worker(load_kokoro, config.kokoro_path, config.stock_voices_path, config.threads)

    async def preload(self) -> None:
        await self._worker.preload(stage="speak")

    def speak(self, text: str, *, voice_id: str, settings: VoiceSettings, previous_text: str) -> AsyncGenerator[bytes]:
        playback = PROCESSOR.playback(text, voice_id=voice_id, previous_text=previous_text)

        def produce(kokoro: Kokoro, listener: Listener[bytes]) -> None:
            voice = load_voice(self._config.voices_dir, voice_id)
            for segment in in_time(split_into_segments(text), playback, PACE):
                if listener.is_closed:
                    return
                started = time.monotonic()
                if sound := synthesise(kokoro, segment, voice, settings.speed or 1.0, self._config.speech_language):
                    PACE.note(len(segment), time.monotonic() - started)
                    PROCESSOR.add_sound(playback, len(sound) / 2 / SAMPLE_RATE)
                    listener.send(sound)

        return PROCESSOR.speaking(self._worker.stream(produce, stage="speak"), playback)


class LocalVoiceCloner:
    """A VoiceCloner that stores each voice and its name in a file."""

    def __init__(self, config: LocalConfig) -> None:
        self._config = config

    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        recording = join([resample(sample, sample_rate=speaker.SAMPLE_RATE) for sample in samples])
        embedding = await speaker.embed(recording, self._config, stage="clone")
        voice_id = f"local-{uuid.uuid4().hex}"
        await asyncio.to_thread(self._save, voice_id, name, embedding)
        return voice_id

    async def delete(self, voice_id: str) -> None:
        if VOICE_ID.fullmatch(voice_id):
            await asyncio.to_thread(voice_path(self._config.voices_dir, voice_id).unlink, missing_ok=True)

    async def list(self) -> list[ProviderVoice]:
        return await asyncio.to_thread(lambda: list(saved_voices(self._config.voices_dir)))

    def _save(self, voice_id: str, name: str, embedding: Embedding) -> None:
        try:
            voice = mix_voice(self._config.stock_voices_path, embedding)
        except FileNotFoundError:
            raise ProviderError("models_missing", stage="clone", retryable=False) from None
        file = io.BytesIO()
        np.savez(file, name=np.array(name), voice=voice)
        path = voice_path(self._config.voices_dir, voice_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(file.getvalue())
        partial.replace(path)


def load_kokoro(model: Path, stock_voices: Path, threads: int) -> Kokoro:
    """Load the model and speak once: the first time is slower. Raises FileNotFoundError or ImportError."""
    from kokoro_onnx import Kokoro

    kokoro: Kokoro = Kokoro.from_session(open_session(model, threads), str(stock_voices))
    voice_speed.measure(kokoro, model)
    return kokoro


def split_into_segments(text: str) -> Iterator[str]:
    """Split `text` into sentences, and long ones into clauses: playback starts while later segments are synthesised."""
    for sentence in _join_short(SENTENCE_END.split(EMPHASIS_MARKS.sub(" ", text)), MIN_SEGMENT_CHARACTERS):
        if len(sentence) < LONG_SENTENCE_CHARACTERS:
            yield sentence
        else:
            yield from _join_short(CLAUSE_END.split(sentence), MIN_CLAUSE_CHARACTERS)


def _join_short(parts: Iterable[str], min_characters: int) -> Iterator[str]:
    """Yield `parts`, and join those shorter than `min_characters` with the parts after them."""
    joined = ""
    for part in parts:
        joined = f"{joined} {part}".strip()
        if len(joined) >= min_characters:
            yield joined
            joined = ""
    if joined:
        yield joined


def synthesise(kokoro: Kokoro, text: str, voice: Voice, speed: float, language: str) -> bytes:
    """Return the speech of `text` as s16le PCM at 24 kHz; empty if `text` contains no words.

    A short pause follows a sentence or clause that ends with a punctuation mark. Elsewhere it would sound like a
    stumble.
    """
    phonemes = LANGUAGE_FLAG.sub("", kokoro.tokenizer.phonemize(text, language))
    if not any(character.isalpha() for character in phonemes):
        return b""
    sound, _ = kokoro.create(phonemes, voice, speed=speed, is_phonemes=True)
    pause = 0.0 if text[-1:].isalnum() else SENTENCE_PAUSE_SECONDS
    return samples.to_pcm(sound) + bytes(2 * round(pause * SAMPLE_RATE))


def load_voice(voices_dir: Path, voice_id: str) -> Voice:
    """Return a saved voice. Raises ProviderError provider_voice_missing."""
    try:
        if not VOICE_ID.fullmatch(voice_id):
            raise FileNotFoundError(voice_id)
        with np.load(voice_path(voices_dir, voice_id)) as file:
            voice: Voice = file["voice"]
            return voice
    except FileNotFoundError:
        raise ProviderError("provider_voice_missing", stage="speak", retryable=False) from None


def voice_path(voices_dir: Path, voice_id: str) -> Path:
    return voices_dir / f"{voice_id}.npz"


def saved_voices(voices_dir: Path) -> Iterator[ProviderVoice]:
    for path in sorted(voices_dir.glob("local-*.npz")):
        with np.load(path) as file:
            yield ProviderVoice(path.stem, str(file["name"]))


def mix_voice(stock_voices: Path, embedding: Embedding) -> Voice:
    """Return the mix of the voices in the file `stock_voices` that is closest to `embedding`."""
    with np.load(STOCK_EMBEDDINGS) as file:
        names, embeddings = file["names"], file["embeddings"].astype(np.float32)
    weights = mixing_weights(embeddings, embedding)
    with np.load(stock_voices) as voices:
        mixed = sum(weight * voices[name] for name, weight in zip(names, weights, strict=True) if weight)
    return np.asarray(mixed, np.float32)


def mixing_weights(embeddings: Embedding, target: Embedding) -> NDArray[np.float32]:
    """Return the non-negative weights whose mix of the rows of `embeddings` is closest to `target`.

    Their sum is scaled to 1. Projected gradient descent on the squared distance, after which most weights are 0.
    """
    products = embeddings @ embeddings.T
    aim = embeddings @ target
    step = 1 / np.linalg.eigvalsh(products)[-1]
    weights = np.full(len(embeddings), 1 / len(embeddings), np.float32)
    for _ in range(MIX_STEPS):
        weights = np.maximum(0, weights - step * (products @ weights - aim))
    weights[weights < MIN_WEIGHT] = 0
    scaled: NDArray[np.float32] = weights / weights.sum()
    return scaled
