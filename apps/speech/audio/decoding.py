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

from apps.speech.audio.chunks import plain_aiff, plain_wav, wav_of_w64
from apps.speech.audio.formats import locate
from apps.speech.audio.resampling import mono_pcm, resample
from apps.speech.base import AudioError, Recording
from apps.speech.base import mark_for_translation as _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

# FFmpeg's demuxer for the formats of `formats` that have another name there. RF64 and W64 become WAV first.
DEMUXERS = {"quicktime": "mov", "rf64": "wav", "w64": "wav"}
# Protected files of Apple, Adobe, the Open Mobile Alliance and Audible have these `ftyp` brands.
PROTECTED_BRANDS = {b"M4P ", b"F4P ", b"odcf", b"aax ", b"aaxc"}
# Protected tracks have these sample entries.
PROTECTED_ENTRIES = {"enca", "drms", "aavd"}
# Protected WMA files have one of these objects in their header: encryption in its plain, extended and advanced form.
PROTECTED_ASF = re.compile(
    rb"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\0\xa0\xc9\x55\xfc\x6e"
    rb"|\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c"
    rb"|\x33\x85\x05\x43\x81\x69\xe6\x49\x9b\x74\xad\x12\xcb\x86\xd5\x8c"
)
ASF_HEADER_BYTES = 65_536
# The accepted codecs, by the names of FFmpeg's decoders. There is none for pictures.
DECODERS = [
    *["aac", "ac3", "alac", "amrnb", "amrwb", "eac3", "flac", "mp1", "mp2", "mp3float", "opus", "vorbis"],
    *["wmapro", "wmav1", "wmav2", "wmavoice"],
    *["adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha", "gsm", "gsm_ms"],
    *["pcm_alaw", "pcm_mulaw", "pcm_s8", "pcm_u8"],
    *["pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be"],
    *["pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"],
]

MAX_CHANNELS = 8
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000
MIN_SECONDS = 0.1
# A recorder that stops at a limit stops a little late, and encoders add some milliseconds.
SLACK_SECONDS = 1
# Packets without frames cost time but add no seconds. A few hundred bytes of MP4 can declare millions of them.
MAX_EMPTY_PACKETS = 1_000
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
    located = locate(data)
    if located is None:
        raise _unknown()
    sound = _prepared(data[located.start :], located.format)
    try:
        with _open(sound, DEMUXERS.get(located.format, located.format)) as container:
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


def _prepared(data: bytes, name: str) -> bytes:
    """Return a file of the format `name` without what FFmpeg should not see. Raises AudioError audio_protected."""
    match name:
        case "mov" if data[8:12] in PROTECTED_BRANDS:
            raise _protected()
        case "asf" if PROTECTED_ASF.search(data, 0, ASF_HEADER_BYTES):
            raise _protected()
        case "wav" | "rf64":
            return plain_wav(data)
        case "w64":
            return wav_of_w64(data)
        case "aiff":
            return plain_aiff(data)
        case _:
            return data


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
    """Return the first audio stream of an accepted codec; of a video, too. Raises AudioError if there is none."""
    if not container.streams.audio:
        raise _without_sound()
    # The videos of some telephones have a second track in a codec that only they decode.
    streams = container.streams.audio
    stream = next((stream for stream in streams if _decoder_of(stream) in DECODERS), streams[0])
    decoder = _decoder_of(stream)
    if decoder is None:
        text = _("The audio codec of this file is unknown. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text)
    if decoder not in DECODERS:
        text = _("The audio codec of this file (%(codec)s) is not supported. Save it as MP3 or WAV.")
        raise AudioError("audio_unsupported", text, {"codec": decoder})
    if stream.codec_tag in PROTECTED_ENTRIES:
        raise _protected()
    return stream


def _decoder_of(stream: AudioStream) -> str | None:
    """Return the name of FFmpeg's decoder, or None if it has none. Then the stream has no context."""
    return getattr(stream.codec_context, "name", None)


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
        text = _("The recording has %(channels)d channels. Save it with at most %(most)d.")
        raise AudioError("audio_unsupported", text, {"channels": frame.layout.nb_channels, "most": MAX_CHANNELS})
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


def _unknown() -> AudioError:
    return AudioError(
        "audio_format_unknown",
        _(
            "This is not an audio file of a supported format. Send MP3, M4A, WAV, FLAC, Ogg, WebM, AAC, AIFF, CAF, "
            "AMR, 3GP or WMA, or an MP4, MOV or MKV video."
        ),
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
