from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest

from apps.speech.audio.levels import measure
from apps.speech.audio.resampling import join, resample
from apps.speech.base import ProviderError, ProviderVoice, Recording, VoiceSettings
from apps.speech.local import pitch_control, prosody, samples, speaker, spectrum, voice_files, voice_fit
from apps.speech.local.config import LocalConfig
from apps.speech.local.kokoro import LocalTextToSpeech, LocalVoiceCloner, split_into_segments
from apps.speech.local.whisper import LocalSpeechToText
from apps.speech.voice_folder import VoiceFolder
from tests.audio_samples import silence
from tests.speech.local.wording import plain_words

SENTENCES = ["Thank you for asking, I am well.", "What would you like to talk about today?"]


@pytest.fixture(scope="session")
def spoken(config: LocalConfig, voice_id: str) -> list[Recording]:
    """The speech of SENTENCES, chunk by chunk."""
    return speak(config, " ".join(SENTENCES), voice_id)


def speak(config: LocalConfig, text: str, voice_id: str, *, speed: float | None = None) -> list[Recording]:
    engine = LocalTextToSpeech(config)

    async def run() -> list[Recording]:
        chunks = engine.speak(text, voice_id=voice_id, settings=VoiceSettings(speed=speed), previous_text="")
        return [Recording(chunk, engine.sample_rate) async for chunk in chunks]

    return asyncio.run(run())


def test_its_speech_is_intelligible(config: LocalConfig, spoken: list[Recording]) -> None:
    recording = Recording(b"".join(chunk.pcm for chunk in spoken), spoken[0].sample_rate)
    assert 3 < recording.seconds < 8
    assert -40 < measure(recording).rms_db < -12
    heard = asyncio.run(LocalSpeechToText(config).transcribe(recording, language="en"))
    assert jiwer.wer(plain_words(" ".join(SENTENCES)), plain_words(heard.text)) <= 0.1


def test_it_speaks_sentence_by_sentence(spoken: list[Recording]) -> None:
    assert len(spoken) >= len(SENTENCES)  # More where a sentence would come too late.
    assert all(len(chunk.pcm) % 2 == 0 for chunk in spoken)


def test_a_clone_is_closer_to_the_speaker_than_stock_voices(
    config: LocalConfig, clips: list[Recording], spoken: list[Recording]
) -> None:
    async def embeddings() -> tuple[speaker.Embedding, speaker.Embedding]:
        person = await speaker.embed(join(clips), config, stage="clone")
        return person, await speaker.embed(join(spoken), config, stage="clone")

    person, clone = asyncio.run(embeddings())
    with np.load(voice_fit.STOCK_VOICES) as file:
        stock = [speaker.similarity(person, embedding) for embedding in file["embeddings"].astype(np.float32)]
    assert speaker.similarity(person, clone) > np.median(stock) + 0.1


def test_a_clone_has_the_pitch_and_the_spectrum_of_the_speaker(
    config: LocalConfig, clips: list[Recording], spoken: list[Recording]
) -> None:
    person, clone = (samples.from_recording(join(each), sample_rate=16_000) for each in (clips, spoken))
    wanted, pitch = prosody.measure_pitch(person), prosody.measure_pitch(clone)
    assert wanted is not None
    assert pitch is not None
    assert pitch == pytest.approx(wanted, rel=0.15)
    difference = spectrum.mean_spectrum(person, "clone") - spectrum.mean_spectrum(clone, "clone")
    assert np.std(difference[:34]) < 3.5


def test_a_voice_is_a_table_of_styles_with_a_filter_and_a_pitch(config: LocalConfig, voice_id: str) -> None:
    voice = voice_files.load_voice(config.voices_dir, voice_id)
    assert voice.styles.shape == (510, 1, 256)
    assert voice.styles.dtype == np.float32
    assert np.isfinite(voice.styles).all()
    assert voice.response is not None
    assert voice.response.shape == (spectrum.TAPS,)
    assert 0.6 < voice.pitch_scale < 1.7


def test_a_voice_of_an_earlier_version_speaks(config: LocalConfig, voice_id: str) -> None:
    earlier = "local-" + "1" * 32
    styles = voice_files.load_voice(config.voices_dir, voice_id).styles
    np.savez(config.voices_dir.path / voice_files.file_name(earlier), name=np.array("Jane"), voice=styles)
    voice = voice_files.load_voice(config.voices_dir, earlier)
    assert (voice.response, voice.pitch_scale) == (None, 1.0)
    assert sum(chunk.seconds for chunk in speak(config, "Thank you for asking.", earlier)) > 0.8
    voice_files.delete_voice(config.voices_dir, earlier, engine="local")


def test_the_pitch_of_a_voice_can_be_scaled(config: LocalConfig, voice_id: str) -> None:
    voice = replace(voice_files.load_voice(config.voices_dir, voice_id), response=None)
    medians = []
    for number, scale in enumerate([0.9, 1.35]):
        scaled = f"local-{number:032x}"
        voice_files.save_voice(config.voices_dir, scaled, "Jane", replace(voice, pitch_scale=scale))
        sound = samples.from_recording(join(speak(config, SENTENCES[1], scaled)), sample_rate=16_000)
        pitch = prosody.measure_pitch(sound)
        assert pitch is not None
        medians.append(pitch)
        voice_files.delete_voice(config.voices_dir, scaled, engine="local")
    assert medians[1] / medians[0] == pytest.approx(1.5, rel=0.1)


def test_pitch_control_refuses_another_network() -> None:
    with pytest.raises(ValueError, match="pitch curve"):
        pitch_control.add_pitch_control(b"another network")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "Buenos días, me llamo Lucía y vivo cerca del mar."),
        ("fr", "Il fait très froid aujourd'hui, donc je préfère rester à la maison."),
        ("it", "Oggi fa molto freddo, quindi preferisco restare a casa."),
    ],
)
def test_it_speaks_in_the_language_of_the_text(config: LocalConfig, voice_id: str, language: str, text: str) -> None:
    heard = asyncio.run(LocalSpeechToText(config).transcribe(join(speak(config, text, voice_id)), language=""))
    assert heard.language == language
    assert jiwer.wer(plain_words(text), plain_words(heard.text)) <= 0.25


def test_speed_changes_the_duration(config: LocalConfig, voice_id: str) -> None:
    (slow,) = speak(config, "One, two, three.", voice_id, speed=0.7)
    (fast,) = speak(config, "One, two, three.", voice_id, speed=1.2)
    assert slow.seconds > 1.2 * fast.seconds


@pytest.mark.parametrize("text", ["", " \n ", "...", "**", "—"])
def test_text_without_words_gives_no_sound(config: LocalConfig, voice_id: str, text: str) -> None:
    assert speak(config, text, voice_id) == []


def test_it_stops_when_nobody_listens(config: LocalConfig, voice_id: str) -> None:
    engine = LocalTextToSpeech(config)
    text = "This goes on for a while. " * 50

    async def run() -> None:
        chunks = engine.speak(text, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
        await anext(chunks)
        await chunks.aclose()
        await engine.preload()  # Waits until the model is idle.

    asyncio.run(asyncio.wait_for(run(), timeout=30))  # Without stopping it would take minutes.


def test_long_texts_are_split_at_sentences() -> None:
    text = 'Oh. Well, I paid $3.50 for "it"! **Why?** Nobody knows…\n\n- One thing\n- Another thing'
    assert list(split_into_segments(text)) == [
        'Oh. Well, I paid $3.50 for "it"!',
        "Why? Nobody knows…",
        "- One thing - Another thing",
    ]


def test_long_sentences_are_split_at_clauses() -> None:
    text = (
        "Like that, it begins: first a bit, then more; and now it goes on for long, but without a pause. So, it ends."
    )
    assert list(split_into_segments(text)) == [
        "Like that, it begins: first a bit,",
        "then more; and now it goes on for long, but without a pause.",
        "So, it ends.",
    ]


@pytest.mark.parametrize("voice_id", ["local-" + "0" * 32, "af_heart", "../local-" + "0" * 32, "local-" + "0" * 33, ""])
def test_it_refuses_a_missing_voice(config: LocalConfig, voice_id: str) -> None:
    with pytest.raises(ProviderError) as raised:
        speak(config, "Hello.", voice_id)
    assert (raised.value.code, raised.value.stage) == ("provider_voice_missing", "speak")


def test_voices_are_listed_until_they_are_deleted(config: LocalConfig, clips: list[Recording], tmp_path: Path) -> None:
    cloner = LocalVoiceCloner(LocalConfig(config.models_dir, voices_dir=VoiceFolder(tmp_path / "voices"), threads=2))

    async def run() -> None:
        assert await cloner.list() == []
        one = await cloner.create("Jane at home", clips[:1])
        other = await cloner.create("Zoë 🎙 7f3a", [resample(clips[1], sample_rate=24_000), clips[2]])
        assert sorted(await cloner.list(), key=lambda voice: voice.name) == [
            ProviderVoice(one, "Jane at home"),
            ProviderVoice(other, "Zoë 🎙 7f3a"),
        ]
        await cloner.delete(one)
        await cloner.delete(one)
        assert await cloner.list() == [ProviderVoice(other, "Zoë 🎙 7f3a")]

    asyncio.run(run())
    assert len(list((tmp_path / "voices").iterdir())) == 1


def test_deleting_cannot_delete_other_files(config: LocalConfig, tmp_path: Path) -> None:
    precious = tmp_path / "precious.npz"
    precious.touch()
    cloner = LocalVoiceCloner(LocalConfig(config.models_dir, voices_dir=VoiceFolder(tmp_path / "voices")))
    asyncio.run(cloner.delete("../precious"))
    assert precious.exists()


def test_silence_cannot_be_cloned(config: LocalConfig) -> None:
    with pytest.raises(ProviderError) as raised:
        asyncio.run(LocalVoiceCloner(config).create("Nobody", [silence(12)]))
    assert (raised.value.code, raised.value.stage) == ("provider_audio_refused", "clone")


def test_missing_models_are_an_error(config_without_models: LocalConfig, clips: list[Recording]) -> None:
    with pytest.raises(ProviderError) as raised:
        speak(config_without_models, "Hello.", "local-" + "0" * 32)
    assert (raised.value.code, raised.value.stage) == ("models_missing", "speak")
    with pytest.raises(ProviderError) as raised:
        asyncio.run(LocalVoiceCloner(config_without_models).create("Jane", clips))
    assert (raised.value.code, raised.value.stage) == ("models_missing", "clone")
