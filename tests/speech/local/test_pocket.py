"""Pocket TTS: the real runtime with the stand-in for its files."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from apps.speech.base import ProviderError, ProviderVoice, Recording, VoiceSettings
from apps.speech.local import pocket
from apps.speech.local.pocket import PocketTextToSpeech, PocketVoiceCloner
from apps.speech.local.pocket_bundle import OFFICIAL, PocketConfig
from apps.speech.local.pocket_report import report
from apps.speech.local.pocket_text import MAX_SEGMENT_BYTES, speakable_segments
from apps.speech.local.processor import PROCESSOR
from apps.speech.voice_folder import VoiceFolder
from tests.audio_samples import clip, silence
from tests.pocket import ENDLESS, NOT_A_NUMBER, STAND_IN_DIR, bundle_of, pitch_of, tone

TEXT = "The first bus leaves at seven."
ENDLESS_SENTENCES = 10_000  # They would take minutes.


@pytest.fixture
def config(tmp_path: Path) -> PocketConfig:
    return PocketConfig(STAND_IN_DIR, VoiceFolder(tmp_path / "voices"), bundle_of(STAND_IN_DIR))


def create(config: PocketConfig, *recordings: Recording, name: str = "Jane") -> str:
    return asyncio.run(PocketVoiceCloner(config).create(name, recordings))


def speak(config: PocketConfig, text: str, voice_id: str) -> list[Recording]:
    engine = PocketTextToSpeech(config)

    async def run() -> list[Recording]:
        chunks = engine.speak(text, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
        return [Recording(chunk, engine.sample_rate) async for chunk in chunks]

    return asyncio.run(run())


def error_of(call: pytest.ExceptionInfo[ProviderError]) -> tuple[str, str]:
    return call.value.code, call.value.stage


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100])
def test_a_voice_sounds_like_its_recording(config: PocketConfig, sample_rate: int) -> None:
    low = create(config, tone(220, sample_rate=sample_rate))
    high = create(config, tone(330, sample_rate=sample_rate))
    for voice_id, pitch in ((low, 220), (high, 330)):
        (sound,) = speak(config, TEXT, voice_id)
        assert 1 < sound.seconds < 5
        assert pitch_of(sound) == pytest.approx(pitch, abs=2)


def test_a_text_sounds_the_same_each_time(config: PocketConfig) -> None:
    voice_id = create(config, clip("austen-0870.wav"))
    assert speak(config, TEXT, voice_id) == speak(config, TEXT, voice_id)


def test_its_sound_counts_as_what_is_left_to_play(config: PocketConfig) -> None:
    voice_id = create(config, tone(220))
    sounds = speak(config, TEXT, voice_id)
    left = PROCESSOR.playback("More.", voice_id=voice_id, previous_text=TEXT).seconds_left()
    assert left is not None
    assert 0 < left <= sum(sound.seconds for sound in sounds)


def test_it_speaks_sentence_by_sentence(config: PocketConfig) -> None:
    voice_id = create(config, tone(220))
    assert len(speak(config, f"{TEXT} {TEXT} {TEXT}", voice_id)) == 3


def test_long_texts_without_marks_are_divided_at_words() -> None:
    segments = list(speakable_segments("word " * 100 + "x" * 450))
    assert [len(segment) for segment in segments] == [199, 199, 99, 200, 200, 50]
    assert " ".join(segments[:3]) == ("word " * 100).strip()


def test_no_letter_is_divided() -> None:
    segments = list(speakable_segments("é" * 300 + "🙂x" * 100))
    assert "".join(segments) == "é" * 300 + "🙂x" * 100
    assert max(len(segment.encode()) for segment in segments) <= MAX_SEGMENT_BYTES


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("That is 3.50 in all.", "That is 3 point 50 in all."),
        ("It is version 2.0.1.", "It is version 2 point 0 point 1."),
        ("Write to example.org today.", "Write to example dot org today."),
        ("Come at 8 a.m. tomorrow, i.e. early.", "Come at 8 a m tomorrow, i e early."),
        ("She comes from the U.S.", "She comes from the U S."),
        ("Well... what now?!", "Well. what now?"),
        ("Yes. No. Perhaps.", "Yes. No. Perhaps."),
    ],
)
def test_the_runtime_finds_no_mark_inside_a_word(config: PocketConfig, text: str, spoken: str) -> None:
    assert list(speakable_segments(text)) == [spoken]
    model = pocket.load_pocket(config.model_dir, config.bundle, threads=1)
    reference = pocket.load_reference(config.voices_dir, create(config, tone(220)))
    # The stand-in speaks one frame for each token, and the runtime would add spaces.
    with_letters = spoken.replace(".", "x").replace("?", "x")
    frames = [pocket.generate(model, each, reference, seed=1).size for each in (spoken, with_letters)]
    assert frames[0] == frames[1]


@pytest.mark.parametrize("text", ["", " \n ", "...", "**", "—", "🙂"])
def test_text_without_words_gives_no_sound(config: PocketConfig, text: str) -> None:
    assert speak(config, text, create(config, tone(220))) == []


def test_it_stops_when_nobody_listens(config: PocketConfig) -> None:
    engine, voice_id = PocketTextToSpeech(config), create(config, tone(220))
    text = "This goes on for a while. " * ENDLESS_SENTENCES

    async def run() -> None:
        chunks = engine.speak(text, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
        await anext(chunks)
        await chunks.aclose()
        await engine.preload()  # Waits until the model is idle.

    asyncio.run(asyncio.wait_for(run(), timeout=20))


def test_it_stops_in_the_middle_of_a_sentence(config: PocketConfig) -> None:
    model = pocket.load_pocket(config.model_dir, config.bundle, threads=1)
    reference = pocket.load_reference(config.voices_dir, create(config, tone(220)))
    text = "This sentence is so long that it comes in several chunks of sound."
    whole = pocket.generate(model, text, reference, seed=1)
    part = pocket.synthesise(model, text, reference, lambda: True)
    assert 0 < part.size < whole.size / 2


class TestUnusableSound:
    """The model may go on after the end of the text, or return no numbers."""

    def test_a_speech_without_end_is_not_heard(self, config: PocketConfig, caplog: pytest.LogCaptureFixture) -> None:
        voice_id = create(config, tone(220))
        with pytest.raises(ProviderError) as raised:
            speak(config, f"Hello {ENDLESS}", voice_id)
        assert error_of(raised) == ("provider_answer_invalid", "speak")
        assert raised.value.retryable
        assert len(caplog.messages) == 2  # Another seed was tried.
        assert ENDLESS not in caplog.text

    def test_it_is_shorter_for_shorter_texts(self) -> None:
        assert pocket.max_frames("Hello.") * pocket.FRAME_SECONDS < 5
        assert pocket.max_frames("x" * 200) == 500

    def test_invalid_samples_are_not_heard(self, config: PocketConfig) -> None:
        voice_id = create(config, tone(220))
        with pytest.raises(ProviderError) as raised:
            speak(config, f"Hello {NOT_A_NUMBER}", voice_id)
        assert error_of(raised) == ("provider_answer_invalid", "speak")
        assert len(speak(config, TEXT, voice_id)) == 1

    def test_sentences_before_it_are_heard(self, config: PocketConfig) -> None:
        engine, voice_id = PocketTextToSpeech(config), create(config, tone(220))
        heard = []

        async def run() -> None:
            text = f"{TEXT} Hello there {ENDLESS}"
            async for chunk in engine.speak(text, voice_id=voice_id, settings=VoiceSettings(), previous_text=""):
                heard.append(chunk)  # noqa: PERF401 - kept when the next one fails

        with pytest.raises(ProviderError):
            asyncio.run(run())
        assert len(heard) == 1


class TestVoices:
    def test_they_are_listed_until_they_are_deleted(self, config: PocketConfig) -> None:
        cloner = PocketVoiceCloner(config)

        async def run() -> None:
            assert await cloner.list() == []
            one = await cloner.create("Jane", [tone(220)])
            other = await cloner.create("Zoë 🎙 7f3a", [tone(330)])
            voices = [ProviderVoice(one, "Jane"), ProviderVoice(other, "Zoë 🎙 7f3a")]
            assert sorted(await cloner.list(), key=lambda voice: voice.name) == voices
            await cloner.delete(one)
            await cloner.delete(one)
            assert await cloner.list() == [ProviderVoice(other, "Zoë 🎙 7f3a")]

        asyncio.run(run())
        assert len(list(config.voices_dir.path.iterdir())) == 1

    def test_a_deleted_voice_cannot_speak(self, config: PocketConfig) -> None:
        voice_id = create(config, tone(220))
        speak(config, TEXT, voice_id)
        asyncio.run(PocketVoiceCloner(config).delete(voice_id))
        with pytest.raises(ProviderError) as raised:
            speak(config, TEXT, voice_id)
        assert error_of(raised) == ("provider_voice_missing", "speak")

    @pytest.mark.parametrize("voice_id", ["pocket-" + "0" * 32, "../pocket-" + "0" * 32, "local-" + "0" * 32, ""])
    def test_a_missing_voice_is_an_error(self, config: PocketConfig, voice_id: str) -> None:
        with pytest.raises(ProviderError) as raised:
            speak(config, TEXT, voice_id)
        assert error_of(raised) == ("provider_voice_missing", "speak")

    def test_deleting_cannot_delete_other_files(self, config: PocketConfig, tmp_path: Path) -> None:
        precious = tmp_path / "precious.npz"
        precious.touch()
        asyncio.run(PocketVoiceCloner(config).delete("../precious"))
        assert precious.exists()

    def test_silence_cannot_be_cloned(self, config: PocketConfig) -> None:
        with pytest.raises(ProviderError) as raised:
            create(config, silence(12))
        assert error_of(raised) == ("provider_audio_refused", "clone")
        assert not config.voices_dir.path.exists()


class TestFiles:
    """The runtime gets only files with the expected SHA-256."""

    @pytest.fixture
    def copied(self, config: PocketConfig, tmp_path: Path) -> PocketConfig:
        """A copy of the stand-in, which may be damaged."""
        shutil.copytree(STAND_IN_DIR, tmp_path / "copy")
        return PocketConfig(tmp_path / "copy", config.voices_dir, config.bundle)

    @pytest.mark.parametrize("name", [file.name for file in OFFICIAL.files])
    def test_a_missing_file_is_an_error_until_it_is_there(
        self, copied: PocketConfig, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = copied.model_dir / name
        path.rename(path.with_suffix(".away"))
        with pytest.raises(ProviderError) as raised:
            create(copied, tone(220))
        assert error_of(raised) == ("models_missing", "clone")
        assert f"{path} is missing. Run: manage.py fetch_models --with pocket-tts" in caplog.text
        path.with_suffix(".away").rename(path)
        assert create(copied, tone(220))

    @pytest.mark.parametrize("name", ["vocab.json", "encoder.onnx"])
    def test_a_changed_file_is_refused(self, copied: PocketConfig, name: str, caplog: pytest.LogCaptureFixture) -> None:
        path = copied.model_dir / name
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(ProviderError) as raised:
            speak(copied, TEXT, "pocket-" + "0" * 32)
        assert error_of(raised) == ("models_missing", "speak")
        assert f"{path} is not the published file" in caplog.text

    def test_files_that_the_runtime_refuses_are_an_error(
        self, copied: PocketConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        (copied.model_dir / "decoder.int8.onnx").write_bytes(b"no model")
        broken = PocketConfig(copied.model_dir, copied.voices_dir, bundle_of(copied.model_dir))
        with caplog.at_level(logging.ERROR), pytest.raises(ProviderError) as raised:
            create(broken, tone(220))
        assert error_of(raised) == ("provider_failed", "clone")

    def test_the_stand_in_is_not_accepted_as_the_real_model(self, config: PocketConfig) -> None:
        with pytest.raises(ProviderError) as raised:
            create(PocketConfig(STAND_IN_DIR, config.voices_dir, OFFICIAL), tone(220))
        assert error_of(raised) == ("models_missing", "clone")


def test_the_report_tells_what_is_unknown_about_the_release(config: PocketConfig) -> None:
    lines = list(report(config, clip("austen-0870.wav")))
    assert lines[0].startswith("sherpa-onnx 2.0.1, Python 3.")
    assert "plausible speech: yes" in lines
    assert "the same text with the same seed sounds the same: yes" in lines
    # As with the published encoder, to which the stand-in is similar in this.
    assert "a reference that differs after 1.04 s sounds the same: yes" in lines
    assert any("real-time factor" in line for line in lines)
    assert np.isfinite(float(lines[-1].split()[-4]))
