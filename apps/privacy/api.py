"""The API of the caller's exports, for programs and for the page that shows the progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import IO
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.core.owned import OwnedQuerySet
from apps.privacy import exports
from apps.privacy.models import Export

ZIP = "application/zip"
CHUNK_BYTES = 256 * 1024


class ZipRenderer(JSONRenderer):
    """Lets a client ask for the ZIP file. Errors are answered as JSON."""

    media_type = ZIP
    format = "zip"


class ExportSerializer(serializers.ModelSerializer[Export]):
    """An export as the API shows it. When it is ready, `exports/{id}/download` is its file."""

    class Meta:
        model = Export
        fields = ["id", "state", "parts_done", "parts", "size", "missing", "created_at", "expires_at"]


class ExportList(ListAPIView[Export]):
    """List the caller's export, or start one. Each person has at most one."""

    token_scope = "read"
    serializer_class = ExportSerializer

    def get_queryset(self) -> OwnedQuerySet[Export]:
        return Export.objects.for_user(self.request.user)

    def post(self, request: Request) -> Response:
        export = exports.start_export(owner=signed_in_user(request))
        return Response(ExportSerializer(export).data, status=status.HTTP_201_CREATED)


class ExportDetail(APIView):
    """Read the progress of an export, or delete it."""

    token_scope = "read"

    def get(self, request: Request, export_pk: UUID) -> Response:
        return Response(ExportSerializer(_own_export(request, export_pk)).data)

    def delete(self, request: Request, export_pk: UUID) -> Response:
        exports.delete_export(export=_own_export(request, export_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportDownload(APIView):
    """Download the file, for a day."""

    renderer_classes = [JSONRenderer, ZipRenderer]

    def get(self, request: Request, export_pk: UUID) -> StreamingHttpResponse:
        export = _own_export(request, export_pk)
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


def _own_export(request: Request, export_pk: UUID) -> Export:
    return get_object_or_404(Export.objects.for_user(request.user), pk=export_pk)
