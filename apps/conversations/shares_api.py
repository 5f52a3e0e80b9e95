"""The API of the links with which the caller shares answers."""

from __future__ import annotations

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.conversations import shares
from apps.conversations.lookups import own_turn
from apps.conversations.models import Share, ShareQuerySet
from apps.core.api import StrictSerializer
from apps.core.links import absolute_url


class ShareSerializer(serializers.ModelSerializer[Share]):
    """A link as lists show it, without its address, which holds the secret."""

    class Meta:
        model = Share
        fields = ["id", "turn", "with_text", "created_at", "expires_at"]


class TurnShares(APIView):
    """Share the answer of a turn with everybody who gets the link."""

    token_scope = "talk"

    class Input(StrictSerializer):
        days = serializers.ChoiceField(choices=shares.LIFETIMES, default=shares.DEFAULT_DAYS)
        with_text = serializers.BooleanField(default=False)

    def post(self, request: Request, turn_pk: UUID) -> Response:
        turn = own_turn(request, turn_pk)
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        share, secret = shares.create_share(turn=turn, **values.validated_data)
        url = absolute_url(request._request, reverse("conversations:shared", args=[secret]))
        body = {**ShareSerializer(share).data, "url": url}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class ShareList(ListAPIView[Share]):
    """List the caller's links that have not expired."""

    serializer_class = ShareSerializer

    def get_queryset(self) -> ShareQuerySet:
        return Share.objects.for_user(self.request.user).unexpired()


class ShareDetail(APIView):
    """Revoke one link."""

    token_scope = "talk"

    def delete(self, request: Request, share_pk: UUID) -> Response:
        shares.revoke_share(share=get_object_or_404(Share.objects.for_user(request.user), pk=share_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)
