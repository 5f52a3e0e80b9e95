"""Local text to speech with Kokoro, and voice cloning by mixing Kokoro's stock voices (`voice_fit`)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from apps.speech.audio.resampling import join, resample
from apps.speech.base import LOCAL, ProviderError, ProviderVoice, Recording, SpokenConsent, VoiceSettings
from apps.speech.local import pitch_control, samples, speaker, spectrum, voice_files, voice_speed
from apps.speech.local.config import LocalConfig
from apps.speech.local.phonemes import to_phonemes
from apps.speech.local.pieces import Pace, in_time
from apps.speech.local.processor import PROCESSOR
from apps.speech.local.speaker import Embedding
from apps.speech.local.voice_files import LocalVoice
from apps.speech.local.voice_fit import SAMPLE_RATE, fit_voice
from apps.speech.local.worker import Listener, shared_worker
from apps.speech.onnx import open_session
from apps.speech.spoken_language import detect_language

if TYPE_CHECKING:
    from kokoro_onnx import Kokoro
    from onnxruntime import InferenceSession

PACE = Pace()
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？।])|\n+")
# In characters. Kokoro mumbles shorter texts, so they are spoken together with the next sentence.
MIN_SEGMENT_CHARACTERS = 15
# In characters. A segment is heard when all of it is synthesised, which can take as long as it lasts. So sentences of
# this length are divided into clauses.
LONG_SENTENCE_CHARACTERS, MIN_CLAUSE_CHARACTERS = 80, 30
CLAUSE_END = re.compile(rf"(?:(?<=[,;:—])\s+|(?<=[，、；：]))(?=.{{{MIN_CLAUSE_CHARACTERS}}})")
SENTENCE_PAUSE_SECONDS = 0.25
# Emphasis marks, which espeak-ng would read out as "asterisk".
EMPHASIS_MARKS = re.compile(r"[*_`]+")


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
            voice = voice_files.load_voice(self._config.voices_dir, voice_id)
            said = previous_text
            PROCESSOR.wait_until_still(playback)
            for segment in in_time(split_into_segments(text), playback, PACE):
                if listener.is_closed:
                    return
                language = detect_language(segment, said)
                started = time.monotonic()
                if sound := synthesise(kokoro, segment, voice, settings.speed or 1.0, language):
                    PACE.note(segment, time.monotonic() - started)
                    PROCESSOR.add_sound(playback, len(sound) / 2 / SAMPLE_RATE)
                    listener.send(sound)
                said = f"{said} {segment}"

        return PROCESSOR.speaking(self._worker.stream(produce, stage="speak"), playback)


class LocalVoiceCloner:
    """A VoiceCloner that stores each voice and its name in a file."""

    def __init__(self, config: LocalConfig) -> None:
        self._config = config

    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        recording = join([resample(sample, sample_rate=speaker.SAMPLE_RATE) for sample in samples])
        embedding = await speaker.embed(recording, self._config, stage="clone")
        voice_id = voice_files.new_voice_id(LOCAL)
        await asyncio.to_thread(self._save, voice_id, name, recording, embedding)
        return voice_id

    async def delete(self, voice_id: str) -> None:
        await asyncio.to_thread(voice_files.delete_voice, self._config.voices_dir, voice_id, engine=LOCAL)

    async def list(self) -> list[ProviderVoice]:
        return await asyncio.to_thread(lambda: list(voice_files.saved_voices(self._config.voices_dir, engine=LOCAL)))

    def _save(self, voice_id: str, name: str, recording: Recording, embedding: Embedding) -> None:
        sound = samples.from_recording(recording, sample_rate=speaker.SAMPLE_RATE)
        try:
            voice = fit_voice(self._config.stock_voices_path, embedding, sound)
        except FileNotFoundError:
            raise ProviderError("models_missing", stage="clone", retryable=False) from None
        voice_files.save_voice(self._config.voices_dir, voice_id, name, voice)


class PitchedNetwork:
    """Kokoro's network for kokoro-onnx, which knows no pitch: set it before each call."""

    pitch_scale = 1.0

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads, change=pitch_control.add_pitch_control)
        self._model_path = str(path)  # kokoro-onnx looks whether the file exists.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: None, inputs: dict[str, Any]) -> Any:
        scale = np.array([self.pitch_scale], np.float32)
        return self._session.run(outputs, inputs | {pitch_control.SCALE: scale})


def load_kokoro(model: Path, stock_voices: Path, threads: int) -> Kokoro:
    """Load the model and speak once: the first time is slower. Raises FileNotFoundError or ImportError."""
    from kokoro_onnx import Kokoro

    kokoro: Kokoro = Kokoro.from_session(cast("InferenceSession", PitchedNetwork(model, threads)), str(stock_voices))
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


def synthesise(kokoro: Kokoro, text: str, voice: LocalVoice, speed: float, language: str) -> bytes:
    """Return the speech of `text` as s16le PCM at 24 kHz; empty if `text` contains no words.

    A short pause follows a sentence or clause that ends with a punctuation mark. Elsewhere it would sound like a
    stumble.
    """
    phonemes = to_phonemes(text, language)
    if not any(character.isalpha() for character in phonemes):
        return b""
    cast("PitchedNetwork", kokoro.sess).pitch_scale = voice.pitch_scale
    sound, _ = kokoro.create(phonemes, voice.styles, speed=speed, is_phonemes=True)
    if voice.response is not None:
        sound = spectrum.apply_filter(sound, voice.response)
    pause = 0.0 if text[-1:].isalnum() else SENTENCE_PAUSE_SECONDS
    return samples.to_pcm(sound) + bytes(2 * round(pause * SAMPLE_RATE))
