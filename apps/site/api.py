"""`/api/v1/verify`: checks the origin of a sound file."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.site.verification import verify
from apps.speech.provenance.inspection import Verdict


class VerifyFile(APIView):
    """Return what the marks in a sound file say about its origin."""

    authentication_classes = []
    permission_classes = [AllowAny]
    parser_classes = [MultiPartParser]

    class Input(serializers.Serializer[Any]):
        file = serializers.FileField(allow_empty_file=True)

    class Output(serializers.Serializer[Any]):
        verdict = serializers.ChoiceField(choices=list(Verdict))
        title = serializers.CharField()
        message = serializers.CharField()
        signed_here = serializers.BooleanField()
        made_at = serializers.CharField()
        engine = serializers.CharField()
        signed_by = serializers.CharField()
        says_synthetic = serializers.BooleanField()

    def post(self, request: Request) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        answer = verify(upload=values.validated_data["file"], address=get_adapter().get_client_ip(request._request))
        finding = answer.finding
        return Response(
            {
                "verdict": finding.verdict,
                "title": answer.title,
                "message": answer.message,
                "signed_here": finding.signed_here,
                "made_at": finding.made_at,
                "engine": finding.engine,
                "signed_by": finding.signed_by,
                "says_synthetic": finding.says_synthetic,
            }
        )
