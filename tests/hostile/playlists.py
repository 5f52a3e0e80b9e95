"""Files that make FFmpeg or a player open other resources: every kind of playlist, script and reference.

All of them refer to the canaries: a local audio file, and the address of a server that records every connection.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.hostile.files import HONEST, UNKNOWN, UNREADABLE, UNSUPPORTED, WITHOUT_SOUND, HostileFile, hostile

BROKEN = (UNREADABLE, WITHOUT_SOUND)


@dataclass(frozen=True, slots=True)
class Canaries:
    """The resources that nothing may open: a WAV file and the URL of an HTTP server."""

    file: Path
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def playlists(canaries: Canaries) -> Iterator[HostileFile]:
    texts = playlist_texts(canaries)
    for name, text in texts.items():
        yield hostile(f"playlist: {name}", text.encode(), UNKNOWN, filename="x.mp3")
    for name in ("hls", "hls to a file", "ffconcat", "dash", "sdp", "m3u", "imf", "pls", "asx"):
        data = texts[name].encode()
        yield hostile(f"playlist after a tag: {name}", id3(b"TIT2" + bytes(60)) + data, UNKNOWN)
        yield hostile(f"playlist after a byte order mark: {name}", "\ufeff".encode() + data, UNKNOWN)
    for name in ("hls", "ffconcat", "sdp", "dash"):
        for kind, beginning in BEGINNINGS.items():
            data = beginning + texts[name].encode() * 20
            yield hostile(f"playlist after the first bytes of {kind}: {name}", data, *BROKEN)


def addresses(canaries: Canaries) -> Iterator[HostileFile]:
    """Yield files that contain only a URL, for every protocol of FFmpeg."""
    for protocol in PROTOCOLS:
        text = protocol.format(file=canaries.file, host=canaries.host)
        yield hostile(f"address: {protocol}", text.encode(), UNKNOWN, filename=text)


def references(canaries: Canaries) -> Iterator[HostileFile]:
    """Yield QuickTime files that refer to audio in another file."""
    url = f"{canaries.url}/x.wav\0".encode()
    path = f"{canaries.file}\0".encode()
    for kind, reference in {"address": url, "path": path}.items():
        entry = full_box(b"url ", reference, flags=0)
        table = full_box(b"dref", struct.pack(">I", 1) + entry)
        yield hostile(f"reference: sound by its {kind}", with_data_reference(table), *BROKEN, UNSUPPORTED)
        alias = full_box(b"alis", bytes(150) + struct.pack(">hH", 2, len(reference)) + reference, flags=0)
        table = full_box(b"dref", struct.pack(">I", 1) + alias)
        yield hostile(f"reference: alias of a {kind}", with_data_reference(table), *BROKEN, UNSUPPORTED)
        rdrf = full_box(b"rdrf", b"url " + struct.pack(">I", len(reference)) + reference)
        movie = box(b"moov", box(b"rmra", box(b"rmda", rdrf)))
        yield hostile(f"reference: movie by its {kind}", FTYP + movie, *BROKEN)
        yield hostile(f"reference: movie by its {kind}, without its kind", movie, *BROKEN)
        sound = with_data_reference(table)[len(FTYP) :]
        yield hostile(f"reference: alias of a {kind}, without its kind", sound, *BROKEN, UNSUPPORTED)
    for brand in (b"heic", b"avif", b"mif1"):
        grid = box(b"meta", bytes(4) + box(b"iinf", bytes(6)) + box(b"idat", bytes(8)))
        yield hostile(f"tiles: {brand.decode()}", FTYP.replace(b"isom", brand) + grid, *BROKEN, UNSUPPORTED)


def strangers() -> Iterator[HostileFile]:
    """Yield the first bytes of other formats that FFmpeg can open, or that are not audio at all."""
    for name, beginning in STRANGERS.items():
        yield hostile(f"stranger: {name}", beginning + bytes(2_000), UNKNOWN, filename=f"x.{name}")
    for name, beginning in BEGINNINGS.items():
        yield hostile(f"beginning: {name}", beginning + bytes(2_000), UNKNOWN, *BROKEN, UNSUPPORTED)


def polyglots(canaries: Canaries) -> Iterator[HostileFile]:
    """Yield valid files with other content after or inside them. The first bytes decide on the format."""
    texts = playlist_texts(canaries)
    for name in ("wav", "mp3", "flac", "ogg of firefox", "webm of chrome", "mp4 of safari", "aac"):
        for other in ("hls", "ffconcat"):
            data = HONEST[name] + b"\n" + texts[other].encode()
            yield hostile(f"polyglot: {name}, then {other}", data, "accepted")
        yield hostile(f"polyglot: {name}, then zip", HONEST[name] + b"PK\x05\x06" + bytes(18), "accepted")
    page = f"<html><img src='{canaries.url}'><script>alert(1)</script></html>".encode()
    yield hostile("polyglot: page in a tag", id3(page) + HONEST["mp3"], "accepted")
    yield hostile("polyglot: picture in a tag", id3(b"\xff\xd8\xff\xe0" + bytes(500)) + HONEST["mp3"], "accepted")
    chunk = b"LIST" + struct.pack("<I", len(page) + len(page) % 2) + page + bytes(len(page) % 2)
    wav = HONEST["wav"]
    yield hostile("polyglot: page in a wav", wav[:36] + chunk + wav[36:], "accepted")
    yield hostile("polyglot: page before a wav", page + wav, UNKNOWN)
    yield hostile("polyglot: pdf before an mp3", b"%PDF-1.4\n" + HONEST["mp3"], UNKNOWN)
    padding = b"\x01" + len(page).to_bytes(3, "big") + page
    flac = HONEST["flac"]
    yield hostile("polyglot: page in a flac", flac[:42] + padding + flac[42:], "accepted")


def id3(body: bytes) -> bytes:
    """Return an ID3v2 tag, which may precede an MP3."""
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + body


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of an MP4 file (ISO 14496-12)."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def full_box(kind: bytes, content: bytes, *, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags) + content)


def with_data_reference(table: bytes) -> bytes:
    """Return an MP4 file whose only track has the data reference `table`."""
    entry = box(b"sowt", bytes(6) + struct.pack(">HHIHHHHI", 1, 0, 0, 1, 16, 0, 0, 16_000 << 16))
    samples = b"".join(
        [
            full_box(b"stsd", struct.pack(">I", 1) + entry),
            full_box(b"stts", struct.pack(">III", 1, 16_000, 1)),
            full_box(b"stsc", struct.pack(">IIII", 1, 1, 16_000, 1)),
            full_box(b"stsz", struct.pack(">II", 2, 16_000)),
            full_box(b"stco", struct.pack(">II", 1, 44)),
        ]
    )
    media = box(b"minf", full_box(b"smhd", bytes(4)) + box(b"dinf", table) + box(b"stbl", samples))
    header = full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 16_000, 16_000, 0, 0))
    handler = full_box(b"hdlr", bytes(4) + b"soun" + bytes(13))
    track_header = full_box(b"tkhd", struct.pack(">IIII", 0, 0, 1, 0) + bytes(64), flags=1)
    track = box(b"trak", track_header + box(b"mdia", header + handler + media))
    movie_header = full_box(b"mvhd", struct.pack(">IIII", 0, 0, 16_000, 16_000) + bytes(80))
    return FTYP + box(b"moov", movie_header + track)


FTYP = box(b"ftyp", b"isom" + bytes(4) + b"isom")
BEGINNINGS = {
    "webm": b"\x1aE\xdf\xa3",
    "mp4": b"\0\0\0\x18ftypisom",
    "ogg": b"OggS",
    "wav": b"RIFF\0\0\0\0WAVE",
    "flac": b"fLaC",
    "mp3": b"\xff\xfb\x90\xc4",
    "aac": b"\xff\xf1\x50\x80",
    "rf64": b"RF64\xff\xff\xff\xffWAVE",
    "aiff": b"FORM\0\0\0\0AIFF",
    "caf": b"caff\0\1\0\0",
    "quicktime": b"\0\0\0\x08wide",
    "wma": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
}
PROTOCOLS = [
    "{file}",
    "file:{file}",
    "file://{file}",
    "async:{file}",
    "async:http://{host}/x",
    "cache:{file}",
    "cache:http://{host}/x",
    "concat:{file}|{file}",
    "concat:http://{host}/x|{file}",
    "concatf:{file}",
    "crypto:{file}",
    "crypto+http://{host}/x",
    "data:audio/wav;base64,UklGRg==",
    "fd:",
    "ffrtmpcrypt://{host}/x",
    "ffrtmphttp://{host}/x",
    "ftp://{host}/x",
    "gopher://{host}/x",
    "hls+http://{host}/x.m3u8",
    "hls+file://{file}",
    "http://{host}/x",
    "httpproxy://{host}/x",
    "https://{host}/x",
    "icecast://{host}/x",
    "ipfs://x",
    "ipns://x",
    "md5:{file}",
    "mmsh://{host}/x",
    "mmst://{host}/x",
    "pipe:0",
    "prompeg://{host}/x",
    "rtmp://{host}/x",
    "rtmpt://{host}/x",
    "rtp://{host}/x",
    "rtsp://{host}/x",
    "sctp://{host}/x",
    "srtp://{host}/x",
    "subfile,,start,0,end,100000,,:{file}",
    "tcp://{host}/x",
    "tee:{file}|{file}",
    "tls://{host}/x",
    "udp://{host}/x",
    "udplite://{host}/x",
    "unix:{file}",
]
STRANGERS = {
    "avi": b"RIFF\0\0\0\0AVI LIST",
    "au": b".snd\0\0\0\x18",
    "amr": b"#!AMR\n",
    "ape": b"MAC \x96\x0f",
    "dsf": b"DSD \x1c",
    "tta": b"TTA1",
    "wv": b"wvpk",
    "midi": b"MThd\0\0\0\6",
    "w64": b"riff\x2e\x91\xcf\x11",
    "rifx": b"RIFX\0\0\0\0WAVE",
    "nut": b"nut/multimedia container\0",
    "ts": b"G@\0\x10" + bytes(184),
    "mpg": b"\0\0\1\xba",
    "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "flv": b"FLV\1\5",
    "swf": b"FWS\6",
    "rm": b".RMF",
    "ra": b".ra\xfd",
    "mod": b"Extended Module: ",
    "voc": b"Creative Voice File\x1a",
    "mpc": b"MPCK",
    "aa": b"\x57\x90\x75\x36" * 3,
    "gif": b"GIF89a",
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0",
    "bmp": b"BM",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\3\4",
    "gzip": b"\x1f\x8b\x08",
    "xz": b"\xfd7zXZ\0",
    "zstd": b"\x28\xb5\x2f\xfd",
    "elf": b"\x7fELF",
    "exe": b"MZ\x90",
    "class": b"\xca\xfe\xba\xbe",
    "pickle": b"\x80\x04\x95",
    "sqlite": b"SQLite format 3\0",
    "dicom": bytes(128) + b"DICM",
    "mxf": b"\x06\x0e\x2b\x34",
}


def playlist_texts(canaries: Canaries) -> dict[str, str]:
    file, url, host = canaries.file, canaries.url, canaries.host
    address, port = host.split(":")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{file}">]>'
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/x.wav\n#EXT-X-ENDLIST\n",
        "hls to a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{file}\n#EXT-X-ENDLIST\n",
        "hls to a bare path": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{file}\n#EXT-X-ENDLIST\n",
        "hls to concat": f"#EXTM3U\n#EXTINF:9,\nconcat:{url}/a|file://{file}\n#EXT-X-ENDLIST\n",
        "hls to subfile": f"#EXTM3U\n#EXTINF:9,\nsubfile,,start,0,end,9999,,:{file}\n#EXT-X-ENDLIST\n",
        "hls to data": "#EXTM3U\n#EXTINF:9,\ndata:audio/wav;base64,UklGRg==\n#EXT-X-ENDLIST\n",
        "hls master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}/x.m3u8\n",
        "hls rendition": f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{url}/a"\n',
        "hls with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF:9,\n{url}/x\n',
        "hls with a map": f'#EXTM3U\n#EXT-X-MAP:URI="{url}/init"\n#EXTINF:9,\n{url}/x\n',
        "hls with a gamma server": f"#EXTM3U\n#EXTINF:9,\ncrypto+{url}/x\n#EXT-X-ENDLIST\n",
        "hls live": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}/x.wav\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{url}/</BaseURL>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="1"><BaseURL>x.mp4</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "dash to a file": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        f"<BaseURL>file://{file}</BaseURL></Period></MPD>",
        "dash with an entity": f'<?xml version="1.0"?>{entity}<MPD><Period>&e;</Period></MPD>',
        "smooth streaming": f'<SmoothStreamingMedia><StreamIndex Type="audio" Url="{url}/q"/></SmoothStreamingMedia>',
        "ffconcat": f"ffconcat version 1.0\nfile '{file}'\nfile '{url}/x.wav'\n",
        "ffconcat by a relative path": "ffconcat version 1.0\nfile samples/1/x.flac\n",
        "ffconcat with options": f"ffconcat version 1.0\nfile '{file}'\noption safe 0\ninpoint 0\noutpoint 9\n",
        "concat without its first line": f"file '{file}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 {address}\ns=x\nc=IN IP4 {address}\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "sdp over tcp": f"v=0\no=- 0 0 IN IP4 {address}\nc=IN IP4 {address}\nm=audio {port} TCP/RTP/AVP 0\n",
        "rtsp description": f"v=0\na=control:rtsp://{host}/x\nm=audio 0 RTP/AVP 0\n",
        "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
        "<Id>urn:uuid:8713c020-2489-45f5-a9f7-87be539e20b5</Id></CompositionPlaylist>",
        "imf asset map": f'<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Path>{file}</Path></AssetMap>',
        "m3u": f"{url}/x.mp3\n{file}\n",
        "pls": f"[playlist]\nFile1={url}/x.mp3\nFile2={file}\nNumberOfEntries=2\n",
        "asx": f'<asx version="3.0"><entry><ref href="{url}/x"/></entry></asx>',
        "xspf": f'<playlist xmlns="http://xspf.org/ns/0/"><track><location>{url}/x</location></track></playlist>',
        "wpl": f'<?wpl version="1.0"?><smil><body><seq><media src="{file}"/></seq></body></smil>',
        "smil": f'<smil><body><audio src="{url}/x"/></body></smil>',
        "ram": f"rtsp://{host}/x.rm\n",
        "qtl": f'<?quicktime type="application/x-quicktime-media-link"?><embed src="{url}/x"/>',
        "cue": f'FILE "{file}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "images in a row": "frame%03d.png\n",
        "ffmetadata": f";FFMETADATA1\ntitle={file}\n",
        "filter graph": f"amovie={file}[out]",
        "avisynth": f'WavSource("{file}")\n',
        "vapoursynth": "import vapoursynth as vs\n",
        "subtitles": f"1\n00:00:00,000 --> 00:00:01,000\n{url}\n",
        "webvtt": f"WEBVTT\n\n00:00.000 --> 00:01.000\n<img src={url}>\n",
        "ass": f"[Script Info]\nAudio File: {file}\n",
        "lyrics": f"[00:00.00]{url}\n",
        "page": f'<html><audio src="{url}/x"></audio></html>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/x"/></svg>',
        "xml with an entity": f'<?xml version="1.0"?>{entity}<x>&e;</x>',
        "xml bomb": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        "script": f"#!/bin/sh\ncurl {url}\n",
        "json": f'{{"url": "{url}"}}',
    }
