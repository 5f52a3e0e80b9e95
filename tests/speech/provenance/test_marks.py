"""Tags and signatures of synthetic speech, which do not change its audio."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC
from mutagen.id3 import ID3
from mutagen.oggopus import OggOpus

from apps.speech.audio import decoding
from apps.speech.audio.flac import to_flac
from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import as_frames, resample
from apps.speech.audio.wav import to_wav
from apps.speech.base import Recording
from apps.speech.provenance.certificates import make_identity, root_of, serial_number_of
from apps.speech.provenance.encoders import AudioFormat, create_encoder
from apps.speech.provenance.marks import SYNTHETIC, MarkError, Origin, id3_tag, origin_in_flac
from apps.speech.provenance.signing import Marker
from tests.audio_samples import clip

if TYPE_CHECKING:
    from pathlib import Path

SPEECH = resample(clip("austen-0930.wav"), sample_rate=24_000)
ORIGIN = Origin("elevenlabs", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC), "c7d5b8f2-7c1e-4c53-9a55-2f1f0b6f8e21")
READ = """
import c2pa, sys
media_type, file, root = sys.argv[1:]
trust = {"verify": {"verify_trust": True}, "trust": {"user_anchors": open(root).read()}}
with open(file, "rb") as stream, c2pa.Reader(media_type, stream, context=c2pa.Context.from_dict(trust)) as reader:
    print(reader.json())
"""


@pytest.fixture(scope="module")
def marker() -> Marker:
    identity = make_identity()
    return Marker(identity, root_of(identity.chain), frozenset([serial_number_of(identity.chain)]))


def decode(data: bytes) -> Recording:
    return decoding.decode(data, sample_rate=24_000, max_seconds=60)


def stream(audio_format: AudioFormat, pcm: bytes = SPEECH.pcm) -> bytes:
    encoder = create_encoder(audio_format, 24_000, ORIGIN)
    return b"".join([*(encoder.encode(pcm[at : at + 4800]) for at in range(0, len(pcm), 4800)), encoder.finish()])


def read_elsewhere(media_type: str, data: bytes, root: bytes, folder: Path) -> dict[str, object]:
    """Read a file in another process, with nothing but the root."""
    (folder / "file").write_bytes(data)
    (folder / "root.pem").write_bytes(root)
    command = [sys.executable, "-c", READ, media_type, str(folder / "file"), str(folder / "root.pem")]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True, cwd=folder).stdout))  # noqa: S603


class TestSignatures:
    @pytest.mark.parametrize("media_type", ["audio/flac", "audio/mpeg", "audio/wav", "audio/mp4"])
    def test_a_signed_file_is_valid_and_trusted_in_another_process(
        self, marker: Marker, tmp_path: Path, media_type: str
    ) -> None:
        store = read_elsewhere(media_type, signed(marker, media_type), marker.roots, tmp_path)
        assert store["validation_state"] == "Trusted"
        manifest = store["manifests"][store["active_manifest"]]  # type: ignore[index]
        (actions,) = [each["data"] for each in manifest["assertions"] if each["label"] == "c2pa.actions.v2"]
        (action,) = actions["actions"]
        assert action["action"] == "c2pa.created"
        assert action["digitalSourceType"] == SYNTHETIC
        assert action["softwareAgent"]["name"] == "elevenlabs"
        assert action["parameters"] == {"turn": ORIGIN.turn}
        assert datetime.fromisoformat(action["when"]) == ORIGIN.made_at

    def test_it_is_not_trusted_with_the_root_of_another_installation(self, marker: Marker, tmp_path: Path) -> None:
        other = root_of(make_identity().chain)
        store = read_elsewhere("audio/flac", marker.to_flac(SPEECH, ORIGIN), other, tmp_path)
        assert store["validation_state"] == "Valid"

    def test_speech_without_a_turn_can_be_signed(self, marker: Marker, tmp_path: Path) -> None:
        mp3 = marker.to_mp3(SPEECH, Origin("local", ORIGIN.made_at))
        store = read_elsewhere("audio/mpeg", mp3, marker.roots, tmp_path)
        assert store["validation_state"] == "Trusted"
        assert b"parameters" not in mp3

    def test_data_that_cannot_be_signed_is_an_error(self, marker: Marker) -> None:
        with pytest.raises(MarkError):
            marker.sign(b"no sound at all", "audio/ogg", ORIGIN)

    @settings(max_examples=8, deadline=None)  # Each example encodes and signs three files.
    @given(seed=st.integers(0, 2**32 - 1), samples=st.integers(6_000, 12_000), loudness=st.integers(0, 32_767))
    def test_signing_does_not_change_the_audio(self, marker: Marker, seed: int, samples: int, loudness: int) -> None:
        noise = np.random.default_rng(seed).integers(-loudness, loudness, samples, endpoint=True)
        recording = Recording(noise.astype("<i2").tobytes(), 24_000)
        assert decode(marker.to_flac(recording, ORIGIN)).pcm == recording.pcm
        assert decode(marker.to_mp3(recording, ORIGIN)).pcm == decode(to_mp3(recording)).pcm
        wav = to_wav(recording)
        assert decode(marker.sign(wav, "audio/wav", ORIGIN)).pcm == recording.pcm


def signed(marker: Marker, media_type: str) -> bytes:
    match media_type:
        case "audio/flac":
            return marker.to_flac(SPEECH, ORIGIN)
        case "audio/mpeg":
            return marker.to_mp3(SPEECH, ORIGIN)
        case "audio/wav":
            return marker.sign(to_wav(SPEECH), media_type, ORIGIN)
        case _:
            return marker.sign(to_m4a(SPEECH), media_type, ORIGIN)


def to_m4a(recording: Recording) -> bytes:
    file = io.BytesIO()
    with av.open(file, mode="w", format="ipod") as container:
        track = container.add_stream("aac", rate=recording.sample_rate, layout="mono")
        for frame in [*as_frames(recording.pcm, recording.sample_rate), None]:
            container.mux(track.encode(frame))
    return file.getvalue()


class TestTags:
    def test_an_mp3_has_them_as_id3(self, marker: Marker) -> None:
        for data in (marker.to_mp3(SPEECH, ORIGIN), stream(AudioFormat.MP3), id3_tag(ORIGIN)):
            tag = ID3(io.BytesIO(data))
            assert str(tag["TXXX:AI_GENERATED"]) == "true"
            assert str(tag["TXXX:DIGITALSOURCETYPE"]) == SYNTHETIC
            assert str(tag["TXXX:ENGINE"]) == "elevenlabs"
            assert str(tag["TXXX:TURN"]) == ORIGIN.turn
            assert "Synthetic" in str(tag["COMM::eng"])

    def test_flac_and_opus_have_them_as_vorbis_comments(self, marker: Marker) -> None:
        files: list[FLAC | OggOpus] = [
            FLAC(io.BytesIO(marker.to_flac(SPEECH, ORIGIN))),
            FLAC(io.BytesIO(stream(AudioFormat.FLAC))),
            OggOpus(io.BytesIO(stream(AudioFormat.OPUS))),
        ]
        for file in files:
            assert file["AI_GENERATED"] == ["true"]
            assert file["DIGITALSOURCETYPE"] == [SYNTHETIC]
            assert file["ENGINE"] == ["elevenlabs"]

    def test_a_wav_has_them_as_info(self) -> None:
        with av.open(io.BytesIO(stream(AudioFormat.WAV))) as file:
            assert "AI_GENERATED=true" in file.metadata["comment"]
            assert file.metadata["encoder"] == "VoiceClone"
            assert file.metadata["date"] == "2026-03-02"

    def test_a_stream_starts_with_them(self) -> None:
        for audio_format in set(AudioFormat) - {AudioFormat.PCM}:
            head = create_encoder(audio_format, 24_000, ORIGIN).encode(SPEECH.pcm[:48_000])
            assert b"AI_GENERATED" in head

    @pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.MP3])
    def test_they_do_not_change_the_audio_of_a_stream(self, audio_format: AudioFormat) -> None:
        expected = decode(to_mp3(SPEECH)) if audio_format is AudioFormat.MP3 else SPEECH
        assert decode(stream(audio_format)).pcm == expected.pcm

    def test_raw_pcm_has_no_tags(self) -> None:
        assert stream(AudioFormat.PCM) == SPEECH.pcm

    def test_the_origin_can_be_read_back(self, marker: Marker) -> None:
        assert origin_in_flac(marker.to_flac(SPEECH, ORIGIN)) == ORIGIN
        assert origin_in_flac(to_flac(SPEECH)) is None
        assert origin_in_flac(b"fLaC") is None
