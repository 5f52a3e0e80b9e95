"""The file of an export as an HTTP answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import IO

from django.http import Http404, StreamingHttpResponse

from apps.privacy.models import Export

ZIP = "application/zip"
CHUNK_BYTES = 256 * 1024


def file_response(export: Export) -> StreamingHttpResponse:
    """Answer with the file, in chunks. Raises Http404 if it is not ready, or gone."""
    if export.state != Export.State.READY:
        raise Http404
    try:
        file = export.file.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    response = StreamingHttpResponse(_chunks(file), content_type=ZIP)
    response["Content-Length"] = str(export.size)
    response["Content-Disposition"] = f'attachment; filename="voiceclone-{export.created_at:%Y-%m-%d}.zip"'
    response["Cache-Control"] = "private, no-store"
    response["X-AI-Generated"] = "true"  # The spoken answers in it are.
    return response


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield the file in chunks: it may be larger than the memory."""
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)
