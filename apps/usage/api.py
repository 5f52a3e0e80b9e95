"""The API of the caller's usage."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.core.owned import OwnedQuerySet
from apps.usage import limits, metering
from apps.usage.models import UsageRecord

DAYS = 30
LIMIT_PARAMETERS = [
    OpenApiParameter("RateLimit-Policy", location=OpenApiParameter.HEADER, response=True, description="Your limits."),
    OpenApiParameter(
        "RateLimit", location=OpenApiParameter.HEADER, response=True, description="The rest of each limit."
    ),
]


class LimitedView(APIView):
    """A view whose POST counts towards the caller's limits. The headers of its answer hold the remaining limits."""

    post_parameters = LIMIT_PARAMETERS

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if request.method == "POST" and request.user.is_authenticated and settings.LIMITS:
            (today,) = limits.days_of(owner_id=request.user.pk, count=1)
            for name, value in limits.limit_headers(today, now=timezone.now()).items():
                response.headers.setdefault(name, value)
        return response


class UsageFields(serializers.Serializer[Any]):
    """Usage of the engines. Tokens are estimated from characters, and the cost from the site's prices."""

    heard_seconds = serializers.FloatField()
    spoken_characters = serializers.IntegerField()
    tokens_read = serializers.IntegerField()
    tokens_written = serializers.IntegerField()
    cost_usd = serializers.FloatField(source="cost_dollars")


class UsageDaySerializer(UsageFields):
    day = serializers.DateField()
    requests = serializers.IntegerField()


class UsageRecordSerializer(UsageFields):
    kind = serializers.CharField()
    reference = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()


class UsageSummary(APIView):
    """The caller's usage in the last 30 days (UTC), day by day, and the rest of today's limits."""

    class Output(serializers.Serializer[Any]):
        class LimitSerializer(serializers.Serializer[Any]):
            name = serializers.CharField()
            limit = serializers.IntegerField()
            used = serializers.IntegerField()
            left = serializers.IntegerField()

        today = UsageDaySerializer()
        limits = LimitSerializer(many=True)
        resets_at = serializers.DateTimeField()
        days = UsageDaySerializer(many=True)
        unpriced = serializers.ListField(child=serializers.CharField())

    def get(self, request: Request) -> Response:
        days = limits.days_of(owner_id=signed_in_user(request).pk, count=DAYS)
        today, now = days[-1], timezone.now()
        summary = {
            "today": today,
            "limits": limits.allowances(today),
            "resets_at": limits.midnight_after(now),
            "days": days,
            "unpriced": metering.unpriced(),
        }
        return Response(self.Output(summary).data, headers=limits.limit_headers(today, now=now))


class UsageRecordList(ListAPIView[UsageRecord]):
    """List the usage of each request; `?reference=` selects the requests of one turn or voice."""

    serializer_class = UsageRecordSerializer

    class Query(serializers.Serializer[Any]):
        reference = serializers.UUIDField(required=False)

    def get_queryset(self) -> OwnedQuerySet[UsageRecord]:
        query = self.Query(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        records = UsageRecord.objects.for_user(self.request.user)
        return records.filter(**query.validated_data)
