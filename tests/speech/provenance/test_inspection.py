"""The findings for files of this installation, of others, and without signatures, also after changes."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import c2pa
import pytest
from mutagen.id3 import ID3

from apps.speech.audio.flac import to_flac
from apps.speech.audio.mp3 import to_mp3
from apps.speech.audio.resampling import resample
from apps.speech.audio.wav import to_wav
from apps.speech.provenance import inspection
from apps.speech.provenance.certificates import make_identity, root_of, serial_number_of
from apps.speech.provenance.encoders import AudioFormat, create_encoder
from apps.speech.provenance.inspection import Finding, UnreadableError, Verdict, inspect, inspect_in_subprocess
from apps.speech.provenance.marks import SYNTHETIC, Origin
from apps.speech.provenance.signing import Marker
from tests.audio_samples import clip, contained, mp4, webm

if TYPE_CHECKING:
    from pytest import MonkeyPatch  # noqa: PT013 - a type

SPEECH = resample(clip("austen-0930.wav"), sample_rate=24_000)
ORIGIN = Origin("elevenlabs", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC), "c7d5b8f2-7c1e-4c53-9a55-2f1f0b6f8e21")
AS_MADE = Finding(Verdict.MADE_HERE, made_at="2026-03-02T08:15:30+00:00", engine="elevenlabs", says_synthetic=True)


def new_marker() -> Marker:
    identity = make_identity()
    return Marker(identity, root_of(identity.chain), frozenset([serial_number_of(identity.chain)]))


HERE, ELSEWHERE = new_marker(), new_marker()
FLAC, MP3 = HERE.to_flac(SPEECH, ORIGIN), HERE.to_mp3(SPEECH, ORIGIN)
WAV = HERE.sign(to_wav(SPEECH), "audio/wav", ORIGIN)
TWO_TAGS = b"ID3\x03\0\0\0\0\0\x05Hello" * 2


def look_at(data: bytes) -> Finding:
    return inspect(data, roots=HERE.roots, serial_numbers=HERE.serial_numbers)


@pytest.mark.parametrize("data", [FLAC, MP3, WAV], ids=["flac", "mp3", "wav"])
class TestMadeHere:
    def test_it_is_recognised(self, data: bytes) -> None:
        assert look_at(data) == replace(AS_MADE, signed_here=True)

    def test_changed_audio_is_detected_and_the_origin_is_still_known(self, data: bytes) -> None:
        altered = flipped(data, len(data) - 5000)
        assert look_at(altered) == replace(AS_MADE, verdict=Verdict.ALTERED, signed_here=True)

    def test_a_part_of_a_file_is_altered(self, data: bytes) -> None:
        assert look_at(data[:-2000]).verdict == Verdict.ALTERED

    def test_a_flipped_bit_never_changes_the_finding_to_another_origin(self, data: bytes) -> None:
        chance = random.Random(7)  # noqa: S311 - not a secret
        verdicts = []
        for position in [chance.randrange(len(data)) for _ in range(40)] + list(range(0, 4000, 100)):
            try:
                finding = look_at(flipped(data, position))
            except UnreadableError:
                continue
            # The padding between the parts of a manifest is not signed.
            if finding.verdict == Verdict.MADE_HERE:
                assert (finding.made_at, finding.engine) == (AS_MADE.made_at, AS_MADE.engine)
            assert finding.verdict in {Verdict.ALTERED, Verdict.MADE_HERE}
            verdicts.append(finding.verdict)
        assert verdicts.count(Verdict.ALTERED) > 40


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


class TestElsewhere:
    def test_a_file_of_another_installation_is_from_elsewhere(self) -> None:
        finding = look_at(ELSEWHERE.to_mp3(SPEECH, ORIGIN))
        assert finding == replace(AS_MADE, verdict=Verdict.ELSEWHERE, signed_by="VoiceClone")

    def test_another_certificate_of_the_same_root_is_from_elsewhere(self) -> None:
        finding = inspect(MP3, roots=HERE.roots, serial_numbers=["1"])
        assert finding.verdict == Verdict.ELSEWHERE

    def test_a_changed_file_from_elsewhere_is_altered(self) -> None:
        data = ELSEWHERE.to_mp3(SPEECH, ORIGIN)
        finding = look_at(flipped(data, len(data) - 5000))
        assert (finding.verdict, finding.signed_here) == (Verdict.ALTERED, False)

    def test_a_manifest_on_the_network_is_not_fetched(self) -> None:
        info = c2pa.C2paSignerInfo(b"es256", HERE.identity.chain, HERE.identity.key, None)
        signed = io.BytesIO()
        action = {"action": "c2pa.created", "digitalSourceType": SYNTHETIC}
        manifest = {"assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}]}
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder.from_json(json.dumps(manifest)) as builder:
            builder.set_no_embed()
            builder.set_remote_url("http://127.0.0.1:9/manifest")
            builder.sign(signer, "audio/mpeg", io.BytesIO(to_mp3(SPEECH)), signed)
        assert look_at(signed.getvalue()) == Finding(Verdict.ELSEWHERE)


class TestWithoutSignature:
    @pytest.mark.parametrize("audio_format", [each for each in AudioFormat if each != AudioFormat.PCM])
    def test_a_stream_is_recognised_by_its_tags(self, audio_format: AudioFormat) -> None:
        encoder = create_encoder(audio_format, 24_000, ORIGIN)
        finding = look_at(encoder.encode(SPEECH.pcm) + encoder.finish())
        assert (finding.verdict, finding.engine, finding.says_synthetic) == (Verdict.TAGGED, "elevenlabs", True)
        assert finding.made_at.startswith("2026-03-02")

    def test_without_its_manifest_a_file_still_has_tags(self) -> None:
        file = io.BytesIO(MP3)
        tag = ID3(file)
        tag.delall("GEOB")
        file.seek(0)
        tag.save(file)
        assert look_at(file.getvalue()).verdict == Verdict.TAGGED

    def test_without_tags_a_file_is_unmarked(self) -> None:
        file = io.BytesIO(MP3)
        ID3(file).delete(file)
        assert look_at(file.getvalue()) == Finding(Verdict.UNMARKED)

    @pytest.mark.parametrize(
        "data",
        [to_flac(SPEECH), to_mp3(SPEECH), to_wav(SPEECH), webm(SPEECH), mp4(SPEECH)],
        ids=["flac", "mp3", "wav", "webm", "mp4"],
    )
    def test_human_speech_is_unmarked(self, data: bytes) -> None:
        assert look_at(data) == Finding(Verdict.UNMARKED)

    @pytest.mark.parametrize(
        ("container_format", "codec"),
        [
            ("aiff", "pcm_s16be"),
            ("caf", "alac"),
            ("mov", "pcm_s16be"),
            ("w64", "pcm_s16le"),
            ("wav", "adpcm_ms"),
            ("adts", "aac"),
            ("mp2", "mp2"),
            ("matroska", "ac3"),
        ],
    )
    def test_every_kind_that_is_decoded_is_read(self, container_format: str, codec: str) -> None:
        data = contained(SPEECH, container_format, codec, sample_rate=44_100)
        assert look_at(data) == Finding(Verdict.UNMARKED)

    def test_quicktime_without_its_kind_and_rf64_are_read(self) -> None:
        movie = contained(SPEECH, "mov", "aac", sample_rate=44_100)
        rf64 = contained(SPEECH, "wav", "pcm_s16le", options={"rf64": "always"})
        assert look_at(movie.replace(b"ftyp", b"free", 1)) == look_at(rf64) == Finding(Verdict.UNMARKED)

    @pytest.mark.parametrize("before", [b"\r\n", bytes(500), TWO_TAGS, b"\1\2\3" * 99])
    @pytest.mark.parametrize("data", [to_flac(SPEECH), to_mp3(SPEECH)], ids=["flac", "mp3"])
    def test_what_precedes_human_speech_does_not_matter(self, before: bytes, data: bytes) -> None:
        assert look_at(before + data) == look_at(data) == Finding(Verdict.UNMARKED)

    @pytest.mark.parametrize("data", [FLAC, MP3, WAV], ids=["flac", "mp3", "wav"])
    @pytest.mark.parametrize("before", [b"\r\n", bytes(500), TWO_TAGS])
    def test_signed_speech_behind_something_else_is_altered(self, before: bytes, data: bytes) -> None:
        assert look_at(before + data).verdict == Verdict.ALTERED

    @pytest.mark.parametrize(
        "data", [b"", b"text", b"ID3\x04\0\0\0\0\0\0", b"\x89PNG\r\n\x1a\n", b"ID3" + b"\xff" * 99]
    )
    def test_other_files_are_refused(self, data: bytes) -> None:
        with pytest.raises(UnreadableError):
            look_at(data)


class TestSubprocess:
    def in_file(self, data: bytes) -> Finding:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return inspect_in_subprocess(file, roots=HERE.roots, serial_numbers=HERE.serial_numbers)

    def test_it_has_the_same_finding(self) -> None:
        assert self.in_file(FLAC) == look_at(FLAC)
        assert self.in_file(to_mp3(SPEECH)) == Finding(Verdict.UNMARKED)

    @pytest.mark.parametrize(
        "attempt",
        [
            "open('/etc/hostname')",
            "__import__('socket').socket()",
            "os.pipe()",
            "os.listdir('/')",
            "os.kill(os.getppid(), 0)",
        ],
    )
    def test_it_can_open_nothing_when_it_sees_the_file(self, attempt: str) -> None:
        program = (
            "import os, socket, sys\n"
            "from apps.speech.provenance import inspection\n"
            "def attempt(data, **_known):\n"
            "    if data != b'fLaC': return\n"
            f"    try: {attempt}\n"
            "    except OSError: sys.exit(0)\n"
            "    sys.exit(1)\n"
            "sys.argv[1:] = ['']\n"
            "inspection.inspect = attempt\n"
            "inspection.main()\n"
        )
        environment = {"PYTHONPATH": str(inspection.PROJECT_DIR)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, input=b"fLaC", check=False)  # noqa: S603
        assert done.returncode == 0

    def test_a_file_that_takes_too_much_memory_is_refused(self, monkeypatch: MonkeyPatch) -> None:
        with tempfile.TemporaryFile() as file:
            file.truncate(2 * inspection.MAX_MEMORY_BYTES)  # A sparse file, which takes no space.
            with pytest.raises(UnreadableError):
                inspect_in_subprocess(file, roots=HERE.roots, serial_numbers=[])

    def test_a_file_that_takes_too_long_is_refused(self, monkeypatch: MonkeyPatch) -> None:
        monkeypatch.setattr(inspection, "MAX_SECONDS", 0.01)
        with pytest.raises(UnreadableError):
            self.in_file(FLAC)

    @pytest.mark.parametrize("media", ["flac", "mp3", "wav"])
    def test_damaged_files_have_a_finding_or_are_refused(self, media: str) -> None:
        chance = random.Random(media)  # noqa: S311 - not a secret
        data = bytearray({"flac": FLAC, "mp3": MP3, "wav": WAV}[media])
        for _ in range(200):
            data[chance.randrange(12, 4000)] = chance.randrange(256)
        with suppress(UnreadableError):
            assert self.in_file(bytes(data)).verdict != Verdict.MADE_HERE
