"""Decodes untrusted bytes to a checked `Recording`.

FFmpeg opens far more than audio files: playlists that fetch addresses, and texts that read local files. So `decode`
selects the demuxer by the first bytes and does not let it open anything else. It is a pure function of its arguments,
writes no files, and may run in any thread or process. Uploads are decoded in separate processes (`decoder_pool`). Only
files that the application encoded itself are decoded in the calling process.
"""

from __future__ import annotations

import io
import re
import struct
from typing import TYPE_CHECKING, NoReturn

import av
import av.subtitles.stream  # Otherwise PyAV imports it with the first file, during a request.
from av.stream import Disposition

from apps.speech.audio.id3 import id3_size
from apps.speech.audio.resampling import mono_pcm, resample
from apps.speech.base import AudioError, Recording
from apps.speech.base import mark_for_translation as _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

# FFmpeg's demuxer for each accepted format, and the first bytes of the format.
SIGNATURES = {
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),
    "mov": re.compile(rb"....ftyp", re.DOTALL),
    "ogg": re.compile(rb"OggS"),
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "flac": re.compile(rb"fLaC"),
    "mp3": re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),  # An MPEG layer III frame.
    "aac": re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),  # An ADTS frame.
}
# Protected files of Apple, Adobe, the Open Mobile Alliance and Audible have these `ftyp` brands.
PROTECTED_BRANDS = {b"M4P ", b"F4P ", b"odcf", b"aax ", b"aaxc"}
# Protected tracks have these sample entries.
PROTECTED_ENTRIES = {"enca", "drms", "aavd"}
DECODERS = [
    *["aac", "alac", "flac", "mp3float", "opus", "vorbis"],
    *["pcm_alaw", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8"],
]

MAX_CHANNELS = 2
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 96_000
MIN_SECONDS = 0.1
# A recorder that stops at a limit stops a little late, and encoders add some milliseconds.
SLACK_SECONDS = 1
# Packets without frames cost time but add no seconds. A few hundred bytes of MP4 can declare millions of them.
MAX_EMPTY_PACKETS = 1_000
MAX_RIFF_CHUNKS = 100
WAV_HEADER_BYTES = 44
# The errors of PyAV on broken files. Not all are FFmpegErrors: some files contain values that are out of range. A
# MemoryError of Python or FFmpeg is handled separately, because the rest of the audio would be missing silently.
DECODING_ERRORS = (av.FFmpegError, ValueError, ArithmeticError, OSError)


def decode(data: bytes, *, sample_rate: int, max_seconds: float) -> Recording:
    """Decode an uploaded audio file to mono at `sample_rate` hertz.

    Name, media type and declared duration are ignored. A truncated or damaged file is decoded as far as possible.
    Decoding stops as soon as the audio exceeds `max_seconds` by more than SLACK_SECONDS.

    Raises AudioError: audio_empty, audio_format_unknown, audio_protected, audio_unsupported, audio_too_long,
    audio_without_sound, audio_unreadable, audio_too_costly (if memory runs out).
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
    """Decode a plain WAV file as `decode` does, but without FFmpeg. Return None for any other file.

    A plain WAV file is mono 16-bit PCM after a header with exactly the expected bytes. It cannot exploit a decoder, so
    it needs no separate process. Raises AudioError audio_too_long.
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
    """Return the header before `size` bytes of mono s16le at `rate` hertz (RIFF MCI 1.0)."""
    return struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size
    )


def without_id3(data: bytes) -> bytes:
    """Remove an ID3v2 tag and its padding: FFmpeg takes hundreds of megabytes for a large tag."""
    size = id3_size(data)
    return data[size:].lstrip(b"\0") if size else data


def _demuxer(data: bytes) -> str:
    for demuxer, signature in SIGNATURES.items():
        if signature.match(data):
            return demuxer
    raise AudioError(
        "audio_format_unknown",
        _("This is not an audio file of a supported format. Send WebM, MP4, M4A, Ogg, WAV, FLAC, MP3 or AAC."),
    )


def _without_riff_metadata(data: bytes) -> bytes:
    """Keep only the format and the samples of a WAV file: FFmpeg allocates the size that a metadata chunk declares."""
    kept = {b"fmt ": b"", b"data": b""}
    offset = 12
    for _chunk in range(MAX_RIFF_CHUNKS):
        if kept[b"data"] or offset >= len(data):
            break
        name, size = data[offset : offset + 4], int.from_bytes(data[offset + 4 : offset + 8], "little")
        # A streaming recorder leaves the size of the samples at 0. Then they extend to the end of the file.
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
        # The header is sufficient. Otherwise FFmpeg searches the samples for other codecs, which takes 5 ms.
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
    """Return the first audio stream. Raises AudioError if it cannot be used, or the file is a video."""
    if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
        raise AudioError("audio_unsupported", _("This file is a video. Send only its audio track, or record here."))
    if not container.streams.audio:
        raise _without_sound()
    stream = container.streams.audio[0]
    decoder = getattr(stream.codec_context, "name", None)  # The context is None if FFmpeg has no decoder.
    if decoder is None:
        text = _("The audio codec of this file is unknown. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text)
    if decoder not in DECODERS:
        text = _("The audio codec of this file (%(codec)s) is not supported. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text, {"codec": decoder})
    if stream.codec_tag in PROTECTED_ENTRIES:
        raise _protected()
    return stream


def _frames(container: InputContainer, stream: AudioStream, *, max_seconds: float) -> Iterator[AudioFrame]:
    """Yield checked frames up to the end of the file, or up to an error in it. Raises AudioError."""
    seconds = 0.0
    empty_packets = 0
    try:
        for packet in container.demux(stream):
            frames = _decoded(packet)
            empty_packets += bool(packet.size and not frames)
            if empty_packets > MAX_EMPTY_PACKETS:
                break
            for frame in frames:
                _check_frame(frame)
                seconds += frame.samples / frame.sample_rate
                if seconds > max_seconds + SLACK_SECONDS:
                    raise _too_long(max_seconds)
                yield frame
    except MemoryError:  # PyAV's MemoryError is an FFmpegError, too.
        raise
    except DECODING_ERRORS:
        pass
    if not seconds and not empty_packets:
        raise _without_sound()
    if seconds < MIN_SECONDS:
        raise _unreadable()


def _decoded(packet: Packet[AudioStream]) -> list[AudioFrame]:
    """Return the frames of a packet; an empty list for a damaged packet, which is skipped, as in players."""
    if packet.has_sidedata("encryption_info"):
        raise _protected()
    try:
        return packet.decode()
    except MemoryError:
        raise
    except av.FFmpegError:
        return []


def _check_frame(frame: AudioFrame) -> None:
    """Raise AudioError for unusual channels or sample rates. Checks every frame, because they may change midway."""
    if frame.layout.nb_channels > MAX_CHANNELS:
        text = _("The recording has %(channels)d channels. Save it in mono or stereo.")
        raise AudioError("audio_unsupported", text, {"channels": frame.layout.nb_channels})
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        text = _("The recording has a sample rate of %(rate)d Hz. Save it with one from %(lowest)d to %(highest)d Hz.")
        values = {"rate": frame.sample_rate, "lowest": MIN_SAMPLE_RATE, "highest": MAX_SAMPLE_RATE}
        raise AudioError("audio_unsupported", text, values)


def too_costly() -> AudioError:
    """Return the error for a file that exceeds a limit of time or memory, or crashes the process."""
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
    return AudioError("audio_without_sound", _("This file contains no sound. Record it again, or choose another file."))


def _protected() -> AudioError:
    return AudioError("audio_protected", _("This file is copy-protected. Use a recording without protection."))


def _too_long(max_seconds: float) -> AudioError:
    return AudioError(
        "audio_too_long",
        _("The recording is longer than %(limit)g seconds. Use a shorter one."),
        {"limit": max_seconds},
    )
