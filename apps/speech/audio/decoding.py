"""Untrusted bytes to a checked `Recording`, what can be measured in one, and PCM to files.

FFmpeg opens far more than audio: playlists that fetch addresses, texts that read files of this machine. So `decode`
looks at the first bytes itself, forces the one demuxer that belongs to them, and lets that demuxer open nothing else.
It is a pure function of its arguments, writes no file, and may run in any thread or process. What people upload is
decoded in processes made for it (`decoder_pool`); only what was encoded here itself is decoded where it is needed.
"""

from __future__ import annotations

import io
import re
import struct
from typing import TYPE_CHECKING, NoReturn

import av
import av.subtitles.stream  # PyAV itself imports it only with the first file, which would be in a request.
from av.stream import Disposition

from apps.speech.audio.resampling import mono_pcm, resample
from apps.speech.base import AudioError, Recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

# FFmpeg's demuxer for each accepted kind of file, by how such a file begins.
SIGNATURES = {
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),
    "mov": re.compile(rb"....ftyp", re.DOTALL),
    "ogg": re.compile(rb"OggS"),
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "flac": re.compile(rb"fLaC"),
    "mp3": re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),  # An MPEG frame of layer III.
    "aac": re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),  # An ADTS frame.
}
# Apple, Adobe, the Open Mobile Alliance and Audible sell protected files under these `ftyp` brands …
PROTECTED_BRANDS = {b"M4P ", b"F4P ", b"odcf", b"aax ", b"aaxc"}
# … and mark protected tracks with these sample entries.
PROTECTED_ENTRIES = {"enca", "drms", "aavd"}
DECODERS = [
    *["aac", "alac", "flac", "mp3float", "opus", "vorbis"],
    *["pcm_alaw", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8"],
]

MAX_CHANNELS = 2
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 96_000
MIN_SECONDS = 0.1
# A recorder that stops itself at a limit is a little late, and encoders add some milliseconds.
SLACK_SECONDS = 1
# Packets that decode to nothing cost time without counting as seconds: a few hundred bytes of MP4 can promise millions.
MAX_BARREN_PACKETS = 1_000
MAX_RIFF_CHUNKS = 100
WAV_HEADER_BYTES = 44
# What PyAV raises on broken files. Not all of it is an FFmpegError: some have values that do not fit. A MemoryError,
# of Python's or of FFmpeg's, is none of them: what comes after it would be missing without a word.
DECODING_ERRORS = (av.FFmpegError, ValueError, ArithmeticError, OSError)


def _(text: str) -> str:
    """Mark `text` for translation, which is done where it is read: decoding needs no settings."""
    return text


def decode(data: bytes, *, sample_rate: int, max_seconds: float) -> Recording:
    """Decode an uploaded audio file to mono at `sample_rate` hertz.

    What the file claims about itself (name, type, duration) counts for nothing. A file that ends early or is damaged
    gives what can be decoded of it. Decoding stops as soon as `max_seconds` are exceeded by more than SLACK_SECONDS.

    Raises AudioError: audio_empty, audio_format_unknown, audio_protected, audio_unsupported, audio_too_long,
    audio_without_sound, audio_unreadable, audio_too_costly (where memory runs out).
    """
    if not data:
        raise AudioError("audio_empty", _("The recording is empty. Record it again, or choose another file."))
    data = without_id3(data)
    demuxer = _demuxer(data)
    if demuxer == "mov" and data[8:12] in PROTECTED_BRANDS:
        raise _protected()
    if demuxer == "wav":
        data = _without_riff_metadata(data)
    try:
        with _open(data, demuxer) as container:
            frames = _frames(container, _audio_stream(container), max_seconds=max_seconds)
            return Recording(mono_pcm(frames, sample_rate), sample_rate)
    except MemoryError as error:
        raise too_costly() from error
    except DECODING_ERRORS as error:
        raise _unreadable() from error


def decode_plain_wav(data: bytes, *, sample_rate: int, max_seconds: float) -> Recording | None:
    """Do what `decode` does for a WAV file of the plainest kind, without FFmpeg; None where it is not one.

    That is mono 16-bit PCM behind a header that is byte for byte what it has to be: nothing in such a file can surprise
    anyone, so it needs no process of its own. Raises AudioError audio_too_long.
    """
    size, rate = len(data) - WAV_HEADER_BYTES, int.from_bytes(data[24:28], "little")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE or size % 2 or size < 2 * rate * MIN_SECONDS:
        return None
    if data[:WAV_HEADER_BYTES] != _wav_header(size, rate):
        return None
    recording = Recording(data[WAV_HEADER_BYTES:], rate)
    if recording.seconds > max_seconds + SLACK_SECONDS:
        raise _too_long(max_seconds)
    return resample(recording, sample_rate=sample_rate)


def _wav_header(size: int, rate: int) -> bytes:
    """Return what stands before `size` bytes of mono s16le at `rate` hertz (RIFF MCI 1.0)."""
    return struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size
    )


def without_id3(data: bytes) -> bytes:
    """Cut an ID3v2 tag off: what counts is what follows it, and a large one costs FFmpeg hundreds of megabytes.

    Source: id3.org/id3v2.4.0-structure, 3.1 (the size has seven bits per byte) and 3.4 (footer).
    """
    if not data.startswith(b"ID3") or len(data) < 10:
        return data
    size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    footer = 10 if data[5] & 0x10 else 0
    return data[size + footer :].lstrip(b"\0")


def _demuxer(data: bytes) -> str:
    for demuxer, signature in SIGNATURES.items():
        if signature.match(data):
            return demuxer
    raise AudioError(
        "audio_format_unknown",
        _("This is not an audio file that can be used here. Send WebM, MP4, M4A, Ogg, WAV, FLAC, MP3 or AAC."),
    )


def _without_riff_metadata(data: bytes) -> bytes:
    """Keep a WAV file's format and samples only: a chunk of metadata makes FFmpeg allocate whatever size it claims."""
    kept = {b"fmt ": b"", b"data": b""}
    offset = 12
    for _chunk in range(MAX_RIFF_CHUNKS):
        if kept[b"data"] or offset >= len(data):
            break
        name, size = data[offset : offset + 4], int.from_bytes(data[offset + 4 : offset + 8], "little")
        # A recorder that could not go back to its header leaves the size of the samples at 0: they go on to the end.
        end = offset + 8 + size if size or name != b"data" else len(data)
        if name in kept:
            kept[name] = data[offset:end]
        offset = end + size % 2
    return data[:12] + b"".join(kept.values())


def _open(data: bytes, demuxer: str) -> InputContainer:
    options = {
        "format_whitelist": demuxer,
        "codec_whitelist": ",".join(DECODERS),
        "protocol_whitelist": "none",
        "max_streams": "16",
    }
    if demuxer == "wav":
        # The header says it all; FFmpeg would look for other codecs in disguise all through the samples, for 5 ms.
        options["probesize"] = "2048"
    return av.open(
        io.BytesIO(data),
        mode="r",
        format=demuxer,
        io_open=_deny,
        timeout=(5, 5),
        metadata_errors="replace",
        options=options,
    )


def _deny(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError(url)


def _audio_stream(container: InputContainer) -> AudioStream:
    """Return the first audio stream, after a look at what else is in the container."""
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise AudioError("audio_unsupported", _("This file is a video. Send its sound only, or record here."))
    if not container.streams.audio:
        raise _without_sound()
    stream = container.streams.audio[0]
    decoder = getattr(stream.codec_context, "name", None)  # The context is None where FFmpeg knows no decoder.
    if decoder is None:
        text = _("The sound in this file is stored in an unknown way. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text)
    if decoder not in DECODERS:
        text = _("The sound in this file (%(codec)s) is stored in a way that cannot be used. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text, {"codec": decoder})
    if stream.codec_tag in PROTECTED_ENTRIES:
        raise _protected()
    return stream


def _frames(container: InputContainer, stream: AudioStream, *, max_seconds: float) -> Iterator[AudioFrame]:
    """Yield checked frames up to the end of the file, or to where it breaks off."""
    seconds = 0.0
    barren_packets = 0
    try:
        for packet in container.demux(stream):
            frames = _decoded(packet)
            barren_packets += bool(packet.size and not frames)
            if barren_packets > MAX_BARREN_PACKETS:
                break
            for frame in frames:
                _check_frame(frame)
                seconds += frame.samples / frame.sample_rate
                if seconds > max_seconds + SLACK_SECONDS:
                    raise _too_long(max_seconds)
                yield frame
    except MemoryError:  # FFmpeg's own is an FFmpegError, too.
        raise
    except DECODING_ERRORS:
        pass
    if not seconds and not barren_packets:
        raise _without_sound()
    if seconds < MIN_SECONDS:
        raise _unreadable()


def _decoded(packet: Packet[AudioStream]) -> list[AudioFrame]:
    """Return the packet's frames; none for a damaged packet, which is skipped as players do."""
    if packet.has_sidedata("encryption_info"):
        raise _protected()
    try:
        return packet.decode()
    except MemoryError:
        raise
    except av.FFmpegError:
        return []


def _check_frame(frame: AudioFrame) -> None:
    """Refuse what is not speech as microphones record it. Every frame is checked, for a file may change midway."""
    if frame.layout.nb_channels > MAX_CHANNELS:
        text = _("The recording has %(channels)d channels. Save it in mono or stereo.")
        raise AudioError("audio_unsupported", text, {"channels": frame.layout.nb_channels})
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        text = _("The recording has a sample rate of %(rate)d Hz. Save it with one from %(lowest)d to %(highest)d Hz.")
        values = {"rate": frame.sample_rate, "lowest": MIN_SAMPLE_RATE, "highest": MAX_SAMPLE_RATE}
        raise AudioError("audio_unsupported", text, values)


def too_costly() -> AudioError:
    """Return what is said of a file that takes more than it may: time, memory, or the life of the process."""
    return AudioError(
        "audio_too_costly",
        _("Reading this recording takes too much time or memory. Save it as MP3 or WAV, or record it again."),
    )


def _unreadable() -> AudioError:
    return AudioError(
        "audio_unreadable",
        _("Less than a tenth of a second of this recording can be read. Record it again, or choose another file."),
    )


def _without_sound() -> AudioError:
    return AudioError("audio_without_sound", _("There is no sound in this file. Record it again, or choose another."))


def _protected() -> AudioError:
    return AudioError("audio_protected", _("This file is copy-protected. Use a recording without protection."))


def _too_long(max_seconds: float) -> AudioError:
    return AudioError(
        "audio_too_long",
        _("The recording is longer than %(limit)g seconds. Use a shorter one."),
        {"limit": max_seconds},
    )
