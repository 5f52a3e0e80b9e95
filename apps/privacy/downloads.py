"""The file of an export as an HTTP answer."""

from __future__ import annotations

from django.http import Http404, StreamingHttpResponse

from apps.core.audio_response import chunks_of
from apps.privacy.models import Export

ZIP = "application/zip"


def file_response(export: Export) -> StreamingHttpResponse:
    """Answer with the file, in chunks. Raises Http404 if it is not ready, or gone."""
    if export.state != Export.State.READY:
        raise Http404
    try:
        file = export.file.storage.open(str(export.file.name), "rb")
    except FileNotFoundError:
        raise Http404 from None
    response = StreamingHttpResponse(chunks_of(file, export.size), content_type=ZIP)
    response["Content-Length"] = str(export.size)
    response["Content-Disposition"] = f'attachment; filename="voiceclone-{export.created_at:%Y-%m-%d}.zip"'
    response["Cache-Control"] = "private, no-store"
    response["X-AI-Generated"] = "true"  # The spoken answers in it are.
    return response
