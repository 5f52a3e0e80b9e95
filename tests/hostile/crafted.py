"""Files that are damaged or protected, have false headers, or take far more resources than their size suggests."""

from __future__ import annotations

import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

import av
import numpy as np

from apps.speech.audio.flac import to_flac
from apps.speech.base import Recording
from tests.audio_samples import contained, packed, packets, silence, webm
from tests.hostile.files import (
    ACCEPTED,
    EITHER,
    HONEST,
    NO_SOUND,
    PROTECTED,
    SILENT,
    SPEECH,
    TOO_COSTLY,
    TOO_LONG,
    UNKNOWN,
    UNREADABLE,
    UNSUPPORTED,
    WITHOUT_SOUND,
    HostileFile,
    hostile,
)
from tests.hostile.playlists import FTYP, box, full_box, id3

SEED = 20_26
DAMAGED = (
    *("webm of chrome", "ogg of firefox", "mp4 of safari", "wav", "mp3", "m4a", "flac", "aac", "m4a without loss"),
    *("wav of a dictaphone", "rf64 of an editor", "w64", "aiff", "caf", "caf of a messenger", "amr", "3gp of android"),
    *("quicktime", "wma", "mpeg of layer II"),
)
FLIPS = 8
REFUSED = (UNREADABLE, WITHOUT_SOUND, UNSUPPORTED)


# Damage


def truncations() -> Iterator[HostileFile]:
    for name in DAMAGED:
        data = HONEST[name]
        for size in (1, 4, 12, 60, len(data) // 4, len(data) // 2, len(data) - 1):
            verdicts = (EITHER, UNKNOWN)
            yield hostile(f"cut: {name}, {size} bytes left", data[:size], *verdicts)
        yield hostile(f"cut: {name}, without its beginning", data[20:], UNKNOWN, UNREADABLE, ACCEPTED)


def bit_flips() -> Iterator[HostileFile]:
    """Yield files with flipped bits, the same in every run."""
    dice = random.Random(SEED)  # noqa: S311 - it has to be reproducible, not secret
    for name, number in itertools.product(DAMAGED, range(FLIPS)):
        data = bytearray(HONEST[name])
        for _ in range(2 ** (number + 1)):
            # Half of the flips are in the header, where they have the largest effect.
            position = dice.randrange(min(400, len(data))) if dice.random() < 0.5 else dice.randrange(len(data))
            data[position] ^= 1 << dice.randrange(8)
        yield hostile(f"bits flipped: {name}, {2 ** (number + 1)}", bytes(data), EITHER)


def shuffled() -> Iterator[HostileFile]:
    """Yield files with parts repeated, removed, or replaced by parts of another file."""
    dice = random.Random(SEED)  # noqa: S311
    for name in DAMAGED:
        data, other = HONEST[name], HONEST[dice.choice(DAMAGED)]
        start = dice.randrange(len(data) // 2)
        yield hostile(f"repeated: {name}", data[:start] + data, EITHER)
        yield hostile(f"left out: {name}", data[: start // 2] + data[start:], EITHER, UNKNOWN)
        yield hostile(f"crossed: {name}", data[: len(data) // 3] + other[len(other) // 3 :], EITHER)
        yield hostile(f"noise after the header: {name}", data[:200] + dice.randbytes(20_000), EITHER)


# Lies


def lies() -> Iterator[HostileFile]:
    yield from lies_of_wav()
    yield from lies_of_mp4()
    yield from lies_of_others()
    yield from lies_of_recorders()


def lies_of_recorders() -> Iterator[HostileFile]:
    """Yield files of the other kinds with false sizes and counts."""
    huge = b"\x7f\xff\xff\xff"
    aiff, caf, wma = HONEST["aiff"], HONEST["caf"], HONEST["wma"]
    for name in (b"COMM", b"SSND"):
        place = aiff.index(name) + 4
        yield hostile(f"lie: aiff, {name.decode()} of gigabytes", aiff[:place] + huge + aiff[place + 4 :], EITHER)
    yield hostile("lie: aiff with gigabytes of text", aiff[:12] + b"NAME" + huge + aiff[12:], EITHER)
    for name in (b"desc", b"kuki", b"pakt", b"data", b"chan"):
        if name in caf:
            place = caf.index(name) + 4
            for size in (bytes(4) + huge, huge + bytes(4), b"\xff" * 8, bytes(8)):
                lied = caf[:place] + size + caf[place + 8 :]
                yield hostile(f"lie: caf, {name.decode()} of {size.hex()} bytes", lied, EITHER)
    packets_at = caf.index(b"pakt") + 12
    yield hostile("lie: caf of billions of packets", caf[:packets_at] + bytes(4) + huge + caf[packets_at + 8 :], EITHER)
    text = b"info" + bytes(4) + huge + huge
    yield hostile("lie: caf with gigabytes of text", caf[:8] + text + caf[8:], EITHER)
    for place in range(16, 200, 12):
        yield hostile(f"lie: wma, {place}", wma[:place] + b"\xff" * 8 + wma[place + 8 :], EITHER, UNKNOWN)
    yield hostile("lie: amr of noise", b"#!AMR\n" + b"\x7c" * 20_000, EITHER)
    for place in (16, 48, 72):
        w64 = HONEST["w64"]
        yield hostile(f"lie: w64, {place}", w64[:place] + b"\xff" * 8 + w64[place + 8 :], EITHER, UNKNOWN)


def wav(
    pcm: bytes = SPEECH.pcm, *, tag: int = 1, channels: int = 1, rate: int = 16_000, align: int = 2, bits: int = 16
) -> bytes:
    """Return a WAV file with the given header fields."""
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * align % 2**32, align, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def lies_of_wav() -> Iterator[HostileFile]:
    yield hostile("lie: wav of no channel", wav(channels=0), *REFUSED)
    yield hostile("lie: wav of 65535 channels", wav(channels=65_535), *REFUSED)
    yield hostile("lie: wav of 6 channels", wav(channels=6, align=12), ACCEPTED, SILENT)
    yield hostile("lie: wav of 9 channels", wav(channels=9, align=18), UNSUPPORTED)
    yield hostile("lie: wav of no bits", wav(bits=0), *REFUSED, ACCEPTED)
    yield hostile("lie: wav of 65535 bits", wav(bits=65_535), *REFUSED)
    for rate in (0, 1, 7_999, 192_001, 2**31 - 1, 2**31, 2**32 - 1):
        yield hostile(f"lie: wav at {rate} Hz", wav(rate=rate), *REFUSED)
    for align in (0, 1, 3, 65_535):
        yield hostile(f"lie: wav in blocks of {align}", wav(align=align), ACCEPTED)
    for tag in (2, 0x11, 0x31, 0x50, 0x55, 0x161, 0x674F, 0xFFFE, 0xFFFF):
        yield hostile(f"lie: wav of format {tag:#x}", wav(tag=tag), *REFUSED)
    plain = HONEST["wav"]
    for size in (0, 1, 2**31 - 1, 2**32 - 1):
        lied = plain[:40] + struct.pack("<I", size) + plain[44:]
        yield hostile(f"lie: wav with {size} bytes of samples", lied, ACCEPTED, *REFUSED)
        lied = plain[:16] + struct.pack("<I", size) + plain[20:]
        yield hostile(f"lie: wav with a format of {size} bytes", lied, *REFUSED)
        lied = plain[:36] + b"LIST" + struct.pack("<I", size) + plain[36:]
        yield hostile(f"lie: wav with {size} bytes of metadata", lied, ACCEPTED, *REFUSED)
    for value, name in ((np.nan, "not a number"), (np.inf, "infinite"), (-np.inf, "minus infinite")):
        for kind, tag, size in (("<f4", 3, 4), ("<f8", 3, 8)):
            samples = np.full(32_000, 0.1, kind)
            samples[31_000] = value
            data = wav(samples.tobytes(), tag=tag, align=size, bits=8 * size)
            yield hostile(f"lie: one sample of {8 * size} bits is {name}", data, UNSUPPORTED)
    tiny = wav(np.full(32_000, 1e-42, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield hostile("lie: samples next to nothing", tiny, SILENT)
    huge = wav(np.full(32_000, 3e38, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield hostile("lie: samples far beyond full scale", huge, SILENT, ACCEPTED)


def lies_of_mp4() -> Iterator[HostileFile]:
    for name in ("m4a", "mp4 of safari", "m4a without loss"):
        data = HONEST[name]
        for kind in (b"moov", b"mdat", b"stsd", b"stsz", b"stts", b"stsc", b"stco", b"moof", b"trun", b"esds"):
            place = data.find(kind) - 4
            if place < 0:
                continue
            for size in (0, 1, 7, 2**31, 2**32 - 1):
                lied = data[:place] + struct.pack(">I", size) + data[place + 4 :]
                yield hostile(f"lie: {name}, {kind.decode()} of {size} bytes", lied, EITHER)
            lied = data[: place + 12] + b"\x7f\xff\xff\xff" + data[place + 16 :]
            yield hostile(f"lie: {name}, {kind.decode()} with billions of entries", lied, EITHER)


def lies_of_others() -> Iterator[HostileFile]:
    flac = HONEST["flac"]
    yield hostile("lie: flac of 2^36 samples", flac[:21] + b"\xff" * 5 + flac[26:], ACCEPTED)
    yield hostile("lie: flac in blocks of 65535", flac[:8] + b"\xff" * 4 + flac[12:], ACCEPTED)
    yield hostile("lie: flac with a tag of 16 MB", flac[:42] + b"\x04\xff\xff\xff" + flac[42:], UNREADABLE)
    chrome = HONEST["webm of chrome"]
    yield hostile("lie: webm of unknown size", chrome[:5] + b"\x01" + b"\xff" * 7 + chrome[5:], UNREADABLE)
    yield hostile("lie: webm element of 2^56 bytes", chrome[:40] + b"\x01" + b"\xfe" * 7 + chrome[40:], ACCEPTED)
    yield hostile("lie: webm codec", chrome.replace(b"A_OPUS", b"A_FLAC"), UNREADABLE)
    yield hostile("lie: webm codec that does not exist", chrome.replace(b"A_OPUS", b"A_OPAL"), UNSUPPORTED)
    ogg = HONEST["ogg of firefox"]
    yield hostile("lie: ogg page of 255 segments", ogg[:26] + b"\xff" * 256 + ogg[27:], UNREADABLE)
    yield hostile("lie: ogg of 255 channels", ogg.replace(b"OpusHead\x01\x01", b"OpusHead\x01\xff"), UNREADABLE)
    yield hostile("lie: ogg with another sum", ogg[:22] + bytes(4) + ogg[26:], UNREADABLE)
    mp3 = HONEST["mp3"]
    yield hostile("lie: mp3 of 2^32 frames", xing(2**32 - 1) + mp3, ACCEPTED)
    yield hostile("lie: aac frames without length", b"\xff\xf1\x50\x80\x00\x1f\xfc" * 5_000, *REFUSED)
    yield hostile("lie: aac of no channel", HONEST["aac"].replace(b"\xff\xf1\x50\x40", b"\xff\xf1\x50\x00"), UNREADABLE)
    for size in (0, 1, 2**27 - 1):
        tag = b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
        yield hostile(f"lie: tag of {size} bytes", tag + mp3, ACCEPTED, UNKNOWN)


def xing(frames: int) -> bytes:
    header = b"\xff\xfb\x90\xc4"
    return (header + bytes(17) + b"Xing" + struct.pack(">II", 1, frames)).ljust(417, b"\0")


# Bombs


def bombs() -> Iterator[HostileFile]:
    yield from bombs_of_time()
    yield from bombs_of_tags()
    yield from bombs_of_tracks()


def bombs_of_time() -> Iterator[HostileFile]:
    """Yield small files that decode to hours of audio."""
    quiet = packets(webm(silence(1)))[-1]
    yield hostile("bomb: three minutes and more of ogg", packed([quiet] * 9_200, "ogg", "libopus"), TOO_LONG)
    yield hostile("bomb: three minutes and more of webm", packed([quiet] * 9_200, "webm", "libopus"), TOO_LONG)
    yield hostile("bomb: three minutes and more of mp4", packed([quiet] * 9_200, "mp4", "libopus"), TOO_LONG)
    yield hostile("bomb: ten minutes of flac", to_flac(silence(600)), TOO_LONG)
    mp3 = contained(silence(1, sample_rate=8_000), "mp3", "libmp3lame", sample_rate=8_000)
    frame = mp3[len(mp3) // 2 :]
    frame = frame[frame.index(b"\xff\xe3") :][:72]
    yield hostile("bomb: twelve minutes of mp3", frame * 10_000, TOO_LONG, *REFUSED)
    aac = packets(contained(NO_SOUND, "adts", "aac", sample_rate=8_000))[-2]
    adts = b"\xff\xf1\x6c\x40" + struct.pack(">H", (len(aac) + 7) << 5 | 0x1F) + b"\xfc" + aac
    yield hostile("bomb: half an hour of aac", adts * 15_000, TOO_LONG, *REFUSED)
    yield hostile("bomb: ten hours by one sample, repeated", repeated_sample(), UNREADABLE)
    yield hostile("bomb: billions of samples of one byte", repeated_sample(entries=1, count=2**31 - 1), WITHOUT_SOUND)
    yield hostile("bomb: packets without audio", packed([b"junk"] * 3_000, "matroska", "alac"), UNREADABLE)
    yield hostile(
        "bomb: ten minutes of wav in eight bits", wav(bytes(8_000 * 600), rate=8_000, align=1, bits=8), TOO_LONG
    )
    yield hostile("bomb: many sounds in a row", HONEST["aac"] * 150, TOO_LONG)
    yield hostile("bomb: alternating sample rates", alternating_rates(), TOO_LONG, SILENT)


def repeated_sample(*, entries: int = 1_000, count: int = 1_800_000) -> bytes:
    """Return an MP4 whose sample table repeats the same few bytes, in `entries` chunks of `count` samples."""
    cookie = box(b"alac", bytes(4) + struct.pack(">IBBBBBBHIII", 4_096, 0, 16, 40, 10, 14, 1, 255, 0, 0, 48_000))
    entry = box(b"alac", bytes(6) + struct.pack(">HHIHHHHI", 1, 0, 0, 1, 16, 0, 0, 48_000 << 16) + cookie)
    tables = b"".join(
        [
            full_box(b"stsd", struct.pack(">I", 1) + entry),
            full_box(b"stts", struct.pack(">III", 1, count, 4_096)),
            full_box(b"stsc", struct.pack(">IIII", 1, 1, count // entries, 1)),
            full_box(b"stsz", struct.pack(">II", 12, count)),
            full_box(b"stco", struct.pack(">I", entries) + struct.pack(">I", 40) * entries),
        ]
    )
    media = box(b"minf", full_box(b"smhd", bytes(4)) + box(b"stbl", tables))
    header = full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 48_000, 2**31, 0, 0))
    handler = full_box(b"hdlr", bytes(4) + b"soun" + bytes(13))
    track = box(b"trak", full_box(b"tkhd", bytes(80), flags=1) + box(b"mdia", header + handler + media))
    return FTYP + box(b"mdat", bytes(64)) + box(b"moov", full_box(b"mvhd", bytes(96)) + track)


def alternating_rates() -> bytes:
    slow = contained(silence(0.2), "adts", "aac", sample_rate=16_000)
    fast = contained(silence(0.2), "adts", "aac", sample_rate=44_100, layout="stereo")
    return (slow + fast) * 300


def bombs_of_tags() -> Iterator[HostileFile]:
    """Yield files with large metadata."""
    mp3, flac, chrome, m4a = (HONEST[name] for name in ("mp3", "flac", "webm of chrome", "m4a"))
    yield hostile("bomb: tag of 24 MB", id3(bytes(24_000_000)) + mp3, ACCEPTED)
    yield hostile("bomb: tag of 200 000 frames", id3(b"TXXX\0\0\0\1\0\0x" * 200_000) + mp3, ACCEPTED)
    picture = b"APIC" + struct.pack(">I", 8_000_000) + bytes(8_000_002)
    yield hostile("bomb: picture of 8 MB", id3(picture) + mp3, ACCEPTED)
    yield hostile("bomb: a thousand tags, one after the other", id3(bytes(500)) * 1_000 + mp3, UNKNOWN)
    nested = b""
    for _ in range(200):
        nested = id3(nested)
    yield hostile("bomb: tags within tags", nested + mp3, ACCEPTED)
    comments = struct.pack("<I", 0) + struct.pack("<I", 100_000) + (struct.pack("<I", 3) + b"a=b") * 100_000
    block = b"\x04" + len(comments).to_bytes(3, "big") + comments
    yield hostile("bomb: 100 000 comments", flac[:42] + block + flac[42:], ACCEPTED)
    yield hostile(
        "bomb: a hundred flac pictures", flac[:42] + (b"\x06\x00\x80\x00" + bytes(32_768)) * 100 + flac[42:], ACCEPTED
    )
    attachment = ebml(b"\x19\x41\xa4\x69", ebml(b"\x61\xa7", ebml(b"\x46\x5c", bytes(5_000_000))))
    yield hostile("bomb: attachment of 5 MB", with_element(chrome, attachment), ACCEPTED)
    chapters = ebml(b"\x45\xb9", ebml(b"\xb6", ebml(b"\x73\xc4", b"\1") + ebml(b"\x91", b"\0")) * 100_000)
    yield hostile("bomb: 100 000 chapters", with_element(chrome, ebml(b"\x10\x43\xa7\x70", chapters)), ACCEPTED)
    tags = ebml(b"\x73\x73", ebml(b"\x67\xc8", ebml(b"\x45\xa3", b"a") + ebml(b"\x44\x87", b"b")) * 100_000)
    yield hostile("bomb: 100 000 webm tags", with_element(chrome, ebml(b"\x12\x54\xc3\x67", tags)), ACCEPTED)
    deep = b""
    for _ in range(3_000):
        deep = ebml(b"\x67\xc8", deep)
    yield hostile(
        "bomb: tags 3 000 deep", with_element(chrome, ebml(b"\x12\x54\xc3\x67", ebml(b"\x73\x73", deep))), ACCEPTED
    )
    boxes = b""
    for _ in range(3_000):
        boxes = box(b"udta", boxes)
    yield hostile("bomb: boxes 3 000 deep", FTYP + box(b"moov", boxes) + m4a, UNREADABLE)
    yield hostile("bomb: 200 000 boxes", FTYP + box(b"free", b"") * 200_000 + m4a[len(FTYP) :], UNREADABLE)
    keys = box(b"udta", box(b"chpl", bytes(8) + b"\xff" + (bytes(8) + b"\x01x") * 255) * 200)
    yield hostile(
        "bomb: 50 000 mp4 chapters", FTYP + box(b"moov", full_box(b"mvhd", bytes(96)) + keys) + m4a, WITHOUT_SOUND
    )
    plain, chunk = HONEST["wav"], b"LIST\x04\0\0\0INFO"
    yield hostile("bomb: 100 000 chunks of a wav", plain[:36] + chunk * 100_000 + plain[36:], *REFUSED)
    yield hostile("bomb: gzipped zeros", zlib.compress(bytes(50_000_000), wbits=31), UNKNOWN)
    yield hostile("bomb: one page of ogg, 50 000 times", HONEST["ogg of firefox"][:75] * 50_000, UNREADABLE)
    yield hostile("bomb: 5 MB of nothing after a valid start", chrome[:300] + bytes(5_000_000), UNREADABLE)
    yield hostile("bomb: 4 MB of incomplete frames", b"\xff\xfb\x90\xc4" * 1_000_000, UNREADABLE)


def bombs_of_tracks() -> Iterator[HostileFile]:
    """Yield files with many tracks and channels."""
    kinds: list[tuple[str, Literal["aac", "libopus"]]] = [("webm", "libopus"), ("mp4", "aac"), ("ogg", "libopus")]
    for container_format, codec in kinds:
        for count in (2, 15, 100):
            data = many_tracks(count, container_format, codec)
            yield hostile(f"bomb: {count} tracks in {container_format}", data, SILENT, TOO_COSTLY, *REFUSED)
    for channels in (3, 8):
        sound = np.zeros((1, 16_000 * channels), "<i2")
        file = io.BytesIO()
        with av.open(file, mode="w", format="flac") as container:
            layout = {3: "2.1", 8: "7.1"}[channels]
            stream = container.add_stream("flac", rate=16_000, layout=layout, format="s16")
            frame = av.AudioFrame.from_ndarray(sound, format="s16", layout=layout)
            frame.sample_rate = 16_000
            container.mux([*stream.encode(frame), *stream.encode(None)])
        yield hostile(f"bomb: flac of {channels} channels", file.getvalue(), SILENT)


def many_tracks(count: int, container_format: str, codec: Literal["aac", "libopus"]) -> bytes:
    file = io.BytesIO()
    kind = "fltp" if codec == "aac" else "s16"
    with av.open(file, mode="w", format=container_format) as container:
        encoded = []
        for _ in range(count):
            stream = container.add_stream(codec, rate=48_000, layout="mono", format=kind)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 9_600), "<f4" if kind == "fltp" else "<i2"), kind, "mono")
            frame.sample_rate = 48_000
            encoded += [*stream.encode(frame), *stream.encode(None)]
        container.mux(encoded)  # Writes the header, for which each encoder has to be open.
    return file.getvalue()


def ebml(name: bytes, content: bytes) -> bytes:
    """Return an element of a WebM file (RFC 8794)."""
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def with_element(data: bytes, element: bytes) -> bytes:
    """Return a WebM file with one more element before its tracks. Its segment has an unknown size."""
    place = data.index(b"\x16\x54\xae\x6b")
    return data[:place] + element + data[place:]


# Protection


def protected() -> Iterator[HostileFile]:
    m4a = HONEST["m4a"]
    for brand in (b"M4P ", b"F4P ", b"odcf", b"aax ", b"aaxc"):
        yield hostile(f"protected: brand {brand.decode()}", m4a[:8] + brand + m4a[12:], PROTECTED)
    for entry in (b"drms", b"enca"):
        yield hostile(f"protected: entry {entry.decode()}", m4a.replace(b"mp4a", entry, 1), PROTECTED, UNSUPPORTED)
    yield hostile("protected: entry aavd", m4a.replace(b"mp4a", b"aavd", 1), PROTECTED, UNSUPPORTED)
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    encrypted = contained(SPEECH, "mp4", "aac", options=key)
    yield hostile("protected: encrypted", encrypted, PROTECTED)
    wma, entry = HONEST["wma"], bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 24)
    yield hostile("protected: wma", wma[:30] + entry + wma[30:], PROTECTED)
    yield hostile("protected: encrypted, and called mp4a", encrypted.replace(b"enca", b"mp4a"), PROTECTED)
    yield hostile("protected: encrypted, without its format", encrypted.replace(b"frma", b"free"), PROTECTED)
    chrome = HONEST["webm of chrome"]
    encoding = ebml(
        b"\x6d\x80", ebml(b"\x62\x40", ebml(b"\x50\x33", b"\1") + ebml(b"\x50\x35", ebml(b"\x47\xe1", b"\5")))
    )
    yield hostile("protected: webm", within_track(chrome, encoding), WITHOUT_SOUND)
    zipped = ebml(b"\x6d\x80", ebml(b"\x62\x40", ebml(b"\x50\x34", ebml(b"\x42\x54", b"\0"))))
    yield hostile("bomb: webm whose packets are zipped", within_track(chrome, zipped), WITHOUT_SOUND)


def within_track(data: bytes, element: bytes) -> bytes:
    """Insert an element into the only track of a WebM file."""
    tracks = data.index(b"\x16\x54\xae\x6b")
    entry = data.index(b"\xae", tracks + 4)
    size_bytes = 9 - data[entry + 1].bit_length()
    size = int.from_bytes(data[entry + 1 : entry + 1 + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    content = data[entry + 1 + size_bytes : entry + 1 + size_bytes + size]
    rest = data[entry + 1 + size_bytes + size :]
    return data[:tracks] + ebml(b"\x16\x54\xae\x6b", ebml(b"\xae", content + element)) + rest


def heavy() -> Iterator[HostileFile]:
    """Yield valid files that compress badly. A voice can be made of noise, but noise is no question."""
    noise = np.random.default_rng(SEED).normal(0, 3_000, 10 * 44_100).astype("<i2").tobytes()
    ten_seconds = Recording(noise, 44_100)
    for container_format, codec in (("wav", "pcm_s24le"), ("flac", "flac"), ("mp3", "libmp3lame")):
        data = contained(ten_seconds, container_format, codec, sample_rate=44_100, layout="stereo")
        yield hostile(f"heavy: ten seconds of noise in {container_format}", data, ACCEPTED, SILENT)
