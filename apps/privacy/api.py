"""The API of the caller's exports, for programs and for the page that shows the progress."""

from __future__ import annotations

from uuid import UUID

from django.http import StreamingHttpResponse
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
from apps.privacy.downloads import ZIP, file_response
from apps.privacy.models import Export


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
        return file_response(_own_export(request, export_pk))


def _own_export(request: Request, export_pk: UUID) -> Export:
    return get_object_or_404(Export.objects.for_user(request.user), pk=export_pk)
