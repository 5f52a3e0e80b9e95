"""The API of the caller's tokens."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import services
from apps.accounts.authentication import signed_in_user
from apps.accounts.models import ApiToken, ApiTokenQuerySet, Scope
from apps.core.api import StrictSerializer


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as the API shows it, without its secret."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "scopes", "created_at", "expires_at", "last_used_at"]


class TokenList(ListAPIView[ApiToken]):
    """List the caller's tokens, or create one. A token cannot create tokens: that needs a session of the site."""

    serializer_class = TokenSerializer

    class CreateInput(StrictSerializer):
        name = serializers.CharField(max_length=60)
        scopes = serializers.MultipleChoiceField(choices=Scope.choices, allow_empty=False, default=set(Scope.values))
        expires_at = serializers.DateTimeField(default=None, allow_null=True)

        def validate_expires_at(self, expires_at: Any) -> Any:
            if expires_at is not None and expires_at <= timezone.now():
                raise serializers.ValidationError(
                    _("This time has passed. Choose a later one, or null for a token that never expires.")
                )
            return expires_at

    def get_queryset(self) -> ApiTokenQuerySet:
        return ApiToken.objects.for_user(self.request.user).not_revoked()

    def post(self, request: Request) -> Response:
        values = self.CreateInput(data=request.data)
        values.is_valid(raise_exception=True)
        secret = services.create_api_token(owner=signed_in_user(request), **values.validated_data)
        token = ApiToken.objects.with_secret(secret).get()
        body = {**TokenSerializer(token).data, "token": secret}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class TokenDetail(APIView):
    """Read or revoke one token. A token reaches only itself, whatever its scopes: its finder can revoke it."""

    permission_classes = [IsAuthenticated]

    def get(self, request: Request, token_pk: int) -> Response:
        return Response(TokenSerializer(_own_token(request, token_pk)).data)

    def delete(self, request: Request, token_pk: int) -> Response:
        services.revoke_api_token(token=_own_token(request, token_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own_token(request: Request, token_pk: int) -> ApiToken:
    tokens = ApiToken.objects.for_user(request.user).not_revoked()
    if isinstance(request.auth, ApiToken):
        tokens = tokens.filter(pk=request.auth.pk)
    return get_object_or_404(tokens, pk=token_pk)
