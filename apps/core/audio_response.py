"""Audio as HTTP answers, whole or in parts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import IO

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase

from apps.core import recordings
from apps.speech.audio.formats import start_of_sound

CHUNK_BYTES = 256 * 1024
# Shorter parts are read at once.
STREAMED_BYTES = 1 << 20
# A tag with a signature takes a fifth of it.
HEAD_BYTES = 256 * 1024
# What loads an address by itself. A page's script may not read the answer of another origin; other programs send no
# such header.
FOLLOWS_REDIRECTS = {"", "audio", "document", "video"}


def audio_response(
    request: HttpRequest, sound: bytes | File[bytes], content_type: str, filename: str = ""
) -> HttpResponseBase:
    """Answer with `sound`, or with the part that a single `Range` header asks for. A file name makes it a download.

    Of a file, only that is read, in chunks if it is long, and the file is closed.
    """
    file = sound if isinstance(sound, File) else ContentFile(sound)
    response = _ranged_response(request, file, file.size, content_type)
    if filename:
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def stored_audio_response(request: HttpRequest, stored: FieldFile, content_type: str) -> HttpResponseBase:
    """Answer with a stored file, like `audio_response`.

    With MEDIA_SIGNED_URLS, redirect to the storage instead. Raises RecordingMissingError and StorageDownError.
    """
    if settings.MEDIA_SIGNED_URLS and request.headers.get("Sec-Fetch-Dest", "") in FOLLOWS_REDIRECTS:
        recordings.open_stored(stored).close()  # A missing one is answered here, in the format of the API.
        parameters = {"ResponseContentType": content_type, "ResponseCacheControl": "private, no-store"}
        address = stored.storage.url(str(stored.name), parameters=parameters)  # type: ignore[call-arg] # an object store
        return HttpResponseRedirect(address, headers={"Cache-Control": "private, no-store"})
    return audio_response(request, recordings.open_stored(stored), content_type)


def stored_sound_response(request: HttpRequest, stored: FieldFile, content_type: str) -> HttpResponseBase:
    """Answer like `stored_audio_response`, without the tags before the sound. Never a redirect: the file has them."""
    file = recordings.open_stored(stored)
    start = start_of_sound(file.read(HEAD_BYTES))
    return _ranged_response(request, file, file.size - start, content_type, offset=start)


def _ranged_response(
    request: HttpRequest, file: IO[bytes], size: int, content_type: str, *, offset: int = 0
) -> HttpResponseBase:
    """Answer with all `size` bytes of `file` from `offset` on, or a part; close the file.

    Browsers need ranges to seek, and Safari to play.
    """
    span = _requested_span(request.headers.get("Range", ""), size)
    response: HttpResponseBase
    if span == (0, 0):
        file.close()
        response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    else:
        start, end = span or (0, size)
        file.seek(offset + start)
        response = part_response(file, end - start, content_type)
        if span:
            response.status_code = 206
            response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def part_response(file: IO[bytes], size: int, content_type: str) -> HttpResponseBase:
    """Answer with the next `size` bytes of `file`."""
    if size > STREAMED_BYTES:
        response = StreamingHttpResponse(chunks_of(file, size), content_type=content_type)
        response["Content-Length"] = str(size)
        return response
    with file:
        return HttpResponse(file.read(size), content_type)


async def chunks_of(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the next `size` bytes of a file in chunks, and close it: it may be larger than the memory."""
    try:
        while size > 0 and (chunk := await recordings.in_thread(file.read, min(CHUNK_BYTES, size))):
            size -= len(chunk)
            yield chunk
    finally:
        await recordings.in_thread(file.close)


def _requested_span(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a single byte range, (0, 0) if it is out of bounds, or None without a valid one."""
    match = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", header.strip())
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else (0, 0)
