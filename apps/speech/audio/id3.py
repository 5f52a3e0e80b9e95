"""The length of an ID3v2 tag, which may precede the audio of a file."""


def id3_size(data: bytes) -> int:
    """Return the number of bytes of the ID3v2 tag at the start of `data`; 0 if there is none.

    Source: id3.org/id3v2.4.0-structure, 3.1 (the size has seven bits per byte) and 3.4 (footer).
    """
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    footer = 10 if data[5] & 0x10 else 0
    return 10 + size + footer
