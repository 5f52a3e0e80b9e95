"""Audio as HTTP answers, whole or in parts."""

from __future__ import annotations

import re
from io import BytesIO
from typing import IO

from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponse

from apps.core import recordings


def audio_response(request: HttpRequest, data: bytes, content_type: str, filename: str = "") -> HttpResponse:
    """Answer with `data`, or with the part that a single `Range` header asks for. A file name makes it a download."""
    response = _ranged_response(request, BytesIO(data), len(data), content_type)
    if filename:
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def stored_audio_response(request: HttpRequest, stored: FieldFile, content_type: str) -> HttpResponse:
    """Answer with a stored file, like `audio_response`. Only the requested part is read.

    Raises RecordingMissingError.
    """
    with recordings.opened(stored) as file:
        return _ranged_response(request, file, stored.size, content_type)


def _ranged_response(request: HttpRequest, file: IO[bytes], size: int, content_type: str) -> HttpResponse:
    """Answer with all `size` bytes of `file`, or a part. Browsers need ranges to seek, and Safari to play."""
    span = _requested_span(request.headers.get("Range", ""), size)
    if span == (0, 0):
        response = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    elif span:
        start, end = span
        file.seek(start)
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
        response = HttpResponse(file.read(end - start), content_type, status=206, headers=headers)
    else:
        response = HttpResponse(file.read(), content_type)
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


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
