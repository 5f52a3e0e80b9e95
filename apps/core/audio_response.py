"""Audio as HTTP answers, whole or in parts."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse


def audio_response(request: HttpRequest, data: bytes, content_type: str, filename: str = "") -> HttpResponse:
    """Answer with `data`, or with the part of it that a single `Range` header asks for.

    Without ranges, browsers cannot seek and Safari does not play. A file name makes the answer a download.
    """
    span = _requested_span(request.headers.get("Range", ""), len(data))
    response = HttpResponse(data[slice(*span)] if span else data, content_type=content_type)
    if span == (0, 0):
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{len(data)}"
    elif span:
        response.status_code = 206
        response["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(data)}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    if filename:
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
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
